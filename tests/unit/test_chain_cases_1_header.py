"""Hostile headers: cases 1 to 21 (docs/protocol/chain.md)."""

from __future__ import annotations

import attrs
import pytest

from apps.chain.core.block import make_block
from apps.chain.core.branch import Branch
from apps.chain.core.header import decode_header, encode_header, id_of, prefix_of
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import simulated
from apps.chain.core.rows import Status
from apps.chain.core.rules import Rule
from apps.chain.core.work import HASHES, sha256d
from overlay.wire import cbor
from tests.support.chains import PARAMS, Maker, World, pay


def items_of(raw: bytes) -> list[object]:
    return list(cbor.decode(raw))


def test_01_a_number_not_in_its_shortest_form(world: World) -> None:
    raw = world.next().raw_header
    assert raw[:2] == b"\x8a\x01"
    world.refuses_header(Rule.H1, b"\x8a\x18\x01" + raw[2:])


def test_02_an_array_of_indefinite_length(world: World) -> None:
    world.refuses_header(Rule.H1, b"\x9f" + world.next().raw_header[1:] + b"\xff")


def test_03_bytes_behind_it(world: World) -> None:
    world.refuses_header(Rule.H1, world.next().raw_header + b"\x00")


def test_04_an_eleventh_item(world: World) -> None:
    world.refuses_header(Rule.H1, cbor.encode([*items_of(world.next().raw_header), 0]))


def test_05_a_time_of_another_type(world: World) -> None:
    items = items_of(world.next().raw_header)
    items[5] = b"1767225600"
    world.refuses_header(Rule.H1, cbor.encode(items))


def test_06_version_2(world: World) -> None:
    world.refuses_header(Rule.H2, cbor.encode([2, *items_of(world.next().raw_header)[1:]]))


def test_07_work_just_above_the_target(world: World) -> None:
    header = world.make.header(world.tip)
    prefix, target = prefix_of(header), HASHES // header.difficulty
    raws = (prefix + nonce.to_bytes(8, "big") for nonce in range(10**6))
    raw = next(raw for raw in raws if target <= int.from_bytes(sha256d(raw), "big") < target * 11 // 10)
    world.refuses_header(Rule.H3, raw)
    world.refuses(Rule.H3, make_block(raw, ()))


@pytest.mark.parametrize("by", [-1, 1], ids=["08 one too low", "09 one too high"])
def test_08_09_a_difficulty_that_does_not_follow(world: World, by: int) -> None:
    for _ in range(3):
        world.accepts(world.next(after_s=1))
    header = world.make.header(world.tip)
    assert header.difficulty + by > PARAMS.least_difficulty
    raw = world.make.mined(attrs.evolve(header, difficulty=header.difficulty + by))
    world.refuses_header(Rule.H10, raw)
    world.refuses(Rule.H10, make_block(raw, ()))


def test_10_a_difficulty_below_the_least(world: World) -> None:
    raw = world.make.mined(attrs.evolve(world.make.header(world.tip), difficulty=PARAMS.least_difficulty - 1))
    world.refuses_header(Rule.H4, raw)
    orphan = attrs.evolve(world.make.header(world.tip), difficulty=PARAMS.least_difficulty - 1, parent=bytes(32))
    world.refuses_header(Rule.H4, world.make.mined(orphan))


def test_11_a_time_equal_to_its_parents(world: World) -> None:
    world.refuses(Rule.H8, make_block(world.make.mined(world.make.header(world.tip, after_s=0)), ()))


def test_12_a_time_before_its_parents(world: World) -> None:
    world.refuses(Rule.H8, make_block(world.make.mined(world.make.header(world.tip, after_s=-1)), ()))


def test_13_a_block_from_the_future_is_held_until_its_time(world: World) -> None:
    block = world.next()
    tip, now_ms = world.tip, (block.header.time - 31) * 1000
    outcome = world.offer(block, now_ms=now_ms)
    assert (outcome.verdict, outcome.rule) == (Verdict.HELD, Rule.H9)
    assert world.ledger.tick(now_ms + 999) == []
    assert (world.tip, world.ledger.is_waiting(block.id)) == (tip, True)
    assert [one.verdict for one in world.ledger.tick(now_ms + 2_000)] == [Verdict.TIP]
    assert (world.tip, world.ledger.is_waiting(block.id)) == (block.id, False)


def test_13_30_s_ahead_are_allowed_and_a_header_is_held_too(world: World) -> None:
    block = world.next()
    assert world.ledger.accept_header(block.raw_header, (block.header.time - 31) * 1000).verdict is Verdict.HELD
    assert world.offer(block, now_ms=(block.header.time - 30) * 1000).verdict is Verdict.TIP


@pytest.mark.parametrize("by", [-1, 1, 5])
def test_14_a_wrong_height(world: World, by: int) -> None:
    header = world.make.header(world.tip)
    raw = world.make.mined(attrs.evolve(header, height=header.height + by))
    world.refuses_header(Rule.H7, raw)
    world.refuses(Rule.H7, make_block(raw, ()))


def test_15_a_block_without_its_parent_waits_for_it(world: World) -> None:
    first, second, third = world.make.line(world.tip, 3)
    world.refuses(Rule.H6, third, verdict=Verdict.ORPHAN)
    world.refuses(Rule.H6, second, verdict=Verdict.ORPHAN)
    outcome = world.offer(first)
    assert outcome.verdict is Verdict.TIP
    assert [one.verdict for one in outcome.then] == [Verdict.TIP, Verdict.TIP]
    assert world.tip == third.id


def test_15_headers_wait_too_and_must_have_work(world: World) -> None:
    first, second = world.make.line(world.tip, 2)
    world.refuses_header(Rule.H6, second.raw_header, verdict=Verdict.ORPHAN)
    unproved = attrs.evolve(second.header, nonce=b"\xff" * 8)
    world.refuses_header(Rule.H3, encode_header(unproved))
    outcome = world.ledger.accept_header(first.raw_header, world.now_ms(second))
    assert (outcome.verdict, [one.verdict for one in outcome.then]) == (Verdict.HEADER, [Verdict.HEADER])
    assert world.ledger.best.id == second.id
    assert [world.offer(block).verdict for block in (second, first)] == [Verdict.BODY, Verdict.TIP]
    assert world.tip == second.id


def test_16_a_child_of_an_invalid_block(world: World) -> None:
    bad = world.next(world.make.tx("anna", pay("bert", 1), nonce=7))
    world.refuses(Rule.S2, bad)
    child = world.make.block(bad.id)
    world.refuses(Rule.H11, child)
    world.refuses_header(Rule.H11, child.raw_header)
    world.refuses(Rule.H11, bad)
    row = world.store.header(bad.id)
    assert row is not None
    assert (row.status, row.why) == (Status.INVALID, "S2: nonce 7 != 0 (transaction 0)")


def test_16_a_child_whose_header_came_before(world: World) -> None:
    bad = world.next(world.make.tx("anna", pay("bert", 1), nonce=7))
    child = world.make.block(bad.id)
    assert world.ledger.accept_header(bad.raw_header, world.now_ms(bad)).verdict is Verdict.HEADER
    assert world.offer(child).verdict is Verdict.BODY
    world.refuses(Rule.S2, bad)
    row = world.store.header(child.id)
    assert row is not None
    assert row.status is Status.DOOMED
    assert world.ledger.best.id == world.tip
    world.refuses(Rule.H11, child)


def test_17_headers_that_begin_with_another_block(world: World) -> None:
    other = Maker(simulated(b"another network" + bytes(17)))
    line = other.line(other.params.genesis_id, 2)
    world.refuses_header(Rule.H12, other.params.raw_genesis)
    world.refuses_header(Rule.H12, line[0].raw_header)
    world.refuses(Rule.H12, line[0])
    world.refuses_header(Rule.H6, line[1].raw_header, verdict=Verdict.ORPHAN)
    assert world.ledger.accept_header(PARAMS.raw_genesis, world.now_ms()).verdict is Verdict.KNOWN


def test_18_the_400th_of_500_headers_is_bad(world: World) -> None:
    line = world.make.line(world.tip, 500)
    raws = [block.raw_header for block in line]
    raws[399] = world.make.mined(world.make.header(line[398].id, after_s=0))
    outcome = world.ledger.accept_headers(raws, world.now_ms(line[-1]), Branch())
    assert (outcome.verdict, outcome.rule, outcome.block) == (Verdict.INVALID, Rule.H8, id_of(raws[399]))
    assert outcome.headers == tuple(block.id for block in line[:399])
    assert world.ledger.best.id == line[398].id
    assert world.height == 24


def test_19_a_flood_of_headers_with_little_work_is_not_kept(world: World) -> None:
    for block in world.make.line(world.tip, 160):
        world.accepts(block)
    flood = world.make.line(PARAMS.genesis_id, 30, miner="flood")
    raws = [block.raw_header for block in flood]
    assert world.ledger.accept_headers(raws, world.now_ms(), Branch()).verdict is Verdict.LITTLE
    assert world.ledger.accept_header(raws[0], world.now_ms()).verdict is Verdict.LITTLE
    assert world.ledger.accept_block(flood[0], world.now_ms()).verdict is Verdict.LITTLE
    assert len(world.store.at_height(1)) == 1
    assert not world.ledger.is_waiting(flood[0].id)


def test_20_a_header_of_more_than_200_bytes(world: World) -> None:
    header = decode_header(world.next().raw_header)
    raw = encode_header(attrs.evolve(header, extra=bytes(80)))
    assert len(raw) > 200
    world.refuses_header(Rule.H1, raw)
    world.refuses_header(Rule.H1, encode_header(attrs.evolve(header, extra=bytes(17))))


def test_21_a_header_that_contradicts_the_block_that_is_taken_for_valid() -> None:
    plain = World()
    assumed = plain.next(extra=b"goes on")
    world = World(attrs.evolve(PARAMS, assume_valid=(25, assumed.id)))
    other = world.next()
    world.refuses_header(Rule.H13, other.raw_header)
    world.refuses(Rule.H13, other)
    world.goes_on()
    assert world.tip == assumed.id
