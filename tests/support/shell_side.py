"""What a shell holds for one end of a stream: a model that moves what it is told, when it is told."""

from __future__ import annotations

from collections import deque

from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from overlay.runtime.ports import StreamClose, StreamEffect, StreamGrant, StreamKeys, StreamSend
from overlay.streams.pipe import Pipe

THERE = Address(bytes((10, 0, 0, 1)), 4433)


class ShellSide:
    """`pipe` is what the core has of it."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.unsent: deque[bytes] = deque()
        self.granted = 0
        self.closed = False
        self.pipe = Pipe(2, THERE, loop, self._emit, lambda pipe: None)

    def _emit(self, effect: StreamEffect) -> None:
        match effect:
            case StreamSend(_, data):
                self.unsent.append(data)
            case StreamGrant(_, n):
                assert n > 0
                self.granted += n
            case StreamClose():
                assert not self.closed
                self.closed = True
            case StreamKeys():
                pass

    @property
    def held(self) -> int:
        return sum(map(len, self.unsent))

    def carry(self, n: int, way: bytearray) -> None:
        """The network takes up to `n` bytes."""
        taken = 0
        while self.unsent and taken < n:
            head = self.unsent.popleft()
            part = head[: n - taken]
            if len(part) < len(head):
                self.unsent.appendleft(head[len(part) :])
            way += part
            taken += len(part)
        if taken and not self.closed:
            self.pipe.on_sent(taken)
            self.loop.drain()

    def give(self, n: int, way: bytearray) -> None:
        """To the core, as much as it granted."""
        data = bytes(way[: min(n, self.granted)])
        if data and not self.closed:
            del way[: len(data)]
            self.granted -= len(data)
            self.pipe.on_data(data)
            self.loop.drain()
