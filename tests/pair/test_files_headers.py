"""Headers of units: who signs what is false is convicted, who signs nothing gains nothing, nobody else is blamed."""

from __future__ import annotations

import attrs
import pytest

from apps.files.core import wire
from apps.files.core.evidence import verify
from apps.files.core.header import Finding, Header, encode_header, peek_header
from apps.files.core.limits import BAN_S, MAX_BANS, MIN_SIGNED_BYTES, SPOT_CHECKS
from apps.files.core.memory_disk import Made, make_share
from apps.files.core.merkle import hash_unit
from apps.files.core.share import State
from overlay.identity.network import Network
from overlay.runtime.loop import Loop
from overlay.runtime.ports import Now
from simulations.fake_keys import FakeKeyPair, fake_verify
from simulations.storage import MemoryStorage
from tests.support.files_rig import Fake, Node, fed, linked
from tests.support.swarm import REALM

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 5 * UNIT + 1, (b"b",): 3 * UNIT, (b"c",): UNIT // 2}, unit_bytes=UNIT)
LONG = make_share(b"long", {(b"long",): 400 * UNIT}, unit_bytes=UNIT)
ID = BOOK.info.id
WRONG = bytes(UNIT)


def seeding(made: Made = BOOK) -> tuple[Node, Fake]:
    """A node that has everything and serves a peer that has nothing."""
    node = Node(Loop(), made, seeds=True)
    fake = Fake(node, b"peer", held=False)
    node.pass_time(1)
    fake.say(wire.Interest(0, True))
    node.pass_time(1)
    return node, fake


def told(node: Node, event: str) -> list[dict[str, object]]:
    return [fields for name, fields in node.around.events if name == event]


def false_header(fake: Fake, unit: int, data: bytes = WRONG) -> bytes:
    true = fake.true(unit)
    return encode_header(fake.keys, REALM, attrs.evolve(true, node=hash_unit(data, true.height)))


# --- who lies ------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [WRONG, b"neither what came nor what is true"])
def test_a_false_header_with_a_corrupt_unit_is_evidence_and_ends_all_exchange(said: bytes) -> None:
    node, fake = fed(BOOK)
    fake.give(0, data=WRONG, header=false_header(fake, 0, said))
    node.pass_time(1)
    assert fake.end.over
    ((peer, evidence),) = node.around.handed
    fault = verify(evidence, REALM, fake_verify)
    assert fault is not None
    assert (peer, fault.culprit, fault.node) == (fake.id, fake.keys.key, fake.true(0).node)
    assert [event["evidence"] for event in told(node, "uploader banned")] == [evidence]
    assert list(node.around.bans.all()) == [fake.id]
    assert isinstance(Fake(node, b"seed").heard[-1], wire.Refused)
    assert verify(evidence, Network("another", puzzle_bits=0), fake_verify) is None


def test_a_true_header_with_a_corrupt_unit_ends_the_exchange_of_this_share_alone() -> None:
    node, fake = fed(BOOK)
    fake.give(0, data=WRONG)
    node.pass_time(1)
    assert fake.gone
    assert not fake.end.over
    assert [event["reason"] for event in told(node, "peer dropped")] == ["it sent a corrupt unit"]
    assert node.around.handed == []
    assert not node.around.bans.holds(fake.id)
    assert not node.share.takes(fake.id, ours=True)


def test_a_unit_without_a_header_is_not_even_looked_at() -> None:
    node, fake = fed(BOOK)
    fake.give(0, header=b"")
    node.pass_time(1)
    assert fake.gone
    assert [event["reason"] for event in told(node, "peer dropped")] == ["it signed no header for a unit"]
    assert node.share.downloaded == 0
    assert node.blamed == []


def worthless(fake: Fake) -> list[bytes]:
    """Headers for unit 0 that are worth nothing."""
    true, other = fake.true(0), FakeKeyPair(b"somebody else's key".ljust(32))
    bad = true.node[:-1] + b"?"
    return [
        b"noise",
        encode_header(other, REALM, attrs.evolve(true, node=bad)),
        encode_header(fake.keys, Network("another", puzzle_bits=0), attrs.evolve(true, node=bad)),
        encode_header(fake.keys, REALM, attrs.evolve(true, node=bad))[:-1] + b"?",
        encode_header(fake.keys, REALM, attrs.evolve(true, node=bad, height=1)),
        encode_header(fake.keys, REALM, attrs.evolve(true, node=bad, index=1)),
        encode_header(fake.keys, REALM, attrs.evolve(true, node=bad, length=true.length + 1)),
        encode_header(fake.keys, REALM, attrs.evolve(true, node=bad, root=bytes(32))),
    ]


@pytest.mark.parametrize("number", range(8))
def test_a_corrupt_unit_with_a_worthless_header_is_no_evidence_and_ends_the_exchange_of_the_share(number: int) -> None:
    node, fake = fed(BOOK)
    fake.give(0, data=WRONG, header=worthless(fake)[number])
    node.pass_time(1)
    assert fake.gone
    assert not fake.end.over
    assert node.around.handed == []


@pytest.mark.parametrize("number", range(8))
def test_worthless_headers_of_good_units_are_noticed_soon(number: int) -> None:
    node, fake = fed(LONG)
    header = worthless(fake)[number]
    while not fake.gone and fake.asked:
        fake.give(next(iter(fake.asked)), header=header)
        node.pass_time(0.01)
    assert fake.gone
    assert node.share.downloaded <= 4 * SPOT_CHECKS * UNIT
    assert node.around.handed == []


def test_false_headers_of_good_units_are_evidence_all_the_same() -> None:
    node, fake = fed(LONG)
    while not fake.end.over and fake.asked:
        unit = next(iter(fake.asked))
        fake.give(unit, header=false_header(fake, unit))
        node.pass_time(0.01)
    assert [peer for peer, _ in node.around.handed] == [fake.id]


def test_a_ban_outlives_the_process_and_ends_after_a_day() -> None:
    storage = MemoryStorage()
    node, fake = fed(BOOK, storage=storage)
    fake.give(0, data=WRONG, header=false_header(fake, 0))
    node.pass_time(1)
    again = Node(Loop(), BOOK, storage=storage)
    again.pass_time(1)
    assert again.around.bans.all() == node.around.bans.all()
    assert isinstance(Fake(again, b"seed").heard[-1], wire.Refused)
    now = again.loop.now
    again.loop.run(Now(now.mono_ns, now.wall_ms + BAN_S * 1000))
    assert again.around.bans.all() == {}
    assert isinstance(Fake(again, b"seed").heard[0], wire.Opened)


def test_a_clock_that_went_back_makes_no_ban_longer_than_a_day() -> None:
    storage, ahead, right = MemoryStorage(), Loop(), Loop()
    ahead.run(Now(0, 10**12))
    right.run(Now(0, 10**9))
    node = Node(ahead, BOOK, storage=storage)
    fake = Fake(node, b"seed")
    node.around.bans.convict(fake.id, b"evidence")
    node.pass_time(1)
    assert Node(right, BOOK, storage=storage).around.bans.all()[fake.id].until_ms == 10**9 + BAN_S * 1000


def test_bans_are_bounded_and_the_first_to_end_goes() -> None:
    node = Node(Loop(), BOOK)
    fake = Fake(node, b"seed")
    for number in range(MAX_BANS + 3):
        node.around.sessions[peer := number.to_bytes(32, "big")] = fake.session
        node.loop.run(Now(node.loop.now.mono_ns, node.loop.now.wall_ms + 1))
        node.around.bans.convict(peer, b"evidence")
        node.around.bans.convict(peer, b"more of it")
    node.pass_time(1)
    kept = node.around.bans.all()
    assert [int.from_bytes(peer, "big") for peer in kept] == list(range(3, MAX_BANS + 3))
    assert {ban.evidence for ban in kept.values()} == {b"evidence"}
    assert Node(node.loop, BOOK, storage=node.around.storage).around.bans.all() == kept


# --- who does not --------------------------------------------------------------------------


def test_what_a_node_gives_is_signed_and_true() -> None:
    node, fake = seeding()
    fake.say(wire.Request(0, ((0, BOOK.layout.units),)))
    node.pass_time(1)
    pieces = [message for message in fake.heard if isinstance(message, wire.Piece)]
    assert [piece.unit for piece in pieces] == list(range(BOOK.layout.units))
    for piece in pieces:
        if len(piece.data) < MIN_SIGNED_BYTES:
            assert piece.header == b""
        else:
            assert peek_header(piece.header) == (node.keys.key, fake.true(piece.unit))
            assert node.around.headers.judge(piece.header, node.id, fake.true(piece.unit)) is Finding.TRUE


def test_a_peer_without_keys_gets_units_without_headers() -> None:
    node = Node(Loop(), BOOK, seeds=True)
    fake = Fake(node, b"peer", held=False, signs=False)
    node.pass_time(1)
    fake.say(wire.Interest(0, True))
    node.pass_time(1)
    fake.say(wire.Request(0, ((0, 2),)))
    node.pass_time(1)
    assert [message.header for message in fake.heard if isinstance(message, wire.Piece)] == [b"", b""]


def test_a_peer_without_keys_is_believed_without_headers() -> None:
    node, fake = fed(LONG, signs=False)
    while fake.asked:
        fake.give_all()
        node.pass_time(1)
    assert node.share.state is State.COMPLETE


def test_a_rotten_disk_is_noticed_and_nothing_of_it_is_sent() -> None:
    loop = Loop()
    seed, leecher = Node(loop, BOOK, seeds=True), Node(loop, BOOK)
    seed.disk.rotten[ID] = {1, 7}
    _, session = linked(seed, leecher)
    leecher.pass_time(1)
    session.open_share(leecher.share)
    leecher.pass_time(20)
    assert sorted(leecher.disk.held[ID]) == [unit for unit in range(BOOK.layout.units) if unit not in (1, 7)]
    assert sorted((event["file"], event["unit"]) for event in told(seed, "withdrawn")) == [(0, 1), (1, 1)]
    assert leecher.disk.corrupt == 0
    assert told(leecher, "peer dropped") == leecher.around.handed == leecher.blamed == []


def test_a_unit_whose_hash_is_not_proved_here_is_not_given_and_not_lost() -> None:
    node, fake = seeding()
    node.disk.layers[ID, 0] = bytes(len(node.disk.layers[ID, 0]))
    fake.say(wire.Request(0, ((0, BOOK.layout.units),)))
    node.pass_time(1)
    given = [message.unit for message in fake.heard if isinstance(message, wire.Piece)]
    refused = [unit for one in fake.heard if isinstance(one, wire.Reject) for unit in wire.units_in(one.runs)]
    assert (given, refused) == ([6, 7, 8, 9], [0, 1, 2, 3, 4, 5])
    assert told(node, "withdrawn") == []
    assert node.share.have == node.share.all


def test_a_header_that_is_sent_again_is_signed_once() -> None:
    node, fake = seeding()
    signed: list[Header] = []
    keys = node.around.headers.signer

    class Counting(FakeKeyPair):
        def sign(self, data: bytes) -> bytes:
            signed.append(fake.true(0))
            return keys.sign(data)

    node.around.headers.signer = Counting(keys.key)
    for _ in range(3):
        fake.say(wire.Request(0, ((0, 1),)))
        node.pass_time(1)
    assert len([message for message in fake.heard if isinstance(message, wire.Piece)]) == 3
    assert len(signed) == 1
