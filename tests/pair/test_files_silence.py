"""Peers that claim much and give little: what they can hold up is bounded, and whoever else is there is asked soon."""

from __future__ import annotations

import pytest

from apps.files.core import wire
from apps.files.core.limits import (
    ANSWER_S,
    HASHES_SOON_S,
    INFO_PART_BYTES,
    INFO_RATE,
    INFO_SOON_S,
    LATE_AT_FIRST_S,
    LEAST_INFO_RATE,
    MAX_INFO_ASKED,
    MAX_INFO_BYTES,
    MAX_INFO_TRIES,
)
from apps.files.core.memory_disk import make_share
from apps.files.core.share import State
from overlay.runtime.loop import Loop
from tests.support.files_rig import Fake, Node

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 40 * UNIT}, unit_bytes=UNIT)
#: With an info dictionary of several parts.
FOLDER = make_share(b"folder", {(b"n" * 200 + b"%04d" % n,): 1 for n in range(1_200)}, unit_bytes=UNIT)
SIZE = len(FOLDER.info.raw)


def asked_parts(fake: Fake) -> list[int]:
    return [message.index for message in fake.heard if isinstance(message, wire.GetInfo)]


def questions(fake: Fake) -> int:
    return sum(isinstance(message, wire.GetHashes) for message in fake.heard)


class Dripping:
    """A peer that gives zeros in the place of the parts it is asked for, one at a time."""

    def __init__(self, node: Node, name: bytes, claims: int) -> None:
        self.fake = Fake(node, name, held=None, helpful=False, claims=claims)
        self.claims = claims
        self.given = 0

    def drip(self, *, size: int | None = None) -> None:
        asked = asked_parts(self.fake)
        if self.given < len(asked):
            index = asked[self.given]
            whole = min(INFO_PART_BYTES, self.claims - index * INFO_PART_BYTES)
            self.fake.say(wire.InfoPart(0, index, bytes(whole if size is None else size)))
            self.given += 1


# --- the info dictionary -------------------------------------------------------------------


def test_a_part_of_one_byte_is_as_good_as_none() -> None:
    node = Node(Loop(), FOLDER)
    liar = Dripping(node, b"liar", MAX_INFO_BYTES)
    node.pass_time(0.1)
    liar.drip(size=1)
    node.pass_time(3)
    assert len(asked_parts(liar.fake)) == 16  # it failed at once, and was asked again after 2 s
    for _ in range(10):  # 8 + 32 + 128 s between the others
        liar.given = len(asked_parts(liar.fake)) - 8
        liar.drip(size=1)
        node.pass_time(30)
    assert node.share.banned.keys() == {liar.fake.id}
    assert len(asked_parts(liar.fake)) == 8 * MAX_INFO_TRIES


@pytest.mark.parametrize("rate", [LEAST_INFO_RATE - 1_000, INFO_RATE + 1_000])
def test_who_claims_less_is_asked_beside_who_claims_much(rate: int) -> None:
    """However fast the other gives it."""
    node = Node(Loop(), FOLDER)
    liar = Dripping(node, b"liar", MAX_INFO_BYTES)
    for _ in range(4):
        node.pass_time(INFO_PART_BYTES / rate)
        liar.drip()
    good = Fake(node, b"good")
    node.pass_time(0.5)
    assert node.share.state is State.DOWNLOADING
    assert not good.gone


def test_beside_a_slow_peer_another_one_is_asked_that_claims_the_same() -> None:
    node = Node(Loop(), FOLDER)
    slow = Dripping(node, b"slow", SIZE)
    node.pass_time(0.1)
    Fake(node, b"good")
    node.pass_time(INFO_SOON_S - 0.5)
    assert node.share.state is State.FINDING
    slow.drip()  # 64 KiB within 2 s is slow
    node.pass_time(1.6)
    assert node.share.state is State.DOWNLOADING


def test_a_good_peer_is_asked_alone() -> None:
    node = Node(Loop(), FOLDER)
    quick = Dripping(node, b"quick", SIZE)
    node.pass_time(0.1)
    other = Fake(node, b"other")
    for _ in range(-(-SIZE // INFO_PART_BYTES) - 1):
        quick.drip()
        node.pass_time(INFO_PART_BYTES / (INFO_RATE + 1_000))
    assert asked_parts(other) == []
    quick.drip()
    node.pass_time(0.5)  # ... and it was another dictionary
    assert quick.fake.gone
    assert node.share.state is State.DOWNLOADING


def test_less_than_a_least_rate_is_a_failure() -> None:
    node = Node(Loop(), FOLDER)
    liar = Dripping(node, b"liar", SIZE)
    began, least_s = len(asked_parts(liar.fake)), ANSWER_S + SIZE / LEAST_INFO_RATE
    passed = 0
    while len(asked_parts(liar.fake)) < 9 and passed <= least_s + ANSWER_S:  # asked again, from the first part on
        if passed % 9 == 0:
            liar.drip()
        node.pass_time(1)
        passed += 1
    assert began < 9
    assert passed <= least_s


@pytest.mark.parametrize("claims", [SIZE - 1, SIZE, SIZE + 1, MAX_INFO_BYTES])
def test_many_liars_hold_it_up_for_their_number_and_not_for_what_they_claim(claims: int) -> None:
    node = Node(Loop(), FOLDER)
    liars = [Dripping(node, b"liar %d" % n, claims) for n in range(12)]
    node.pass_time(0.9)
    for _ in range(4):  # no place is left
        for liar in liars:
            liar.drip()
        node.pass_time(INFO_SOON_S)
    Fake(node, b"good")
    waited, rounds = 0, -(-len(liars) // MAX_INFO_ASKED)
    while node.share.state is State.FINDING and waited < 4_000:
        if waited % 4 == 0:
            for liar in liars:
                liar.drip()
        node.pass_time(1)
        waited += 1
    assert waited <= rounds * (ANSWER_S + SIZE // LEAST_INFO_RATE + 1) if claims <= SIZE else waited <= 1


# --- hashes --------------------------------------------------------------------------------


def silent(node: Node, number: int) -> Fake:
    fake = Fake(node, b"silent %d" % number)
    node.loop.drain()
    return fake


def test_when_one_peer_gives_no_hashes_another_is_asked_soon() -> None:
    node = Node(Loop(), BOOK)
    others = [silent(node, n) for n in range(30)]
    node.pass_time(1)
    for other in others:
        other.helpful = False
        other.say(wire.Choke(0, False))
    good = Fake(node, b"good")
    good.say(wire.Choke(0, False))
    known = waited = 0
    while node.share.state is not State.COMPLETE and waited < 100:
        good.give_all()
        node.pass_time(1)
        waited += 1
        known = known or (waited if node.share.have else 0)
    assert known <= HASHES_SOON_S + 2
    assert waited <= LATE_AT_FIRST_S + HASHES_SOON_S + 2  # the last units are those that the silent ones were asked for
    assert sum(map(questions, others)) <= 2


def test_who_gave_no_hashes_is_snubbed_and_asked_last() -> None:
    made = make_share(b"two", {(b"a",): 3 * UNIT, (b"b",): 3 * UNIT}, unit_bytes=UNIT)
    node = Node(Loop(), made)
    mute = Fake(node, b"mute")
    node.pass_time(1)
    mute.helpful = False
    mute.say(wire.Choke(0, False))
    node.pass_time(ANSWER_S + 2)
    assert node.share.channels[mute.id].snubbed
    assert ("snubbed", {"share": made.info.id, "peer": mute.id}) in node.around.events
    asked = next(message.root for message in mute.heard if isinstance(message, wire.GetHashes))
    others = [Fake(node, name, helpful=False) for name in (b"other", b"third")]
    before = questions(mute)
    assert node.share.download is not None
    file = 1 if asked == made.info.files[0].root else 0
    hashes = node.share.download.arrivals.hashes
    hashes.ask_for(node.share.channels[others[1].id], [made.layout.units_of(file).start])
    others[1].say(wire.CloseShare(0))
    assert [questions(fake) for fake in (mute, *others)] == [before, 1, 1]


def test_hashes_that_come_late_are_taken() -> None:
    node = Node(Loop(), BOOK)
    fakes = [Fake(node, b"slow"), Fake(node, b"slower")]
    node.pass_time(1)
    for fake in fakes:
        fake.helpful = False
        fake.say(wire.Choke(0, False))
        fake.give_all()
    slow = next(fake for fake in fakes if questions(fake))
    node.pass_time(ANSWER_S + 1)
    assert [questions(fake) for fake in fakes] == [1, 1]  # the other one is still asked
    assert node.share.channels[slow.id].snubbed
    question = next(message for message in slow.heard if isinstance(message, wire.GetHashes))
    slow.say(slow.layers.answer(question))
    node.pass_time(0.5)
    assert node.share.have.bit_count() == 2
