"""The chain with real nodes on loopback: one mines, others pay each other, a third looks, and a proof needs none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.chain.cli.explorer.main import run_line as explorer_line
from tests.cli.conftest import Ran, Run
from tests.support.nodes import NodeProcess, Nodes, wait_until

#: Of a network without puzzles a reward can be spent after three blocks, each of a tenth of a second's work; the worker
#: leaves the processor to whoever else wants it.
MINED_S = 100.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three that know each other; the first one mines, and has something to spend."""
    with Nodes(tmp_path_factory.mktemp("nodes"), 3, network="chain", puzzle_bits=0) as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=2)
        ask(nodes[0], "mine_start", threads=2)
        wait_until(lambda: ask(nodes[0], "account")["balance"] > 50_000_000, within_s=MINED_S, what="nothing mined")
        yield nodes


def ask(node: NodeProcess, command: str, **args: Any) -> Any:
    return node.call("POST", f"/v1/apps/chain/{command}", args)["answer"]


@pytest.fixture
def chain(run: Run) -> Callable[..., Ran]:
    """`chain(node, "status")`: `p2pnode --home (that of the node) chain status`."""

    def chain(node: NodeProcess, *line: str) -> Ran:
        return run("chain", *line, before=("--home", str(node.home)))

    return chain


@pytest.fixture
def explore(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Ran]:
    """`explore(place, "status")`: `chain-explorer --home (or --data) PLACE status`."""

    def explore(place: NodeProcess | Path, *line: str) -> Ran:
        capfdbinary.readouterr()
        where = ["--data", str(place)] if isinstance(place, Path) else ["--home", str(place.home)]
        code = explorer_line([*where, *line])
        out, err = capfdbinary.readouterr()
        return Ran(int(code), out.decode(), err.decode())

    return explore


def test_what_is_paid_between_two_a_third_sees(chain: Any, explore: Any, nodes: Nodes) -> None:
    first, second, third = nodes
    to = chain(second, "wallet", "show", "--json").json["address"]
    paid = chain(first, "send", to, "2.5", "--memo", "thanks", "--wait", "1", "--json")
    assert paid.code == 0, paid
    assert {key: paid.json[key] for key in ("v", "to", "amount")} == {"v": 1, "to": to, "amount": 2_500_000}
    assert paid.json["height"] > 0
    wait_until(lambda: ask(second, "account")["balance"] >= 2_500_000, within_s=MINED_S, what="not paid")
    again = chain(second, "send", third.id[:9], "0.5", "--wait", "1", "--json")
    assert again.code == 0, again
    wait_until(lambda: ask(third, "account")["balance"] == 500_000, within_s=MINED_S, what="not paid")

    status = explore(third, "status", "--json").json
    assert status["v"] == 1
    assert status["peers"] >= 1
    assert status["height"] >= again.json["height"]
    block = explore(third, "block", str(again.json["height"]), "--txs", "--full")
    assert (block.code, again.json["txid"] in block.out) == (0, True), block
    tx = explore(third, "tx", paid.json["txid"], "--json").json
    assert tx["height"] == paid.json["height"]
    account = explore(third, "address", to, "--json").json
    fee = explore(third, "tx", again.json["txid"], "--json").json["fee"]
    assert account["balance"] == 2_500_000 - 500_000 - fee
    history = explore(third, "address", to, "--history")
    assert history.code == 0
    assert f"{paid.json['height']:,}" in history.out


def test_a_file_that_is_anchored_is_proved_from_a_file_alone(
    chain: Any, explore: Any, nodes: Nodes, tmp_path: Path
) -> None:
    report, proof = tmp_path / "report.txt", tmp_path / "report.proof"
    report.write_text("all is well\n")
    ran = chain(nodes[0], "anchor", str(report), "--tag", "report", "--wait", "2", "--json")
    assert ran.code == 0, ran
    third = nodes[2]
    wait_until(lambda: explore(third, "anchor", str(report)).code == 0, within_s=MINED_S, what="the third has it not")
    assert "existed  no later than" in explore(third, "anchor", str(report)).out
    assert explore(third, "proof", "make", str(report), "-o", str(proof)).code == 0
    elsewhere = tmp_path / "nothing is here"
    assert explore(elsewhere, "proof", "check", str(proof), "--file", str(report)).code == 5  # no block is known there
    known = explore(nodes[1], "block", str(ran.json["height"]), "-f", "id").out.strip()
    check = ("proof", "check", str(proof), "--trust", known, "--file", str(report))
    checked = explore(elsewhere, *check)
    assert checked.code == 0, checked
    assert "existed no later than" in checked.out
    report.write_text("all is not well\n")
    assert explore(elsewhere, *check).code == 5


def test_what_is_shared_can_be_anchored(run: Run, explore: Any, nodes: Nodes, tmp_path: Path) -> None:
    film, album = tmp_path / "film.mkv", tmp_path / "album"
    film.write_bytes(os.urandom(100_000))
    album.mkdir()
    shutil.copy(film, album)
    for path in (film, album):
        ran = run("files", "share", str(path), "--anchor", "--json", before=("--home", str(nodes[0].home)))
        assert ran.code == 0, ran
        anchor = ran.json["anchor"]
        assert (anchor["digest"] == ran.json["id"]) is path.is_dir()
        what = str(film) if path is film else ran.json["id"]
        wait_until(lambda what=what: explore(nodes[1], "anchor", what).code == 0, within_s=MINED_S, what="no anchor")


def test_who_cannot_pay_shares_all_the_same(run: Run, nodes: Nodes, tmp_path: Path) -> None:
    poor = NodeProcess(tmp_path / "poor", nodes[0].options)
    path = tmp_path / "poor.bin"
    path.write_bytes(b"poor" * 10_000)
    try:
        poor.start("--join", nodes[0].ticket)
        poor.wait_ready()
        ran = run("files", "share", str(path), "--anchor", before=("--home", str(poor.home)))
        assert ran.code == 1
        assert "it is shared now, but not anchored" in ran.err
        assert run("files", "list", "--json", before=("--home", str(poor.home))).json["path"] == str(path)
    finally:
        poor.kill()


def test_names_are_claimed_set_paid_to_and_given_back(chain: Any, nodes: Nodes) -> None:
    first, second, _ = nodes
    claimed = chain(first, "name", "claim", "edge-3", "--wait", "1", "--json")
    assert claimed.code == 0, claimed
    assert claimed.json["value"] == first.id
    wait_until(lambda: ask(second, "whois", name="edge-3") is not None, within_s=MINED_S, what="not seen")
    for line in (("claim", "edge-3"), ("set", "edge-3", "x"), ("release", "edge-3")):
        ran = chain(second, "name", *line)
        assert (ran.code, "another's" in ran.err) == (1, True), ran
    own = chain(second, "wallet", "show", "--json").json["address"]
    before = ask(second, "account")["balance"]
    assert chain(first, "send", own, "1", "--wait", "1").code == 0
    wait_until(lambda: ask(second, "account")["balance"] > before, within_s=MINED_S, what="not paid")
    paid = chain(second, "send", "edge-3", "0.1", "--json")
    assert paid.json["to"] == chain(first, "wallet", "show", "--json").json["address"]
    assert chain(first, "name", "set", "edge-3", "192.0.2.7:4433", "--wait", "1").code == 0
    assert ask(first, "whois", name="edge-3")["value"] == "192.0.2.7:4433"
    assert chain(first, "name", "release", "edge-3", "--wait", "1").code == 0
    ran = chain(first, "name", "set", "edge-3")
    assert (ran.code, "nobody has the name" in ran.err) == (4, True)


def test_what_cannot_be_sent_says_why(chain: Any, nodes: Nodes) -> None:
    ran = chain(nodes[2], "send", nodes[0].id, "1000000")
    assert (ran.code, "you can send at most" in ran.err) == (1, True), ran
    ran = chain(nodes[2], "send", "nobody-there", "1")
    assert (ran.code, "nor a claimed name" in ran.err) == (4, True), ran
    address = chain(nodes[0], "wallet", "show", "--json").json["address"]
    ran = chain(nodes[2], "send", address[:-1] + ("q" if address[-1] != "q" else "p"), "1")
    assert (ran.code, "mistyped" in ran.err) == (2, True), ran
    ran = chain(nodes[0], "anchor", "ab" * 32, "--wait", "100000", "--timeout", "0.1")
    assert (ran.code, "goes on waiting" in ran.err) == (6, True), ran


def test_a_miner_that_is_killed_goes_on_mining(chain: Any, explore: Any, nodes: Nodes) -> None:
    """Its store survives in whatever state it is hit, and what it was told to do is kept."""
    miner, second, _ = nodes
    for _ in range(3):
        height = ask(miner, "status")["height"]
        miner.kill()
        miner.start("--join", second.ticket)
        miner.wait_ready()
        assert ask(miner, "status")["height"] >= height
        assert ask(miner, "mine_status")["mining"]
        wait_until(lambda: ask(miner, "status")["height"] > height, within_s=MINED_S, what="it mines no more")  # noqa: B023
    assert explore(miner, "verify", "--level", "3").code == 0
    wait_until(lambda: ask(second, "status")["height"] > height, within_s=MINED_S, what="the second hears of none")


def test_a_wallet_goes_to_another_home(chain: Any, run: Run, nodes: Nodes, tmp_path: Path) -> None:
    second = nodes[1]
    shown = chain(second, "wallet", "show", "--json").json
    copy = tmp_path / "copy.pem"
    exported = chain(second, "wallet", "export", str(copy), "--json").json
    assert (exported["address"], exported["file"]) == (shown["address"], str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    home = ("--home", str(tmp_path / "elsewhere"))
    assert run("chain", "wallet", "import", str(copy), "--json", before=home).json["address"] == shown["address"]
    cold = run("chain", "wallet", "show", "--json", before=home).json
    assert (cold["address"], cold["balance"]) == (shown["address"], None)
    again = run("chain", "wallet", "import", str(copy), before=home)
    assert (again.code, "never overwritten" in again.err) == (1, True)


def test_a_light_node_asks_for_what_it_does_not_keep(chain: Any, nodes: Nodes, tmp_path: Path) -> None:
    light = NodeProcess(tmp_path / "light", (*nodes[0].options, "--light"))
    anchored = chain(nodes[0], "anchor", "cd" * 32, "--wait", "1", "--json").json
    try:
        light.start("--join", nodes[0].ticket)
        light.wait_ready()
        wait_until(
            lambda: ask(light, "status")["height"] >= anchored["height"], within_s=MINED_S, what="no headers came"
        )
        assert ask(light, "status")["light"] is True
        assert ask(light, "tx", tx=anchored["txid"])["height"] == anchored["height"]
        for line in (("mine", "start"), ("send", nodes[0].id, "1")):
            ran = chain(light, *line)
            assert (ran.code, "light" in ran.err) == (1, True), ran
    finally:
        light.kill()
