"""Sessions of file sharing: two nodes in virtual time, and one node with peers that say what they like."""

from __future__ import annotations

from itertools import pairwise

import pytest

from apps.files.core import codec, wire
from apps.files.core.limits import ANSWER_S, MAX_ASKED_UNITS, MAX_IDLE_HAVES, MAX_INFO_TRIES, MAX_WINDOW_BYTES
from apps.files.core.memory_disk import make_share
from apps.files.core.share import State
from overlay.errors import BadMessage
from overlay.runtime.loop import Loop
from tests.support.files_rig import Fake, Node, fed, linked, no_stranger

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 5 * UNIT + 1, (b"b",): 3 * UNIT, (b"empty",): 0}, unit_bytes=UNIT)
UNITS = BOOK.layout.units


def alone() -> Node:
    return Node(Loop(), BOOK)


def test_of_a_stranger_one_unit_is_at_stake_until_it_is_verified() -> None:
    node = alone()
    fake = Fake(node, b"seed")
    node.pass_time(1)
    fake.say(wire.Choke(0, False))
    node.pass_time(1)
    assert len(fake.asked) == 1
    fake.give_all()
    node.pass_time(1)
    assert len(fake.asked) == UNITS - 1


def test_a_stranger_whose_first_unit_is_corrupt_is_done_with() -> None:
    node = alone()
    fake = Fake(node, b"seed")
    node.pass_time(1)
    fake.say(wire.Choke(0, False))
    node.pass_time(1)
    unit = next(iter(fake.asked))
    fake.give(unit, data=bytes(BOOK.layout.unit(unit).length))
    assert not fake.asked  # nothing more before it is verified
    node.pass_time(1)
    assert fake.gone
    assert fake.id in node.share.banned


def test_a_seed_and_a_leecher() -> None:
    loop = Loop()
    seed, leecher = Node(loop, BOOK, seeds=True), Node(loop, BOOK)
    _, session = linked(seed, leecher)
    leecher.pass_time(1)
    session.open_share(leecher.share)
    leecher.pass_time(10)
    assert leecher.share.state is State.COMPLETE
    assert leecher.disk.finished == [BOOK.info.id]
    assert (leecher.share.downloaded, leecher.share.wasted) == (BOOK.info.length, 0)
    assert seed.share.uploaded == BOOK.info.length
    assert leecher.share.channels == seed.share.channels == {}  # two seeds have nothing to tell each other
    assert loop.crashed == []


def test_two_that_open_the_same_share_at_once_have_one_channel() -> None:
    loop = Loop()
    a, b = Node(loop, BOOK, seeds=True), Node(loop, BOOK)
    at_a, at_b = linked(a, b)
    a.pass_time(1)
    at_a.open_share(a.share)
    at_b.open_share(b.share)
    a.pass_time(10)
    assert b.share.state is State.COMPLETE
    assert b.share.wasted == 0
    assert (a.blamed, b.blamed, loop.crashed) == ([], [], [])


def test_two_halves_make_two_wholes() -> None:
    loop = Loop()
    a, b = Node(loop, BOOK, seed=1), Node(loop, BOOK, seed=2)
    for node, units in ((a, range(4)), (b, range(4, UNITS))):
        fake = Fake(node, b"seed", held=True)
        node.pass_time(1)
        no_stranger(fake)
        fake.say(wire.Choke(0, False))
        node.pass_time(0.1)
        for unit in [unit for unit in fake.asked if unit in units]:
            fake.give(unit)
        node.pass_time(1)
        assert sorted(node.disk.held[BOOK.info.id]) == list(units)
        fake.say(wire.CloseShare(0))
    at_a, _ = linked(a, b)
    at_a.open_share(a.share)
    a.pass_time(30)
    assert a.share.state is b.share.state is State.COMPLETE
    assert a.share.wasted == b.share.wasted == 0
    assert loop.crashed == []


def test_what_is_asked_is_bounded_and_comes_once() -> None:
    node, fake = fed(BOOK)
    assert sorted(fake.asked) == list(range(UNITS))
    assert sum(BOOK.layout.unit(unit).length for unit in fake.asked) <= MAX_WINDOW_BYTES
    fake.give_all()
    node.pass_time(1)
    assert node.share.state is State.COMPLETE
    assert node.share.downloaded == BOOK.info.length
    asked = [
        unit for message in fake.heard if isinstance(message, wire.Request) for unit in wire.units_in(message.runs)
    ]
    assert sorted(asked) == list(range(UNITS))


def test_a_corrupt_unit_names_its_sender_and_two_end_it_with_a_peer_that_has_no_key() -> None:
    node, fake = fed(BOOK, signs=False)
    fake.give(0, data=bytes(UNIT))
    node.pass_time(1)
    assert [(name, fields["peer"], fields["unit"]) for name, fields in node.around.events if name == "corrupt"] == [
        ("corrupt", fake.id, 0)
    ]
    assert 0 not in fake.asked
    assert not fake.gone
    fake.give(1, data=bytes(UNIT))
    node.pass_time(1)
    assert fake.gone
    again = Fake(node, b"seed", signs=False)
    assert isinstance(again.heard[-1], wire.Refused)
    good = Fake(node, b"good")
    no_stranger(good)
    good.say(wire.Choke(0, False))
    node.pass_time(1)
    good.give_all()
    node.pass_time(1)
    assert node.share.state is State.COMPLETE
    assert node.disk.corrupt == 2 * UNIT


def test_answers_to_withdrawn_requests_are_welcome() -> None:
    node, fake = fed(BOOK)
    fake.say(wire.Choke(0, True))
    fake.say(wire.Choke(0, False))
    for unit in range(UNITS):  # as many as were asked for before the choke
        fake.give(unit)
    fake.give(0)
    node.pass_time(1)
    assert node.blamed == []
    assert node.share.state is State.COMPLETE
    assert node.share.wasted in (0, UNIT)


@pytest.mark.parametrize(
    "bad",
    [
        wire.Piece(0, 0, 0, bytes(5)),
        wire.Piece(0, UNITS, 0, bytes(UNIT)),
        wire.Piece(0, 0, UNIT, bytes(UNIT)),
        wire.Have(0, (UNITS,)),
        wire.Request(0, ((UNITS - 1, 2),)),
        wire.Hold(0, 1, b"\xff", 0),
        wire.Hold(0, 1, b"\xff", 1 << 15),
        wire.Open(1, bytes(32), 0, None),
        wire.Open(0, bytes(32), 0, None),
    ],
)
def test_what_no_correct_peer_says_ends_the_session_and_is_blamed(bad: wire.Message) -> None:
    node, fake = fed(BOOK)
    fake.say(bad)
    node.pass_time(1)
    assert fake.end.over
    assert [peer for peer, _ in node.blamed] == [fake.id]
    assert node.share.channels == {}
    assert node.loop.crashed == []


def test_a_unit_that_nobody_asked_for_is_blamed() -> None:
    node, fake = fed(BOOK)
    fake.give(0)
    fake.give(0)
    node.pass_time(1)
    assert node.blamed == [(fake.id, "a unit that nobody asked for")]


def test_unknown_channels_and_messages_of_later_versions_are_ignored() -> None:
    node, fake = fed(BOOK)
    for message in (wire.Have(40, (1,)), wire.Piece(40, 1, 0, b"?"), wire.CloseShare(9), wire.Opened(0, 1, True)):
        fake.say(message)
    fake.end.give(b"\x63later")
    node.pass_time(1)
    assert node.blamed == []
    assert not fake.gone


def test_a_flood_of_have_is_ended() -> None:
    node, fake = fed(BOOK)
    for _ in range(MAX_IDLE_HAVES // UNITS + 1):
        fake.say(wire.Have(0, tuple(range(UNITS))))
    assert node.blamed == [(fake.id, "a flood of HAVE")]


def test_requests_are_answered_if_unchoked_rejected_otherwise() -> None:
    node = Node(Loop(), BOOK, seeds=True)
    fake = Fake(node, b"peer", held=False)
    node.pass_time(1)
    fake.say(wire.Request(0, ((0, 2),)))
    assert fake.heard[-1] == wire.Reject(0, ((0, 2),))
    fake.say(wire.Interest(0, True))
    node.pass_time(1)
    assert wire.Choke(0, False) in fake.heard
    fake.say(wire.Request(0, ((0, 2), (0, 1))))
    fake.say(wire.Cancel(0, ((1, 1),)))
    node.pass_time(1)
    pieces = [message.unit for message in fake.heard if isinstance(message, wire.Piece)]
    assert pieces in ([0], [0, 1])
    with pytest.raises(BadMessage):
        codec.decode(codec.encode(wire.Request(0, ((0, MAX_ASKED_UNITS + 1),))))


def test_a_peer_that_says_nothing_is_snubbed_and_asked_for_one_unit_at_a_time() -> None:
    node, fake = fed(BOOK)
    node.pass_time(70)
    assert ("snubbed", {"share": BOOK.info.id, "peer": fake.id}) in node.around.events
    assert len(fake.asked) == 1
    other = Fake(node, b"other")
    no_stranger(other)
    other.say(wire.Choke(0, False))
    node.pass_time(1)
    assert len(other.asked) >= UNITS - 1
    other.give_all()
    node.pass_time(30)
    other.give_all()
    node.pass_time(1)
    assert node.share.state is State.COMPLETE


def test_hashes_that_lead_nowhere_end_it_and_are_asked_of_another() -> None:
    node = alone()
    fake = Fake(node, b"liar", helpful=False)
    helper = Fake(node, b"helper", held=False)
    node.pass_time(1)
    assert node.share.info is not None  # of the helper
    fake.say(wire.Choke(0, False))
    question = next(message for message in fake.heard if isinstance(message, wire.GetHashes))
    wrong = bytes(len(fake.layers.answer(question).hashes))
    fake.say(wire.Hashes(0, question.root, question.base, question.index, question.count, wrong))
    node.pass_time(1)
    assert fake.gone
    assert any(isinstance(message, wire.GetHashes) for message in helper.heard)


def test_another_info_dictionary_is_not_taken() -> None:
    node = alone()
    liar = Fake(node, b"liar", helpful=False)
    node.pass_time(0.1)
    assert any(isinstance(message, wire.GetInfo) for message in liar.heard)
    liar.say(wire.InfoPart(0, 0, b"d" * len(BOOK.info.raw)))
    node.pass_time(1)
    assert liar.gone
    assert node.share.state is State.FINDING
    Fake(node, b"good")
    node.pass_time(1)
    assert node.share.state is State.DOWNLOADING


def test_a_peer_that_cannot_give_the_info_dictionary_is_asked_after_pauses_and_then_dropped() -> None:
    node = alone()
    empty = Fake(node, b"empty", helpful=False)
    answered, asked_at = 0, []
    for second in range(400):
        while (asked := sum(isinstance(message, wire.GetInfo) for message in empty.heard)) > answered:
            answered = asked
            asked_at.append(second)
            empty.say(wire.InfoPart(0, 0, b""))
        node.pass_time(1)
    gaps = [later - before for before, later in pairwise(asked_at)]
    assert (len(asked_at), gaps) == (MAX_INFO_TRIES, [2, 8, 32, 128])
    assert empty.gone
    Fake(node, b"good")
    node.pass_time(1)
    assert node.share.state is State.DOWNLOADING


def test_while_one_peer_is_not_asked_for_the_info_dictionary_another_is() -> None:
    node = alone()
    silent = Fake(node, b"silent", helpful=False)
    node.pass_time(ANSWER_S + 1)
    Fake(node, b"good")
    node.pass_time(1)
    assert node.share.state is State.DOWNLOADING
    assert not silent.gone


def test_who_is_snubbed_does_not_keep_the_last_unit_from_others() -> None:
    node = alone()
    last = BOOK.layout.units_of(0)[-1]
    silent = Fake(node, b"silent", held=(1 << 15 - last).to_bytes(2, "big")[: -(-UNITS // 8)])
    node.pass_time(1)
    silent.say(wire.Choke(0, False))
    node.pass_time(20)
    good = Fake(node, b"good")
    no_stranger(good)
    good.say(wire.Choke(0, False))
    for _ in range(10):
        good.give_all()
        node.pass_time(1)
    assert node.share.state is State.COMPLETE
