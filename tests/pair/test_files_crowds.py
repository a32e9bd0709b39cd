"""Many peers of one share: none of them, and not all together, keeps others out or this node from looking for more."""

from __future__ import annotations

import pytest

from apps.files.core import codec, wire
from apps.files.core.crowding import has_room
from apps.files.core.limits import (
    MAX_CANDIDATES,
    MAX_CONDUCTS,
    MAX_EARLY_BYTES,
    MAX_HOLD_BYTES,
    MAX_PEERS_TOLD,
    MAX_RETURNS,
    MAX_SESSIONS_PER_ADDRESS,
    MAX_SHARE_DIALS,
    MAX_SOURCES,
    MAX_THEIR_CHANNELS,
    PEX_S,
    SILENT_S,
    USELESS_S,
    WANTED_PEERS,
)
from apps.files.core.links import Hint
from apps.files.core.memory_disk import make_share
from apps.files.core.session import Session
from apps.files.core.share import State
from apps.files.core.sources import Sources
from overlay.errors import TimedOut
from overlay.identity.node_id import node_id_of
from overlay.runtime.address import Address, parse_address
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND
from simulations.fake_keys import FakeKeyPair
from tests.support.files_rig import ADDRESS, End, Fake, Node, no_stranger

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 5 * UNIT + 1, (b"b",): 3 * UNIT}, unit_bytes=UNIT)


class Asked:
    """A peer that the node has asked to exchange the share, and that answers when the test says so."""

    def __init__(self, node: Node, name: bytes) -> None:
        self.heard: list[wire.Message | None] = []
        self.node, self.id = node, node_id_of(FakeKeyPair(name.ljust(32, b".")).key)
        self.end = End(node.loop, self.id, False, lambda raw: self.heard.append(codec.decode(raw)))
        self.session = node.session(self.end)
        self.session.open_share(node.share)
        node.loop.drain()

    def answer(self, held: wire.Held) -> None:
        self.end.give(codec.encode(wire.Opened(0, len(BOOK.info.raw), held)))
        self.node.loop.drain()


class Looking:
    """The sources of a node's share, whose dials fail after five seconds."""

    def __init__(self, node: Node) -> None:
        self.looks: list[float] = []
        self.dials: list[bytes] = []
        self.found: list[bytes] = []
        self.node = node
        self.there: dict[bytes, Address] = {}
        self.sources = Sources(node.share, node.id, self.reach, self.look_up, answers_at=self.there.get)
        node.share.on_peers, node.share.on_left = self.sources.on_peers, self.sources.left
        node.loop.spawn_root(self.sources.run(), name="sources")
        node.pass_time(1)

    async def look_up(self, key: bytes) -> list[bytes]:
        self.looks.append(self.node.loop.now.mono_ns / SECOND)
        return self.found

    async def reach(self, peer: bytes, hints: tuple[Address, ...]) -> Session:
        self.dials.append(peer)
        await self.node.loop.sleep(5 * SECOND)
        raise TimedOut("nobody is there")


def downloading() -> tuple[Node, Fake]:
    node = Node(Loop(), BOOK)
    seed = Fake(node, b"seed")
    node.pass_time(2)
    assert node.share.state is State.DOWNLOADING
    return node, seed


# --- places of a share --------------------------------------------------------------------


@pytest.mark.parametrize("finding", [True, False])
def test_who_answers_when_all_places_are_taken_ends_nothing(finding: bool) -> None:
    node = Node(Loop(), BOOK) if finding else downloading()[0]
    asked = [Asked(node, b"asked %d" % number) for number in range(MAX_SOURCES + 1)]
    fakes = [Fake(node, b"other %d" % number, held=False, helpful=False) for number in range(MAX_SOURCES)]
    node.pass_time(1)
    for one in asked:
        one.answer(held=True)
    node.pass_time(1)
    assert len(node.share.channels) == MAX_SOURCES
    assert isinstance(asked[-1].heard[-1], wire.CloseShare)
    assert node.loop.crashed == []
    for one in (*asked, *fakes):
        one.end.close()
    node.pass_time(1)
    assert len(node.share.channels) == (0 if finding else 1)  # the seed
    good = Fake(node, b"good")
    node.pass_time(400)
    assert node.share.state is State.DOWNLOADING
    assert good.id in node.share.channels
    assert node.loop.crashed == []


def test_others_have_so_many_places_and_this_node_the_rest() -> None:
    node, _ = downloading()
    fakes = [Fake(node, b"other %d" % number) for number in range(MAX_SOURCES)]
    assert sum(not fake.gone for fake in fakes) == MAX_THEIR_CHANNELS - 1
    asked = [Asked(node, b"asked %d" % number) for number in range(WANTED_PEERS + 1)]
    for one in asked:
        one.answer(held=True)
    assert len(node.share.channels) == MAX_SOURCES
    assert [one.id in node.share.channels for one in asked] == WANTED_PEERS * [True] + [False]


def test_who_is_there_may_come_again_when_all_places_are_taken() -> None:
    node, _ = downloading()
    for number in range(MAX_SOURCES):
        Fake(node, b"other %d" % number)
    again = Fake(node, b"other 0")
    assert not again.gone
    assert node.share.channels[again.id].session is again.session


@pytest.mark.parametrize(("wants", "patience_s"), [(False, USELESS_S), (True, SILENT_S)])
def test_who_is_of_no_use_makes_room(wants: bool, patience_s: int) -> None:
    node, seed = downloading()
    fakes = [Fake(node, b"other %d" % number, held=False) for number in range(MAX_THEIR_CHANNELS - 1)]
    if wants:
        for fake in fakes:
            fake.say(wire.Interest(0, True))
    node.pass_time(patience_s - 5)
    seed.say(wire.Choke(0, False))
    seed.give(next(iter(seed.asked)))  # who gives stays
    assert Fake(node, b"early").gone
    node.pass_time(5)
    assert not Fake(node, b"late").gone
    assert [fake.gone for fake in fakes] == [True] + (len(fakes) - 1) * [False]
    assert not seed.gone


def test_no_peer_that_has_nothing_counts_as_a_source() -> None:
    node, seed = downloading()
    looking = Looking(node)
    for number in range(WANTED_PEERS):
        Fake(node, b"useless %d" % number, held=False)
    seed.end.close()
    node.pass_time(USELESS_S)
    looking.looks.clear()
    looking.sources.add_hints([Hint(b"\7" * 32, ADDRESS)])
    node.pass_time(3600)
    assert len(looking.looks) >= 4
    assert b"\7" * 32 in looking.dials


@pytest.mark.parametrize("away", [False, True], ids=["moved", "away for a while"])
def test_who_is_seen_again_is_tried_at_once(away: bool) -> None:
    node, seed = downloading()
    looking = Looking(node)
    peer, here, there = b"\7" * 32, parse_address("192.0.2.1:4433"), parse_address("192.0.2.2:4433")
    looking.there[peer] = here
    looking.sources.add([peer])
    seed.end.close()
    node.pass_time(100)  # 5, 2, 5, 8, 5, 32, 5: now it waits for 128 s
    tried = looking.dials.count(peer)
    assert tried == 4
    if away:
        del looking.there[peer]
        node.pass_time(3)
        assert looking.dials.count(peer) == tried
    looking.there[peer] = here if away else there
    node.pass_time(4)
    assert looking.dials.count(peer) == tried + 1


def test_who_comes_and_goes_does_not_use_up_our_dials() -> None:
    node, seed = downloading()
    looking = Looking(node)
    peer = b"\7" * 32
    looking.sources.add([peer])
    seed.end.close()
    for number in range(100):
        looking.there[peer] = parse_address(f"192.0.2.{number}:4433")
        node.pass_time(10)
    assert looking.dials.count(peer) <= 6 + MAX_RETURNS


def test_peers_that_never_give_count_as_sources_for_a_while_only() -> None:
    node, _ = downloading()
    for number in range(WANTED_PEERS):
        Fake(node, b"silent %d" % number)
    looking = Looking(node)
    node.pass_time(SILENT_S - 10)
    assert looking.looks == []
    node.pass_time(60)
    assert looking.looks != []


def test_while_something_is_missing_our_places_are_for_who_may_give_it() -> None:
    node, _ = downloading()
    takers = [Asked(node, b"taker %d" % number) for number in range(WANTED_PEERS)]
    for one in takers:
        one.answer(held=False)
        one.end.give(codec.encode(wire.Interest(0, True)))
    late = Asked(node, b"late")
    late.answer(held=True)
    assert late.id not in node.share.channels
    node.pass_time(USELESS_S)
    again = Asked(node, b"again")
    again.answer(held=True)
    assert again.id in node.share.channels
    assert len(node.share.channels) == WANTED_PEERS + 1


# --- what peers tell ----------------------------------------------------------------------


def names(first: int, count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(first, first + count)]


def told(ids: list[bytes]) -> wire.Peers:
    return wire.Peers(0, tuple((name, ADDRESS) for name in ids))


def test_one_peer_that_names_others_all_the_time_keeps_nobody_from_looking() -> None:
    node = Node(Loop(), BOOK)
    bad = Fake(node, b"pex")
    node.pass_time(2)
    looking = Looking(node)
    for number in range(60):
        bad.say(told(names(1 + MAX_PEERS_TOLD * number, MAX_PEERS_TOLD)))
        if number == 30:
            looking.found = names(10**9, 8)  # whom the DHT names is dialled before those
        node.pass_time(PEX_S)
    assert len(looking.looks) >= 8
    assert set(looking.found) <= set(looking.dials)
    first = min(map(looking.dials.index, looking.found))
    assert set(looking.dials[first : first + 8 + MAX_SHARE_DIALS]) >= set(looking.found)
    assert len(looking.sources._candidates) <= MAX_PEERS_TOLD + 9


def test_what_peers_tell_leaves_room_for_others() -> None:
    node, _ = downloading()
    looking = Looking(node)
    for number in range(20):
        Fake(node, b"teller %d" % number).say(told(names(100 * (number + 1), MAX_PEERS_TOLD)))
    assert looking.sources.known <= MAX_CANDIDATES // 2 + 1
    hints = names(10**6, MAX_CANDIDATES // 2)
    looking.sources.add(hints)
    assert set(hints) <= set(looking.sources._candidates)


def test_a_peer_tells_of_others_twice_a_minute_whatever_channel_it_uses() -> None:
    node, _ = downloading()
    looking = Looking(node)
    fake = Fake(node, b"teller")
    for number in range(3):
        fake.say(told(names(1000 * (number + 1), 3)))
        fake.say(wire.CloseShare(0))
        again = Fake(node, b"teller")
        again.say(told(names(5000 * (number + 1), 3)))
        fake = again
    assert set(names(1000, 3)) <= set(looking.sources._candidates)
    assert looking.sources.known == 3
    node.pass_time(PEX_S / 2)
    fake.say(told(names(7, 3)))
    assert set(names(7, 3)) <= set(looking.sources._candidates)


def test_a_peer_is_told_of_others_once_a_minute_whatever_channel_it_uses() -> None:
    node, _ = downloading()
    Looking(node)
    heard = 0
    for _ in range(10):
        fake = Fake(node, b"curious")
        node.pass_time(2)
        heard += sum(isinstance(message, wire.Peers) for message in fake.heard)
        fake.say(wire.CloseShare(0))
    assert heard == 1


# --- what outlives a channel --------------------------------------------------------------


def reopened(node: Node, fake: Fake, number: int, *messages: wire.Message) -> None:
    fake.say(wire.CloseShare(2 * number - 2))
    fake.say(wire.Open(2 * number, BOOK.info.id, len(BOOK.info.raw), True))
    for message in messages:
        fake.say(message)


@pytest.mark.parametrize("what", ["a flood of chokes", "a flood of HAVE"])
def test_a_flood_over_many_channels_is_one(what: str) -> None:
    node, fake = downloading()
    for number in range(1, 16):
        units = tuple(range(BOOK.layout.units))
        one = wire.Choke(2 * number, False) if what == "a flood of chokes" else wire.Have(2 * number, units)
        reopened(node, fake, number, *[one] * 100)
        node.pass_time(0.1)
    assert node.blamed == [(fake.id, what)]


def test_a_flood_over_many_sessions_is_one() -> None:
    node, _ = downloading()
    for _ in range(10):
        fake = Fake(node, b"comes again")
        for _ in range(30):
            fake.say(wire.Choke(0, False))
        fake.end.close()
        node.pass_time(0.1)
    assert [reason for _, reason in node.blamed] == ["a flood of chokes"]


def test_who_opens_a_share_all_the_time_is_refused_for_a_while() -> None:
    node, fake = downloading()
    for number in range(1, 40):
        reopened(node, fake, number)
    refused = [message for message in fake.heard if isinstance(message, wire.Refused)]
    assert {message.reason for message in refused} == {"too often"}
    assert node.blamed == []
    node.pass_time(2)
    reopened(node, fake, 40)
    assert fake.id in node.share.channels


def test_the_conduct_of_so_many_is_known() -> None:
    node, seed = downloading()
    mine = node.share.conducts.of(seed.id)
    for number in range(MAX_CONDUCTS + 10):
        node.share.conducts.of(number.to_bytes(32, "big"))
    assert len(node.share.conducts) == MAX_CONDUCTS
    assert node.share.conducts.of(seed.id) is mine  # it is here


# --- what is said too early ---------------------------------------------------------------


def test_all_peers_together_say_so_much_too_early_and_nothing_of_an_honest_one_is_lost() -> None:
    node = Node(Loop(), BOOK)
    for number in range(40):
        liar = Fake(node, b"liar %d" % number, held=None)
        for part in range(3):
            liar.say(wire.Hold(0, 0, b"\xff" * MAX_HOLD_BYTES, 8 * MAX_HOLD_BYTES * (part % 2)))
    assert MAX_EARLY_BYTES // 2 < node.share.hearing.early_bytes <= MAX_EARLY_BYTES
    honest = Fake(node, b"honest", held=b"\xf0\x00")
    node.pass_time(2)
    assert node.share.state is State.DOWNLOADING
    assert node.share.hearing.early_bytes == 0
    opened = next(message for message in honest.heard if isinstance(message, wire.Open))
    honest.say(wire.Opened(opened.channel, len(BOOK.info.raw), b"\xf0\x00"))
    assert node.share.channels[honest.id].held == 0b1111
    assert node.loop.crashed == []


def test_what_was_said_too_early_goes_with_the_peer() -> None:
    node = Node(Loop(), BOOK)
    fake = Fake(node, b"early", held=None, helpful=False)
    fake.say(wire.Hold(0, 0, b"\xff" * 100, 0))
    assert node.share.hearing.early_bytes == 100
    fake.end.close()
    node.pass_time(1)
    assert node.share.hearing.early_bytes == 0


# --- sessions -----------------------------------------------------------------------------


def sessions_of(node: Node, count: int, address: str, *, incoming: bool = True) -> list[Session]:
    made = []
    for number in range(count):
        peer = number.to_bytes(30, "big") + bytes([incoming, len(address)])
        end = End(node.loop, peer, incoming, lambda _: None, parse_address(f"{address}:4433"))
        made.append(node.session(end))
    node.loop.drain()
    return made


def test_sessions_of_others_take_no_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.files.core.crowding.MAX_THEIR_SESSIONS", 4)
    monkeypatch.setattr("apps.files.core.crowding.MAX_OWN_SESSIONS", 3)
    node, _ = downloading()
    theirs = sessions_of(node, 4, "10.0.1.1")
    elsewhere = parse_address("10.0.2.2:4433")
    gone: list[Session] = []
    assert not has_room(theirs, elsewhere, gone.append)
    assert has_room(theirs, None, gone.append)
    ours = sessions_of(node, 3, "10.0.1.1", incoming=False)
    assert not has_room(ours, None, gone.append)
    assert has_room(ours, elsewhere, gone.append)
    assert gone == []


def test_of_one_address_so_many_sessions_come() -> None:
    node, _ = downloading()
    theirs = sessions_of(node, MAX_SESSIONS_PER_ADDRESS, "10.0.1.1")
    gone: list[Session] = []
    assert not has_room(theirs, parse_address("10.0.1.1:1"), gone.append)
    assert has_room(theirs, parse_address("10.0.1.2:1"), gone.append)
    assert gone == []


def test_sessions_that_are_of_no_use_make_room_first_those_of_the_largest_crowd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.files.core.crowding.MAX_THEIR_SESSIONS", 4)
    node, seed = downloading()
    alone = sessions_of(node, 1, "10.0.3.3")
    node.pass_time(1)
    crowd = sessions_of(node, 2, "10.0.1.1")
    theirs = [seed.session, *alone, *crowd]
    elsewhere = parse_address("10.0.2.2:4433")
    gone: list[Session] = []
    node.pass_time(USELESS_S)
    assert has_room(theirs, elsewhere, gone.append)
    assert gone in ([crowd[0]], [crowd[1]])
    theirs = [seed.session, *alone, *sessions_of(node, 2, "10.0.1.1")]
    assert has_room(theirs, elsewhere, gone.append)
    assert gone[1:] == alone
    node.pass_time(SILENT_S - USELESS_S - 10)
    assert seed.session.idle_ns == 0  # it may give something yet
    node.pass_time(20)
    assert seed.session.idle_ns
    no_stranger(seed)
    seed.say(wire.Choke(0, False))
    seed.give_all()
    node.pass_time(1)
    assert seed.session.idle_ns == 0


def test_a_session_is_not_less_idle_for_channels_that_come_and_go() -> None:
    node, _ = downloading()
    fake = Fake(node, b"restless", held=False)
    node.pass_time(USELESS_S - 1)
    reopened(node, fake, 1)
    fake.say(wire.CloseShare(2))
    node.pass_time(1)
    assert fake.session.idle_ns
