"""First copies: one peer at a time has a unit that nobody else has, nobody waits for ever, and debts are seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import wire
from apps.files.core.limits import FIRST_BYTES, FIRST_COPY_S, PASS_ON_S
from apps.files.core.memory_disk import make_share
from overlay.runtime.loop import Loop
from tests.support.files_rig import Fake, Node

UNIT = 16_384
UNITS = 80
BOOK = make_share(b"book", {(b"a",): UNITS * UNIT}, unit_bytes=UNIT)


def seed_with(count: int) -> tuple[Node, list[Fake]]:
    """A seed and peers that have nothing."""
    node = Node(Loop(), BOOK, seeds=True)
    node.pass_time(1)
    peers = [Fake(node, b"peer%d" % i, held=False) for i in range(count)]
    for peer in peers:
        peer.say(wire.Interest(0, True))
    node.pass_time(1)
    return node, peers


def gets(peer: Fake, *units: int) -> set[int]:
    """It asks, and this is what it is given at once."""
    before = len(peer.heard)
    peer.say(wire.Request(0, tuple((unit, 1) for unit in units)))
    peer.node.pass_time(0.1)
    return {message.unit for message in peer.heard[before:] if isinstance(message, wire.Piece)}


def told(peer: Fake) -> set[int]:
    return {unit for message in peer.heard if isinstance(message, wire.Have) for unit in message.units}


def test_what_is_on_its_way_to_one_is_given_to_no_other_until_somebody_has_it() -> None:
    _, (a, b, c) = seed_with(3)
    assert gets(a, 1) == {1}
    assert gets(b, 1, 2) == {2}
    assert any(isinstance(message, wire.Reject) for message in b.heard)
    assert gets(a, 1) == {1}  # it may ask again
    a.say(wire.Have(0, (1,)))
    assert gets(c, 1) == set()  # it has it, and has passed it to nobody
    c.say(wire.Have(0, (1,)))
    assert told(b) == {1}
    assert gets(b, 1) == {1}


def test_nobody_waits_for_ever() -> None:
    node, (a, b) = seed_with(2)
    gets(a, 1, 2)
    gets(b, 1, 2)
    a.say(wire.Have(0, (1,)))
    node.pass_time(PASS_ON_S - 2)
    assert told(b) == set()
    node.pass_time(4)
    assert told(b) == {1}
    node.pass_time(FIRST_COPY_S)
    assert told(b) == {1, 2}
    assert gets(b, 1, 2) == {1, 2}


def test_who_leaves_keeps_nobody_waiting() -> None:
    node, (a, b) = seed_with(2)
    gets(a, 1)
    gets(b, 1)
    a.end.close()
    node.pass_time(0.1)
    assert told(b) == {1}
    assert gets(b, 1) == {1}


def test_what_only_who_left_had_goes_to_one_at_a_time_again() -> None:
    _, (a, b, c, d) = seed_with(4)
    a.say(wire.Have(0, (1, 2)))
    d.say(wire.Have(0, (2,)))
    a.end.close()
    a.node.pass_time(0.1)
    assert gets(b, 1, 2) == {1, 2}
    assert gets(c, 1, 2) == {2}, "1 is on its way to b and nowhere else"


def test_who_passes_nothing_on_is_a_debtor_and_nobody_waits_for_it() -> None:
    node, (a, b) = seed_with(2)
    most = FIRST_BYTES // UNIT
    gets(a, *range(most))
    gets(b, 1)
    assert not node.share.firsts.is_debtor(a.id)
    assert told(b) == set()
    gets(a, most)
    assert node.share.firsts.is_debtor(a.id)
    assert told(b) == {1}
    assert gets(b, 1, 2) == {1, 2}, "of what it was not refused before, too"
    b.say(wire.Have(0, tuple(range(most + 1))))
    assert not node.share.firsts.is_debtor(a.id)


steps_of = st.tuples(st.integers(0, 3), st.sampled_from(["asks", "has", "waits"]), st.integers(0, 5))


@given(st.lists(steps_of, max_size=40))
def test_whatever_they_do_all_is_given_in_the_end(steps: list[tuple[int, str, int]]) -> None:
    node, peers = seed_with(4)
    held: dict[bytes, set[int]] = {peer.id: set() for peer in peers}
    for number, what, unit in steps:
        peer = peers[number]
        if what == "asks":
            others = [other for other in peers if other is not peer and unit in held[other.id]]
            assert not others or unit in gets(peer, unit)
        elif what == "has":
            held[peer.id].add(unit)
            peer.say(wire.Have(0, (unit,)))
        else:
            node.pass_time(unit)
        firsts = node.share.firsts
        assert firsts._alone == sum(1 << one for one in firsts._given)
        assert not firsts._alone & firsts._elsewhere
    node.pass_time(FIRST_COPY_S + 2)
    for peer in peers:
        assert gets(peer, *range(6)) == set(range(6))
        node.pass_time(FIRST_COPY_S + 2)
    assert node.blamed == []
