"""`p2pnode chain` in front of a fake node: what is asked, what is printed, and which exit code says what."""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from apps.chain.core.address import format_address
from p2pnode.driver import CommandFailed
from tests.cli import golden
from tests.cli.conftest import Run
from tests.support.fake_node import ID, KEY, FakeNode

TXID = "c4" * 32
OWN = {"address": format_address(KEY), "key": KEY.hex()}
OTHER = {"address": format_address(bytes([7]) * 32), "key": "07" * 32}
MINING = {"mining": True, "threads": 2, "duty": 20, "on_demand": True, "found": 3, "rate": 1200}
STATUS = {
    "chain_id": "3f9a1c77" * 2, "height": 18_204, "tip": "7c" * 32, "time": 1_767_226_089, "difficulty": 36_412,
    "work": 661_904_112, "headers": 18_204, "mempool": 37, "mempool_bytes": 9_300, "peers": 9, "synced": True,
    "light": False, "held": 0, "barred": 0, "trouble": None, "deep_reorg": None, "kept_from": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two processors."""
    monkeypatch.setattr(importlib.import_module("apps.chain.cli.node.mine"), "processors", lambda: 2)


@pytest.fixture
def chain(node: FakeNode) -> FakeNode:
    """A node with a chain in which everything goes well; what is sent is in a block at the second look."""
    looks: list[str] = []

    def tx(args: dict[str, Any]) -> dict[str, Any]:
        looks.append(args["tx"])
        return {"tx": args["tx"], "height": 9 if len(looks) > 1 else 0, "confirmations": len(looks) - 1}

    sent = {"tx": TXID, "fee": 1_000_012}
    node.answers |= {
        ("chain", "status"): STATUS, ("chain", "address"): OWN, ("chain", "send"): sent, ("chain", "anchor"): sent,
        ("chain", "name"): sent, ("chain", "tx"): tx, ("chain", "whois"): None,
        ("chain", "account"): OWN | {
            "balance": 118_250_000, "nonce": 5, "next": 6, "pending": 2_500_800, "immature": 100_000_000,
        },
        ("chain", "payee"): OTHER | {"is": "the name edge-3"}, ("chain", "mine_start"): MINING,
        ("chain", "mine_status"): MINING, ("chain", "mine_stop"): MINING | {"mining": False, "rate": None},
    }  # fmt: skip
    return node


def asked(node: FakeNode, command: str) -> dict[str, Any]:
    (args,) = [args["args"] for name, args in node.asked if name == "app" and args["command"] == command]
    return dict(args)


LINES: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "wallet-show": ("wallet", "show"),
    "send": ("send", "edge-3", "2.5", "--memo", "relay", "--wait", "1"),
    "anchor": ("anchor", "ab" * 32),
    "name-claim": ("name", "claim", "edge-4"),
    "mine-start": ("mine", "start", "--threads", "2", "--duty", "20%", "--on-demand"),
    "mine-stop": ("mine", "stop"),
}


@pytest.mark.parametrize("name", LINES)
def test_what_is_said(run: Run, chain: FakeNode, home: Path, name: str) -> None:
    ran = run("chain", *LINES[name])
    assert ran.code == 0, ran
    golden.check(f"chain-{name}", (ran.out + ran.err).replace(str(home), "HOME"))


@pytest.mark.parametrize("name", LINES)
def test_json_is_one_object(run: Run, chain: FakeNode, name: str) -> None:
    ran = run("chain", *LINES[name], "--json")
    assert (ran.code, ran.json["v"]) == (0, 1)
    golden.check(f"json-chain-{name}", ran.out)


def test_amounts_are_credits(run: Run, chain: FakeNode) -> None:
    assert run("chain", "send", "edge-3", "0.000001", "--fee", "1.5").code == 0
    assert asked(chain, "send") == {"to": OTHER["key"], "amount": 1, "memo": "", "fee": 1_500_000}


@pytest.mark.parametrize(
    "amount", ["0", "0.0000001", "1_000", "-1", "1e3", "1,5", "nan", "", "1.", "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_what_is_no_amount_is_refused_before_anything_is_asked(run: Run, chain: FakeNode, amount: str) -> None:
    assert run("chain", "send", "edge-3", "--", amount).code == 2
    assert chain.asked == []


@pytest.mark.parametrize(
    "line",
    [
        ("send", "edge-3", "1", "--memo", "x" * 33),
        ("anchor", "abcd"),
        ("anchor", "ab" * 32, "--tag", "\N{OGHAM LETTER BEITH}" * 11),
        ("name", "claim", "No"),
        ("name", "claim", "edge-3", "x" * 129),
        ("mine", "start", "--duty", "0"),
        ("mine", "start", "--threads", "0"),
        ("wallet", "export", "-", "--json"),
    ],
    ids=" ".join,
)
def test_what_is_typed_wrongly_is_usage(run: Run, chain: FakeNode, line: tuple[str, ...]) -> None:
    ran = run("chain", *line)
    assert ran.code == 2, ran
    assert not [args for name, args in chain.asked if name == "app" and args["command"] in ("send", "anchor", "name")]


def test_a_file_is_anchored_by_its_hash(run: Run, chain: FakeNode, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"all is well")
    assert run("chain", "anchor", str(path), "--tag", "t").code == 0
    assert asked(chain, "anchor") == {"digest": hashlib.sha256(b"all is well").hexdigest(), "tag": "t", "fee": None}


def test_pipes_and_devices_are_not_anchored(run: Run, chain: FakeNode, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for what in (str(tmp_path / "fifo"), "/dev/zero"):
        ran = run("chain", "anchor", what)
        assert (ran.code, "a pipe or a device" in ran.err) == (2, True), ran
    assert chain.asked == []


def test_a_name_says_who_claims_it(run: Run, chain: FakeNode) -> None:
    assert run("chain", "name", "claim", "edge-4").code == 0
    assert asked(chain, "name") == {"name": "edge-4", "value": ID, "fee": None}


@pytest.mark.parametrize(
    ("line", "code"), [(("claim", "edge-3"), 1), (("set", "edge-3", "x"), 1), (("release", "edge-3"), 1)], ids=str
)
def test_names_of_others_are_left_alone(run: Run, chain: FakeNode, line: tuple[str, ...], code: int) -> None:
    chain.answers["chain", "whois"] = {"name": "edge-3", "owner": OTHER["key"], "value": "x", "expires": 9}
    ran = run("chain", "name", *line)
    assert (ran.code, "another's" in ran.err) == (code, True)
    assert not [args for name, args in chain.asked if name == "app" and args["command"] == "name"]


@pytest.mark.parametrize("name", ["xn1", "xn1abc", "xs1-edge", "00000000", "12345678", "deadbeef", "cafe0123ff"])
def test_a_name_that_could_be_taken_for_something_else_is_not_claimed(run: Run, chain: FakeNode, name: str) -> None:
    ran = run("chain", "name", "claim", name)
    assert (ran.code, "would mislead" in ran.err) == (2, True)
    assert chain.asked == []
    chain.answers["chain", "whois"] = {"name": name, "owner": OWN["key"], "value": "x", "expires": 9}
    assert run("chain", "name", "set", name, "y").code == 0  # who has one keeps it


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("", "TO is empty"), ("xn1abc", "looks like the beginning of an address"),
        (OWN["address"][:-1] + ("q" if OWN["address"][-1] != "q" else "p"), "mistyped"),
        (format_address(KEY, hrp="xs"), "another sort of network"), ("xs1qqq", "not"),
    ],
    ids=str,
)  # fmt: skip
def test_what_begins_like_an_address_and_is_none_is_paid_nothing(run: Run, chain: FakeNode, to: str, told: str) -> None:
    ran = run("chain", "send", to, "1")
    assert (ran.code, told in ran.err) == (2, True), ran
    assert chain.asked == []


def test_a_name_can_be_said_to_be_one(run: Run, chain: FakeNode) -> None:
    for to in ("xn1abc", "name:xn1abc"):
        chain.asked.clear()
        assert run("chain", "send", "--name", to, "1").code == 0
        assert asked(chain, "payee") == {"to": "name:xn1abc"}


def test_a_name_of_ones_own_is_not_claimed_again(run: Run, chain: FakeNode) -> None:
    """Its value would be that of the claim."""
    chain.answers["chain", "whois"] = {"name": "edge-3", "owner": OWN["key"], "value": "192.0.2.7", "expires": 9}
    ran = run("chain", "name", "claim", "edge-3")
    assert (ran.code, "yours already" in ran.err, "chain name set edge-3" in ran.err) == (1, True, True)
    assert not [args for name, args in chain.asked if name == "app" and args["command"] == "name"]


@pytest.mark.parametrize(
    "line", [("send", "edge-3", "1"), ("anchor", "ab" * 32), ("name", "claim", "edge-4")], ids=" ".join
)
def test_what_was_sent_is_told_though_it_cannot_be_written(
    run: Run, chain: FakeNode, line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        ran = run("chain", *line, "--json")
    assert (ran.code, "it WAS sent" in ran.err, TXID in ran.err) == (1, True, True), ran


def test_what_is_not_said_of_mining_stays(run: Run, chain: FakeNode) -> None:
    assert run("chain", "mine", "start", "--always").err == ""
    assert asked(chain, "mine_start") == {"threads": None, "duty": None, "on_demand": False}
    assert "has 2 processors" in run("chain", "mine", "start", "--threads", "3").err


def test_own_names_are_given_back(run: Run, chain: FakeNode) -> None:
    chain.answers["chain", "whois"] = {"name": "edge-3", "owner": OWN["key"], "value": "x", "expires": 9}
    assert run("chain", "name", "release", "edge-3", "--json").json["value"] is None
    assert asked(chain, "name")["value"] == ""


def test_the_words_of_the_application_come_through(run: Run, chain: FakeNode) -> None:
    chain.answers["chain", "send"] = CommandFailed("failed", "it is not sent: it costs 5 credits")
    ran = run("chain", "send", "edge-3", "1")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "error: it is not sent: it costs 5 credits")
    chain.answers["chain", "payee"] = CommandFailed("not_found", "nobody is called so")
    ran = run("chain", "send", "edge-3", "1")
    assert (ran.code, "chain-explorer" in ran.err) == (4, True)


def test_a_store_that_cannot_be_written_is_told(run: Run, chain: FakeNode) -> None:
    chain.answers["chain", "status"] = STATUS | {"synced": False, "trouble": "the disk is full (file: chain.db)"}
    out = run("chain", "status").out
    assert "9, behind" in out
    assert "TROUBLE     the disk is full (file: chain.db)" in out


def test_a_chain_that_was_rewritten_far_back_is_told(run: Run, chain: FakeNode) -> None:
    chain.answers["chain", "status"] = STATUS | {"deep_reorg": {"depth": 9, "fork": 18_190, "at_ms": 1_767_226_089_000}}
    assert "9 blocks above height 18,190 do not count any more" in run("chain", "status").out
    why = "S5: the name x is another's" + ", and stays it" * 9
    gone = [{"tx": TXID, "spent": 1_500_000, "nonce": 3, "why": None},
            {"tx": "d5" * 32, "spent": 1, "nonce": 4, "why": why}]  # fmt: skip
    chain.answers["chain", "account"] = OWN | {"balance": 1, "nonce": 5, "next": 6, "pending": 0, "gone": gone}
    out = run("chain", "wallet", "show").out
    assert f"{TXID[:16]}…, 1.5: waits again\n         its block does not count any more; there is" in out
    assert ": can never be; send it again\n         S5: the name x is another's" in out
    assert max(map(len, out.splitlines()[2:])) <= 80


def test_a_node_without_a_chain_says_so(run: Run, node: FakeNode) -> None:
    ran = run("chain", "status")
    assert ran.code == 4
    assert "the chain does not run in this node" in ran.err
    assert "run --no-chain" in ran.err


def test_without_a_node_there_is_none_to_ask(run: Run) -> None:
    for line in (("status",), ("send", "edge-3", "1"), ("mine", "status")):
        assert run("chain", *line).code == 3


def test_a_wait_that_is_too_long_ends(run: Run, chain: FakeNode) -> None:
    chain.answers["chain", "tx"] = {"tx": TXID, "height": 0, "confirmations": 0}
    ran = run("chain", "send", "edge-3", "1", "--wait", "1", "--timeout", "0.01", "--json")
    assert (ran.code, ran.json["error"]["facts"]["transaction"]) == (6, TXID)
