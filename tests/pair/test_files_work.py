"""What a peer makes this node do: how much is bounded, and what is asked twice is not taken twice."""

from __future__ import annotations

from typing import Any

import pytest

from apps.files.core import codec, wire
from apps.files.core.limits import (
    MAX_QUEUED_ANSWERS,
    MAX_TREE_BYTES,
    MAX_VAIN_BYTES,
    MIB,
    REPEATED_BYTES,
    UNIT_BYTES,
    VAIN_BYTES_PER_S,
)
from apps.files.core.memory_disk import Made, MemoryDisk, make_share
from apps.files.core.merkle import Tree
from apps.files.core.share import Share, State
from overlay.identity.node_id import node_id_of
from overlay.runtime.loop import Future, Loop
from simulations.fake_keys import FakeKeyPair
from tests.support.files_rig import End, Fake, Node, fed, no_stranger

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 5 * UNIT + 1, (b"b",): 3 * UNIT}, unit_bytes=UNIT)
FILM = make_share(b"film", {(b"film",): 64 * UNIT_BYTES})


# --- rejects ------------------------------------------------------------------------------


def test_a_reject_of_what_was_not_asked_has_nobody_else_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    node, fake = fed(BOOK)
    other = Fake(node, b"other", held=False)
    assert node.share.download is not None
    looked: list[bytes] = []
    fill = type(node.share.download).fill
    monkeypatch.setattr(
        type(node.share.download), "fill", lambda self, channel: (looked.append(channel.peer), fill(self, channel))[1]
    )
    other.say(wire.Reject(0, ((0, 1),)))
    assert looked == []
    fake.say(wire.Reject(0, ((0, 1),)))
    assert set(looked) == {fake.id, other.id}


# --- reading in vain ----------------------------------------------------------------------


def seeding(made: Made, monkeypatch: pytest.MonkeyPatch) -> tuple[Node, Fake, list[int]]:
    """A seed, a peer that it serves, and the bytes of each read of the disk."""
    node = Node(Loop(), made, seeds=True)
    fake = Fake(node, b"peer", held=False)
    node.pass_time(1)
    fake.say(wire.Interest(0, True))
    node.pass_time(1)
    assert wire.Choke(0, False) in fake.heard
    reads: list[int] = []
    read = MemoryDisk.read

    def noted(self: MemoryDisk, share: bytes, ranges: tuple[Any, ...]) -> Any:
        reads.append(sum(length for _, _, length, _, _ in ranges))
        return read(self, share, ranges)

    monkeypatch.setattr(MemoryDisk, "read", noted)
    return node, fake, reads


def test_who_cancels_what_it_asked_for_has_so_much_read_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    node, fake, reads = seeding(FILM, monkeypatch)
    node.pass_time(0.01)
    seconds = 10
    for _ in range(seconds * 100):
        fake.say(wire.Request(0, ((0, 4),)))
        fake.say(wire.Cancel(0, ((0, 4),)))
        node.pass_time(0.01)
    assert not [message for message in fake.heard if isinstance(message, wire.Piece)]
    assert MAX_VAIN_BYTES <= sum(reads) <= MAX_VAIN_BYTES + seconds * VAIN_BYTES_PER_S + 4 * UNIT_BYTES
    fake.say(wire.Request(0, ((0, 2),)))
    node.pass_time(3)
    assert sorted(message.unit for message in fake.heard if isinstance(message, wire.Piece)) == [0, 1]


def test_nothing_is_read_for_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    node, fake, reads = seeding(FILM, monkeypatch)
    room: Future[None] = node.loop.future()

    async def drain(self: End, most: int) -> None:
        await room

    monkeypatch.setattr(End, "drain", drain)
    fake.say(wire.Request(0, ((0, 4),)))
    node.pass_time(5)
    assert reads == []
    room.set()
    node.pass_time(1)
    assert sum(reads) == MIB


# --- answers that wait --------------------------------------------------------------------


def test_who_takes_no_answers_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    node, fake = fed(BOOK)
    room: Future[None] = node.loop.future()
    send = End.send

    async def stuck(self: End, message: bytes) -> None:
        await room
        await send(self, message)

    monkeypatch.setattr(End, "send", stuck)
    for _ in range(3 * MAX_QUEUED_ANSWERS):
        fake.say(wire.GetInfo(0, 0))
    assert MAX_QUEUED_ANSWERS <= fake.session.backlog <= MAX_QUEUED_ANSWERS + 1
    assert len(fake.end.inbox) >= 2 * MAX_QUEUED_ANSWERS - 2
    room.set()
    node.pass_time(1)
    assert len(fake.end.inbox) == 0
    assert sum(isinstance(message, wire.InfoPart) for message in fake.heard) == 3 * MAX_QUEUED_ANSWERS


# --- the end of a download ----------------------------------------------------------------


def ready(node: Node, name: bytes) -> Fake:
    fake = Fake(node, name)
    no_stranger(fake)
    fake.say(wire.Choke(0, False))
    return fake


def test_a_copy_that_came_is_cancelled_with_the_others() -> None:
    node, slow = fed(BOOK)
    node.pass_time(12)  # nothing comes of it: all is asked of another one as well
    other = ready(node, b"other")
    node.pass_time(2)
    both = [unit for unit in other.asked if unit in slow.asked]
    assert both
    slow_asked = len(slow.asked)
    other.give(both[0])
    cancelled = [m for m in slow.heard if isinstance(m, wire.Cancel) and both[0] in wire.units_in(m.runs)]
    assert len(cancelled) == 1
    assert len(slow.asked) == slow_asked - 1


def test_no_more_copies_are_asked_for_once_much_came_twice() -> None:
    node, slow = fed(FILM)
    node.pass_time(12)
    other = ready(node, b"other")
    node.pass_time(1)
    assert node.share.download is not None
    endgame, channel = node.share.download.endgame, node.share.channels[other.id]
    assert slow.asked or slow.late
    endgame.repeated = REPEATED_BYTES
    assert endgame.copies(channel) > 0
    endgame.repeated = REPEATED_BYTES + 1
    assert endgame.copies(channel) == 0
    node.share.downloaded = 64
    assert endgame.copies(channel) > 0


# --- memory ------------------------------------------------------------------------------


def test_trees_of_what_is_here_give_way_and_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {(b"%03d" % number,): 8 * UNIT for number in range(12)}
    made = make_share(b"many", files, unit_bytes=UNIT)
    monkeypatch.setattr("apps.files.core.layers.MAX_TREE_BYTES", 3 * 15 * 32)
    assert MAX_TREE_BYTES > 3 * 15 * 32
    keep = Share.keep_tree
    kept: list[int] = []

    def noted(self: Share, file: int, tree: Tree) -> None:
        keep(self, file, tree)
        assert self.layers is not None
        assert self.download is not None
        there = [other for other in range(12) if self.layers.has_tree(other)]
        kept.append(file)
        assert len(there) <= 3 or all(other == file or self.download.awaits(other) for other in there)

    monkeypatch.setattr(Share, "keep_tree", noted)
    node = Node(Loop(), made)
    fake = Fake(node, b"seed")
    node.pass_time(1)
    no_stranger(fake)
    fake.say(wire.Choke(0, False))
    node.pass_time(1)
    assert node.share.layers is not None
    while node.share.state is not State.COMPLETE:
        before = node.share.downloaded
        for unit in list(fake.asked)[:4]:
            fake.give(unit)
        node.pass_time(0.2)
        assert node.share.downloaded > before
    assert sorted(set(kept)) == list(range(12))
    assert len(kept) > 12  # some were read again
    asked = sum(isinstance(message, wire.GetHashes) for message in fake.heard)
    assert node.share.banned == {}
    assert asked <= 12
    assert node.share.downloaded == made.info.length
    assert node.loop.crashed == []


def test_hashes_that_the_disk_has_lost_are_asked_of_a_peer_again() -> None:
    node, fake = fed(BOOK)
    fake.give(0)
    node.pass_time(1)
    assert node.share.layers is not None
    assert node.share.layers.has_tree(0)
    node.share.layers._trees.clear()
    node.disk.layers.clear()
    before = sum(isinstance(message, wire.GetHashes) for message in fake.heard)
    fake.give_all()
    node.pass_time(3)
    assert sum(isinstance(message, wire.GetHashes) for message in fake.heard) > before
    assert node.share.state is State.COMPLETE


def test_a_session_keeps_nothing_of_what_came_while_it_waits() -> None:
    node = Node(Loop(), BOOK)
    end = End(node.loop, node_id_of(FakeKeyPair(b"long".ljust(32, b".")).key), True, lambda _: None)
    session = node.session(end)
    end.give(codec.encode(wire.Open(0, BOOK.info.id, 1, None)))
    end.give(codec.encode(wire.Hold(0, 1, bytes(100_000), 0)))
    node.loop.drain()
    assert session.channels()
    [task] = [task for task in node.loop.tasks() if task.name == "session"]
    coro: Any = task._coro
    names = []
    while hasattr(coro, "cr_frame"):
        names.append(coro.__name__)
        assert not [value for value in coro.cr_frame.f_locals.values() if _size_of(value) >= 100_000]
        coro = coro.cr_await
    assert names[:3] == ["run", "_read", "_hear"]


def _size_of(value: Any) -> int:
    return len(codec.encode(value)) if isinstance(value, wire.Hold) else len(value) if isinstance(value, bytes) else 0
