"""Proofs that are checked with nothing but their bytes."""

from __future__ import annotations

import contextlib

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.chain.core.operations import Anchor
from apps.chain.core.proof import check_proof, make_proof
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.tx import decode_tx
from overlay.errors import BadMessage, NotFound
from overlay.wire import cbor
from tests.support.chains import PARAMS, World, anchor


@attrs.frozen
class Proven:
    world: World
    raw: bytes
    txid: bytes


def proven(*, blocks_on_top: int = 5) -> Proven:
    world = World()
    txs = [world.make.tx("anna", anchor(f"report {nonce}"), nonce=nonce) for nonce in range(7)]
    world.accepts(world.next(*txs))
    for _ in range(blocks_on_top):
        world.accepts(world.next(after_s=5))
    txid = decode_tx(txs[4], PARAMS.chain_id).txid
    row = world.store.tx(txid)
    assert row is not None
    return Proven(world, make_proof(world.store, PARAMS, row), txid)


@pytest.fixture(scope="module")
def made() -> Proven:
    return proven()


def test_a_proof_says_what_was_anchored_when_and_with_how_much_work(made: Proven) -> None:
    proof = check_proof(made.raw)
    assert proof.tx.txid == made.txid
    assert proof.tx.operations == (anchor("report 4"),)
    assert (proof.header.height, proof.position, proof.last.height) == (25, 4, 30)
    assert proof.ids[-1] == made.world.tip
    rows = [made.world.store.header(block) for block in proof.ids]
    assert proof.work == sum(row.difficulty for row in rows if row)
    assert proof.params == PARAMS or proof.params == attrs.evolve(PARAMS, hrp="xn")
    assert proof.params.chain_id == PARAMS.chain_id


def test_a_proof_may_end_below_the_tip(made: Proven) -> None:
    row = made.world.store.tx(made.txid)
    assert row is not None
    assert len(check_proof(make_proof(made.world.store, PARAMS, row, last=27)).ids) == 3


def changed(raw: bytes, at: int, value: object) -> bytes:
    items = list(cbor.decode(raw, max_items=100_000))
    items[at] = value
    return cbor.encode(items)


def test_nothing_in_it_can_be_another(made: Proven) -> None:
    version, facts, time, tx, position, path, headers = cbor.decode(made.raw, max_items=100_000)
    other = made.world.make.tx("bert", Anchor(bytes(32)), nonce=0)
    forged = tx[:-1] + bytes([tx[-1] ^ 1])
    for at, value, rule in (
        (0, 2, None), (1, [b"n" * 32, *facts[1:]], Rule.X3), (1, [*facts[:3], 16, *facts[4:]], Rule.X3),
        (1, facts[1:], None), (1, [*facts[:9], 0], None), (1, [facts[0], 7, *facts[2:]], None), (2, time + 1, Rule.X3),
        (3, other, Rule.B3), (3, forged, Rule.X7), (4, position + 1, Rule.B3), (4, 7, Rule.B3),
        (5, path[:-32], Rule.B3), (5, path + bytes(32), Rule.B3), (5, path[1:], Rule.B3), (6, [], None), (6, [7], None),
        (6, headers[1:], Rule.B3), (6, [headers[0], *headers[2:]], Rule.H7), (6, headers[::-1], Rule.H7),
        (6, [headers[0][:-1] + bytes([headers[0][-1] ^ 1]), *headers[1:]], Rule.H3),
    ):  # fmt: skip
        with pytest.raises(BadMessage) as caught:
            check_proof(changed(made.raw, at, value))
        assert getattr(caught.value, "rule", None) is rule, (at, value)
    assert version == 1


@pytest.mark.parametrize("blocks_on_top", [1, 2, 3])
def test_difficulty_and_time_of_later_blocks_are_checked(blocks_on_top: int) -> None:
    """From the third header on; of the first two what came before is not here."""
    made = proven(blocks_on_top=blocks_on_top)
    *_, headers = cbor.decode(made.raw, max_items=100_000)
    make, tip = made.world.make, made.world.tip
    cheap = attrs.evolve(make.header(tip, after_s=5), difficulty=PARAMS.least_difficulty)
    early = make.header(tip, after_s=0)
    for header, rule in ((cheap, Rule.H10), (early, Rule.H8)):
        with pytest.raises(Invalid) as caught:
            check_proof(changed(made.raw, 6, [*headers, make.mined(header)]))
        assert caught.value.rule is rule


def test_a_body_that_is_gone_cannot_be_proved() -> None:
    made = proven()
    row = made.world.store.tx(made.txid)
    assert row is not None
    made.world.store.begin()
    made.world.store.delete_bodies([made.world.store.actives(25, 25)[0].id])
    made.world.store.commit()
    with pytest.raises(NotFound, match="ask a node"):
        make_proof(made.world.store, PARAMS, row)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_bit_is_noticed_and_nothing_else_is_raised(made: Proven, data: st.DataObject) -> None:
    at, bit = data.draw(st.integers(0, len(made.raw) - 1)), data.draw(st.integers(0, 7))
    raw = made.raw[:at] + bytes([made.raw[at] ^ 1 << bit]) + made.raw[at + 1 :]
    with pytest.raises(BadMessage):
        check_proof(raw)
    with contextlib.suppress(BadMessage):
        check_proof(data.draw(st.binary(max_size=100)))
