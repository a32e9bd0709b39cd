"""tests.support.link with toy peers: nothing moves unless the test says so."""

from __future__ import annotations

import pytest

from overlay.runtime.address import Address
from overlay.runtime.ports import Failed, Ok
from tests.support.link import ADDRESSES, Link
from tests.support.toy_peer import ToyPeer


@pytest.fixture
def link() -> Link:
    link = Link(ToyPeer(), ToyPeer())
    link.start()
    return link


def seen(link: Link, side: str) -> list[object]:
    peer = link.peer(side)
    assert isinstance(peer, ToyPeer)
    return [data for kind, *rest in peer.seen if kind == "datagram" for data in rest[1:]]


def send(link: Link, *datas: bytes) -> None:
    for data in datas:
        link.ask("a", "send", {"to": ADDRESSES["b"], "data": data})


def test_start_tells_both_who_they_are(link: Link) -> None:
    for side in ("a", "b"):
        assert [kind for kind, *_ in link.peer(side).seen] == ["start", "network"]  # type: ignore[attr-defined]
    assert [side for side, _ in link.events] == ["a", "b"]


def test_a_datagram_waits_until_it_is_delivered(link: Link) -> None:
    send(link, b"x")
    link.advance(100)
    assert seen(link, "b") == []
    link.deliver()
    assert seen(link, "b") == [b"x"]
    assert [(one.side, one.to) for one in link.wire] == [("b", ADDRESSES["a"])], "the echo is in flight"


def test_drop_duplicate_and_reorder(link: Link) -> None:
    send(link, b"1", b"2", b"3")
    link.duplicate(1)
    link.drop(0)
    link.wire[:] = [one for one in link.wire if one.side == "a"]  # without the echo
    link.reorder()
    link.deliver(0)
    link.deliver(0)
    assert seen(link, "b") == [b"2", b"3", b"2"]
    assert [one.data for one in link.sent if one.side == "a"] == [b"1", b"2", b"3"]


def test_what_is_sent_to_nobody_is_lost(link: Link) -> None:
    link.ask("a", "send", {"to": Address(bytes((9, 9, 9, 9)), 1), "data": b"x"})
    link.deliver_all()
    assert (seen(link, "a"), seen(link, "b"), link.wire) == ([], [], [])


def test_talking_for_ever_is_noticed(link: Link) -> None:
    send(link, b"x")  # toy peers echo echoes
    with pytest.raises(AssertionError, match="still talking"):
        link.deliver_all()


def test_a_forged_datagram(link: Link) -> None:
    link.inject("b", ADDRESSES["a"], b"forged")
    assert seen(link, "b") == [b"forged"]
    assert seen(link, "a") == []


def test_time_stops_at_every_deadline(link: Link) -> None:
    link.ask("a", "alarm", {"at": 2_000_000_000})
    link.ask("b", "alarm", {"at": 1_000_000_000})
    link.advance(1.5)
    assert ("timer", 1_000_000_000) in link.peer("b").seen  # type: ignore[attr-defined]
    link.advance(1.5)
    assert ("timer", 2_000_000_000) in link.peer("a").seen  # type: ignore[attr-defined]
    assert link.now.mono_ns == 3_000_000_000


def test_commands_and_the_storage(link: Link) -> None:
    assert link.command("a", "echo", {"value": 3}) == 3
    with pytest.raises(AssertionError, match="nobody has it"):
        link.command("b", "fail")
    assert link.results["a", link.ask("a", "commit")] == Ok()
    link.storage_works = False
    asked = link.ask("a", "sync")
    assert ("a", asked) not in link.results
    link.answer_storage(Failed("failed", "disk full"))
    assert link.results["a", asked] == Failed("failed", "disk full")
