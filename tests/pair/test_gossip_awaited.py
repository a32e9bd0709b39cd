"""Announcements of bodies that never come: what strangers may make a subscriber wait for, dial and remember."""

from __future__ import annotations

import pytest

from overlay.gossip.fetch import Fetches
from overlay.identity.network import Context
from overlay.limits import (
    KEPT_S,
    MAX_AWAITED,
    MAX_AWAITED_BYTES,
    MAX_AWAITED_BYTES_PER_AUTHOR,
    MAX_AWAITED_PER_AUTHOR,
    MAX_BODY_RUNNING,
    MAX_BODY_SOURCES,
    MAX_LARGE_BODY,
)
from overlay.runtime.ports import SECOND
from overlay.wire import cbor, cose
from overlay.wire.gossip import Call, Gossiped, Graft, Have, Publish
from overlay.wire.publication import encode_publication, message_id
from overlay.wire.registry import GossipStatus
from simulations.invariants.bounds import sizes
from tests.support.gossiping import TOPIC, Strangers, bodies, subscribed
from tests.support.pair import REALM, Pair, keys_of
from tests.support.swarm import Swarm
from tests.support.topics import body_of_size, delivered, drip, pass_on, publish, settled_lan

BIG = 200_000


def announced(link: Pair, number: int, *, author: int = 7, size: int = 2000) -> bytes:
    body = number.to_bytes(4, "big") + bytes(size - 4)
    return encode_publication(keys_of(author), REALM, "chat", link.now.wall_ms + number, body)


def fetches(link: Pair) -> Fetches:
    return link.b.gossip._exchange.fetches


def bounded(link: Pair) -> None:
    assert [what for what, size, most in sizes(link.b) if size > most] == []


def test_of_one_author_so_many_are_awaited_and_others_have_their_own_place() -> None:
    link = subscribed()
    strangers = Strangers(link)
    raw = [announced(link, number) for number in range(MAX_AWAITED_PER_AUTHOR + 5)]
    for one in raw:
        strangers.sends(Publish(one))
    assert len(fetches(link)) == MAX_AWAITED_PER_AUTHOR
    # What found no place is not taken for seen: whoever has it may offer it later.
    assert [message_id(one) in link.b.gossip.state.memory for one in raw] == [True] * MAX_AWAITED_PER_AUTHOR + [
        False
    ] * 5
    strangers.sends(Publish(announced(link, 1, author=8)))
    assert len(fetches(link)) == MAX_AWAITED_PER_AUTHOR + 1
    bounded(link)


def test_of_one_author_so_many_bytes_are_awaited_and_of_all() -> None:
    link = subscribed()
    strangers = Strangers(link)
    for author in range(100, 110):
        for number in range(5):
            strangers.sends(Publish(announced(link, number, author=author, size=MAX_LARGE_BODY)))
        assert fetches(link).sizes(keys_of(author).key)[1] <= MAX_AWAITED_BYTES_PER_AUTHOR
    assert fetches(link).sizes()[1] == MAX_AWAITED_BYTES
    bounded(link)


def test_of_all_authors_so_many_are_awaited() -> None:
    link = subscribed()
    strangers = Strangers(link)
    for author in range(100, 100 + MAX_AWAITED + 10):
        strangers.sends(Publish(announced(link, 1, author=author)), number=60 + author % 30)
    assert len(fetches(link)) == MAX_AWAITED
    bounded(link)


def idle(link: Pair, strangers: Strangers) -> list[bytes]:
    """As many announcements of one author as are awaited, and nobody is left to be asked for their bodies."""
    raw = [announced(link, number) for number in range(MAX_AWAITED_PER_AUTHOR)]
    for one in raw:
        strangers.sends(Publish(one))
    link.settle(5)  # nobody takes a stream there
    return raw


def test_those_for_whom_nobody_is_left_to_be_asked_make_room() -> None:
    link = subscribed()
    strangers = Strangers(link)
    idle(link, strangers)
    fresh = announced(link, 100)
    strangers.sends(Publish(fresh), number=67)
    assert message_id(fresh) in fetches(link)
    assert len(fetches(link)) == MAX_AWAITED_PER_AUTHOR


def test_who_has_just_been_asked_for_what_makes_room_has_broken_nothing() -> None:
    link = subscribed()
    strangers = Strangers(link)
    raw = idle(link, strangers)
    strangers.sends(Have(TOPIC, GossipStatus.KNOWN, b"".join(map(message_id, raw))), number=67)
    assert fetches(link).running == MAX_AWAITED_PER_AUTHOR
    strangers.sends(Publish(announced(link, 100)), number=68)
    assert message_id(raw[0]) not in fetches(link)
    assert link.b.gossip.state.conducts.broken(keys_of(67).key) == 0


def test_a_forged_announcement_makes_nobody_give_way() -> None:
    link = subscribed()
    strangers = Strangers(link)
    awaited = idle(link, strangers)
    raw = announced(link, 100)
    strangers.sends(Publish(raw[:-1] + bytes([raw[-1] ^ 1])), number=67)
    assert link.counted("b", "gossip: forged") == 1
    assert [message_id(one) in fetches(link) for one in awaited] == [True] * MAX_AWAITED_PER_AUTHOR


def test_who_cannot_be_reached_has_broken_its_promise_and_another_one_is_asked() -> None:
    link = subscribed()
    strangers = Strangers(link)
    raw = announced(link, 1)
    strangers.sends(Publish(raw), number=66)
    link.settle(5)
    conducts = link.b.gossip.state.conducts
    assert link.counted("b", "gossip: body not sent") == 1
    assert conducts.broken(keys_of(66).key) == 1
    assert (fetches(link).running, len(fetches(link))) == (0, 1)
    # It is still wanted, from whoever says that he has it, in whatever way.
    strangers.sends(Have(TOPIC, GossipStatus.KNOWN, message_id(raw)), number=67)
    assert fetches(link).running == 1
    link.settle(5)
    assert conducts.broken(keys_of(67).key) == 1
    assert bodies(link, "b") == []


def test_sources_are_so_many_and_strangers_do_not_push_members_out() -> None:
    link = subscribed()
    strangers = Strangers(link)
    raw = announced(link, 1)
    for number in range(100, 100 + 2 * MAX_BODY_SOURCES):
        strangers.sends(Publish(raw), number=number)
    [fetch] = fetches(link)._fetches.values()
    assert len(fetch.sources) == MAX_BODY_SOURCES
    assert strangers.sends(Graft(TOPIC), number=66)[0].status is GossipStatus.MESH  # type: ignore[union-attr]
    strangers.sends(Publish(raw), number=66)
    assert len(fetch.sources) == MAX_BODY_SOURCES
    assert fetch.sources[keys_of(66).key].near
    link.settle(2.5)
    assert len(fetch.running) == MAX_BODY_RUNNING
    bounded(link)


# --- those who send, but slowly ---------------------------------------------------------------


def dripping(monkeypatch: pytest.MonkeyPatch, gaps_s: dict[int, float]) -> Swarm:
    """Four of one LAN; some send a part of each body so many seconds after the one before."""
    swarm = settled_lan(4)
    drip(monkeypatch, swarm, gaps_s)
    return swarm


def fill(swarm: Swarm, count: int) -> None:
    """0 has so many of the longest bodies, by four authors."""
    for author in range(4):
        pass_on(swarm, 0, 100 + author, [body_of_size(MAX_LARGE_BODY, n) for n in range(author, count, 4)])
    swarm.run_for(1)
    assert swarm.peer(1).gossip._exchange.fetches.sizes()[0] >= count


def test_who_sends_by_drops_keeps_no_place_that_others_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 s for a body, and no more of them may be awaited."""
    swarm = dripping(monkeypatch, {0: 2.5})
    fill(swarm, MAX_AWAITED_BYTES // MAX_LARGE_BODY)
    honest = [body_of_size(MAX_LARGE_BODY, 500 + number) for number in range(10)]
    for number, body in enumerate(honest):
        publish(swarm, 2, body)
        swarm.run_for(4)
        pass_on(swarm, 0, 110 + number, [body_of_size(MAX_LARGE_BODY, 600 + number)])
    swarm.run_for(8)
    assert [n for n, body in enumerate(honest) if delivered(swarm)[1, body] != 1] == []
    conducts = swarm.peer(1).gossip.state.conducts
    assert not conducts.good(swarm.keys(0).key, swarm.engine.now_ns), "it is asked for nothing more"
    assert [conducts.broken(swarm.keys(node).key) for node in (2, 3)] == [0, 0]


def test_the_slowest_makes_room_first(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = dripping(monkeypatch, {0: 2.5, 3: 1})
    slow = body_of_size(MAX_LARGE_BODY, 400)
    publish(swarm, 3, slow)
    fill(swarm, MAX_AWAITED_BYTES // MAX_LARGE_BODY - 1)
    swarm.run_for(10)
    honest = [body_of_size(BIG, 500 + number) for number in range(5)]
    for body in honest:
        publish(swarm, 2, body)
        swarm.run_for(5)
    assert [n for n, body in enumerate(honest) if delivered(swarm)[1, body] != 1] == []
    assert delivered(swarm)[1, slow] == 1, "32 s"
    assert swarm.peer(1).gossip.state.conducts.broken(swarm.keys(3).key) == 0


def test_who_sends_by_drops_is_waited_for_as_long_as_nobody_needs_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = dripping(monkeypatch, {0: 2.5})
    fill(swarm, 8)
    honest = body_of_size(BIG, 500)
    swarm.run_for(20)
    publish(swarm, 2, honest)
    swarm.run_for(65)
    got = delivered(swarm)
    assert [got[1, body] for body in (honest, *(body_of_size(MAX_LARGE_BODY, n) for n in range(8)))] == [1] * 9
    assert swarm.peer(1).gossip.state.conducts.broken(swarm.keys(0).key) == 0


# --- what is left of what does not come -------------------------------------------------------


def test_who_has_broken_many_promises_is_no_source() -> None:
    link = subscribed()
    strangers = Strangers(link)
    for _ in range(8):
        link.b.gossip.state.conducts.broke(keys_of(66).key, link.now.mono_ns)
    strangers.sends(Publish(announced(link, 1)), number=66)
    assert fetches(link).running == 0


def test_what_never_comes_is_forgotten() -> None:
    link = subscribed()
    Strangers(link).sends(Publish(announced(link, 1)))
    link.settle(KEPT_S + 6)
    assert len(fetches(link)) == 0
    assert [task.name for task in link.b.loop.tasks() if "body" in task.name or "gossip" in task.name] == []


def test_an_author_who_lies_about_the_length_of_what_is_here_is_not_passed_on() -> None:
    link = subscribed()
    link.ask("b", "publish", {"topic": "chat", "body": bytes(2000)})
    link.settle(1)
    said = link.b.gossip.state.kept
    [kept] = said.values()
    lying = _with_length(link, kept.digest, 2001)
    Strangers(link).sends(Publish(lying))
    assert link.counted("b", "gossip: refused: another length") == 1
    assert list(said) == [kept.id]
    assert bodies(link, "b") == [bytes(2000)]


def test_what_was_forgotten_is_not_offered_any_more() -> None:
    link = subscribed()
    link.ask("b", "publish", {"topic": "chat", "body": bytes(2000)})
    link.settle(1)
    state, exchange = link.b.gossip.state, link.b.gossip._exchange
    [kept] = state.kept.values()
    assert exchange.missing(kept.topic, bytes(32)) == exchange.missed(kept.topic, bytes(32), 0) == [kept]
    state.bodies.expire(link.now.mono_ns + KEPT_S * SECOND)
    assert exchange.missing(kept.topic, bytes(32)) == exchange.missed(kept.topic, bytes(32), 0) == []


def _with_length(link: Pair, digest: bytes, size: int) -> bytes:
    items = ["chat", link.now.wall_ms, [digest, size]]
    return cose.sign1(keys_of(7), REALM.aad(Context.PUBLISH), cbor.encode(items))


def test_a_forged_announcement_is_not_even_asked_for() -> None:
    link = subscribed()
    raw = announced(link, 1)
    Strangers(link).sends(Publish(raw[:-1] + bytes([raw[-1] ^ 1])))
    assert len(fetches(link)) == 0
    assert link.counted("b", "gossip: forged") == 1


def dials(link: Pair) -> int:
    return link.b.streams.figures()["dials"]


@pytest.mark.parametrize("near", [False, True])
def test_only_who_subscribes_may_have_us_open_a_stream_and_only_for_what_is_here(near: bool) -> None:
    link = subscribed()
    link.ask("b", "publish", {"topic": "chat", "body": bytes(2000)})
    link.ask("b", "publish", {"topic": "chat", "body": b"small"})
    link.settle(4)  # a's attempts are over
    large, small = link.b.gossip.state.kept.values()
    before = dials(link)
    strangers = Strangers(link)
    if near:
        strangers.sends(Graft(TOPIC))
    for id in (small.id, bytes(16)):
        [answer] = strangers.sends(Call(TOPIC, id))
        assert isinstance(answer, Gossiped)
        assert dials(link) == before
    [answer] = strangers.sends(Call(TOPIC, large.id))
    assert isinstance(answer, Gossiped)
    assert answer.status is (GossipStatus.MESH if near else GossipStatus.STRANGER)
    assert dials(link) == before + near
    # Again: one is being opened.
    strangers.sends(Call(TOPIC, large.id))
    assert dials(link) == before + near
