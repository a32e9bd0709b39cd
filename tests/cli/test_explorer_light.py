"""chain-explorer on a home that keeps headers alone: what it asks others for, and what it refuses to say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.chain.core.branch import Branch
from apps.chain.core.facts import LIGHT_NOTE
from apps.chain.core.proof import make_proof
from apps.chain.core.rows import TxRow
from p2pnode.driver import CommandFailed
from p2pnode.ui.home import find_home
from tests.cli.conftest import Explore, Ran
from tests.cli.explorer import Place
from tests.cli.test_explorer import SCHEMA
from tests.support.explored import REPORT, begin
from tests.support.fake_node import FakeNode
from tests.support.schema import conforms
from tests.support.serving import serving

DIGEST = hashlib.sha256(REPORT).digest()
KEY = "63438e4888cd59858890642e2adb404db5516813b6d10a39699126b66771d3a5"


@pytest.fixture
def light(place: Place, explore: Explore, tmp_path: Path) -> Callable[..., Ran]:
    """`light("status")`: on a home with the headers of the chain of `place`, as `run --light` leaves it."""
    home = tmp_path / "light"
    home.mkdir(mode=0o700)
    folder = find_home(home).app_folder("chain")
    folder.mkdir(parents=True, mode=0o700)
    world, whole = begin(folder), place.world.store
    rows = [whole.header(active.id) for active in whole.actives(1, place.world.height)]
    world.ledger.accept_headers([row.raw for row in rows if row], 2_000_000_000_000, Branch())
    world.store.begin()
    world.store.put_note(LIGHT_NOTE, b"1")
    world.store.commit()
    world.store.close()
    return lambda *line: explore("--home", str(home), *line)


def answered(node: FakeNode, place: Place) -> None:
    """By peers that keep the whole chain."""
    store, params = place.world.store, place.world.make.params

    def proof(args: dict[str, Any]) -> dict[str, Any]:
        of = bytes.fromhex(args["of"])
        row = store.tx(of)
        if row is None and (rows := store.anchors(of)):
            row = TxRow(of, rows[0].height, rows[0].pos)
        if row is None:
            raise CommandFailed("not_found", "no peer that was asked knows of it")
        return {"proof": make_proof(store, params, row, last=row.height).hex()}

    node.answers |= {
        ("chain", "proof"): proof, ("chain", "mempool"): [], ("chain", "peers"): [],
        ("chain", "status"): {"synced": True, "headers": 30, "trouble": None},
        ("chain", "account"): {"balance": 427_748_900, "nonce": 3, "said_by": "ab" * 32},
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ["blocks", "block 17 --txs", "names", "name cam-1", "search lab/", "supply", "stats", "verify", "evidence", "forks",
     "export txs", "export blocks", "mempool"],
)  # fmt: skip
def test_what_needs_bodies_is_refused_and_never_denied(light: Callable[..., Ran], line: str) -> None:
    ran = light(*line.split())
    assert (ran.code, ran.out) == (1, "")
    assert "this home keeps headers alone" in ran.err
    assert "chain-explorer --home" in ran.err


def test_what_follows_from_headers_is_shown(light: Callable[..., Ran], explore: Explore) -> None:
    status = light("status", "--json").json
    conforms(status, SCHEMA["status"])
    tip = explore("block", "-1", "-f", "id").out.strip()
    assert (status["height"], status["tip"], status["light"]) == (30, tip, True)
    assert "none are kept" in light("status").out
    whole, found = explore("block", "17", "--json").json, light("block", "17", "--json").json
    assert (found["id"], found["txs"], found["operations"], found["fees"]) == (whole["id"], 1, None, None)
    assert "0 operations" not in light("block", "17").out
    assert light("export", "headers", "--json").out == explore("export", "headers", "--json").out
    ran = light("verify", "--level", "0")
    assert (ran.code, "headers  31 ok" in ran.out) == (0, True)


@pytest.mark.parametrize("line", ["anchor report.txt", "tx " + "00" * 32, "address " + KEY, "proof make report.txt"])
def test_without_a_node_it_says_that_nobody_can_be_asked(light: Callable[..., Ran], line: str) -> None:
    ran = light(*line.split())
    assert ran.code == 3
    assert "never" not in ran.out + ran.err
    assert "p2pnode --home" in ran.err


def test_a_running_node_asks_others_and_what_they_prove_is_checked(
    light: Callable[..., Ran], explore: Explore, place: Place, tmp_path: Path
) -> None:
    with serving(tmp_path / "light") as (node, _):
        answered(node, place)
        ran = light("anchor", "report.txt")
        assert (ran.code, "anchored in block 19" in ran.out) == (0, True), ran
        assert "existed  no later than 2026-01-01 00:05:45Z" in ran.out
        assert "there may be earlier ones" in ran.err
        txid = explore("tx", "9f13", "-f", "txid").out.strip()
        assert light("tx", txid, "-f", "height").out == "19\n"
        said = light("address", KEY, "--json").json
        conforms(said, SCHEMA["address"])
        assert (said["balance"], said["said_by"], said["immature"]) == (427_748_900, "ab" * 32, None)
        assert light("proof", "make", "report.txt", "-o", "p").code == 0
        missing = light("anchor", "00" * 32)
        assert (missing.code, "never" in missing.out + missing.err) == (4, False)
        assert light("anchor", DIGEST.hex()[:8]).code == 2
    tip = explore("block", "-1", "-f", "id").out.strip()
    assert explore("proof", "check", "p", "--trust", tip, "--file", "report.txt").code == 0


def test_a_proof_of_another_chain_is_not_believed(light: Callable[..., Ran], place: Place, tmp_path: Path) -> None:
    from tests.support.chains import World, anchor

    other = World()
    other.accepts(other.next(other.make.tx("anna", anchor("a"), nonce=0)))
    row = other.store.anchors(hashlib.sha256(b"a").digest())[0]
    raw = make_proof(other.store, other.params, TxRow(b"", row.height, row.pos))
    with serving(tmp_path / "light") as (node, _):
        answered(node, place)
        node.answers["chain", "proof"] = {"proof": raw.hex()}
        ran = light("anchor", hashlib.sha256(b"a").hexdigest())
    assert (ran.code, "not of this chain" in ran.err) == (5, True)
