"""What all streams of a node use in turn."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter

import attrs

from overlay import limits
from overlay.secure.handshake import LENGTH_BYTES
from overlay.secure.noise import MAX_MESSAGE
from p2pnode.transport.records import MAX_PLAIN

#: Records that are sealed and given to the kernel at once: two messages of 256 KiB and their heads. Five cost a tenth
#: more time of a core, one after another twice as much.
_RECORDS = 10
_OUT = _RECORDS * (LENGTH_BYTES + MAX_MESSAGE)
#: Bytes taken from the kernel at once; a quarter of it costs twice the time of a core.
_IN = 512 * 1024
#: Buffers for sending that wait for their next use.
_KEPT = 4


@attrs.define(slots=True, eq=False)
class Shared:
    """Buffers, and how many sockets they have."""

    counters: Counter[str]
    #: Ports at which this node takes streams.
    ports: frozenset[int]
    #: What arrives, and what of it was opened: used within one step, never across an await.
    incoming: memoryview = attrs.field(factory=lambda: memoryview(bytearray(_IN)), init=False)
    opened: memoryview = attrs.field(factory=lambda: memoryview(bytearray(_IN + MAX_PLAIN)), init=False)
    _free: list[memoryview] = attrs.field(factory=list, init=False)
    _open: set[socket.socket] = attrs.field(factory=set, init=False)

    @property
    def sockets(self) -> int:
        """Adopted and not shut."""
        return len(self._open)

    def buffer(self) -> memoryview:
        """For sealed records until the kernel has taken them; then `give_back`."""
        return self._free.pop() if self._free else memoryview(bytearray(_OUT))

    def give_back(self, buffer: memoryview) -> None:
        if len(self._free) < _KEPT:
            self._free.append(buffer)

    def adopt(self, sock: socket.socket) -> None:
        """Count it until it is `shut`."""
        self._open.add(sock)
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # some systems refuse for one that the other side has reset already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; RFC 5482
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.STALLED_S * 1000)

    def shut(self, sock: socket.socket) -> None:
        """Void if it is."""
        if sock in self._open:
            self._open.remove(sock)
            sock.close()
