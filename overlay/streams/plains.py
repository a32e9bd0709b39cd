"""Streams of protocols of others: who takes which, and how many there are.

A connection is told apart by its first byte. Places are apart from those of sealed streams, so that neither kind keeps
the other out: nobody needs a key, nor as much as a handshake, to open one of these.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.errors import LimitError, LocalError
from overlay.limits import MAX_PLAIN_DIALS, MIN_FOREIGN_PORT
from overlay.runtime.address import Address, Scope
from overlay.runtime.loop import Loop
from overlay.runtime.ports import StreamEffect, StreamTakes
from overlay.secure.handshake import MAGIC
from overlay.streams.crowd import place_of
from overlay.streams.dialling import connected
from overlay.streams.pipe import Pipe
from overlay.streams.plain import Plain
from overlay.streams.slots import PLAIN, Lease, Sessions

#: Takes a stream that others opened, and returns at once.
PlainTaker = Callable[[Plain], object]


@attrs.define(slots=True, eq=False, kw_only=True)
class Plains:
    """Those of one peer; part of its `Streams`. `owner` is an application."""

    loop: Loop
    emit: Callable[[StreamEffect], object]
    #: Has the shell connect one.
    begin: Callable[[Address], Pipe]
    count: Callable[[str], object]
    _places: Sessions = attrs.field(factory=lambda: Sessions(PLAIN), init=False)
    _dials: int = attrs.field(default=0, init=False)
    #: By first byte.
    _takers: dict[int, tuple[str, PlainTaker]] = attrs.field(factory=dict, init=False)
    #: Those that are open, and whose they are.
    _held: dict[Plain, tuple[str, Lease]] = attrs.field(factory=dict, init=False)

    def serve(self, first: bytes, owner: str, taker: PlainTaker) -> None:
        """Take connections of others that begin with this byte. LocalError if somebody has it."""
        if len(first) != 1 or first == MAGIC[:1]:
            raise LocalError(f"connections are told apart by one byte, which is not {MAGIC[0]:#x}: not {first.hex()!r}")
        if first[0] in self._takers:
            raise LocalError(f"connections that begin with {first.hex()} are taken by somebody already")
        self._takers[first[0]] = owner, taker
        self._tell()

    def end(self, owner: str, reason: str) -> None:
        """It is over: it takes no more, and those that are open end."""
        left = {first: taker for first, taker in self._takers.items() if taker[0] != owner}
        if len(left) < len(self._takers):
            self._takers = left
            self._tell()
        for stream, (holder, _) in tuple(self._held.items()):
            if holder == owner:
                stream.close(reason)

    def figures(self) -> dict[str, int]:
        """How many there are now."""
        return {"open": len(self._held), "incoming": self._places.incoming, "dials": self._dials}

    # --- those of others --------------------------------------------------------------------

    def takes(self, first: int) -> bool:
        return first in self._takers

    def full_for(self, address: Address) -> bool:
        """Whether none would be taken from there, whatever it begins with."""
        return not self._takers or self._places.full_for(address)

    def take(self, pipe: Pipe, first: int) -> None:
        """One that begins with this byte, which is taken. LimitError at a bound."""
        owner, taker = self._takers[first]
        lease = self._places.take(place_of(pipe.address), pipe.address, incoming=True)
        self.count("streams: plain taken")
        taker(self._new(pipe, owner, lease, incoming=True))

    # --- our own ----------------------------------------------------------------------------

    async def open(self, address: Address, owner: str) -> Plain:
        """Connects to whoever listens at `address`.

        Raises Refused (nobody does), TimedOut, RemoteError, LimitError (a bound of this side), LocalError for an
        address at which nobody may be dialled.
        """
        check_address(address)
        if self._dials >= MAX_PLAIN_DIALS:
            raise LimitError(f"{MAX_PLAIN_DIALS} plain streams are being opened already; try again later")
        lease = self._places.take(place_of(address), address, incoming=False)
        self._dials += 1
        pipe = self.begin(address)
        stream: Plain | None = None
        try:
            await connected(self.loop, pipe)
            stream = self._new(pipe, owner, lease, incoming=False)
        finally:
            self._dials -= 1
            if stream is None:
                pipe.close()
                self._places.release(lease)
        self.count("streams: plain opened")
        return stream

    # --- both -------------------------------------------------------------------------------

    def _tell(self) -> None:
        self.emit(StreamTakes(bytes(sorted(self._takers))))

    def _new(self, pipe: Pipe, owner: str, lease: Lease, *, incoming: bool) -> Plain:
        stream = Plain(
            self.loop, pipe, incoming=incoming, enlarge=lambda _: self._places.enlarge(lease), on_over=self._on_over
        )
        self._held[stream] = owner, lease
        return stream

    def _on_over(self, stream: Plain) -> None:
        _, lease = self._held.pop(stream)
        self._places.release(lease)


def check_address(address: Address) -> None:
    """LocalError for one that nobody may be made to dial: addresses are named by strangers, who would have us connect
    to services of others (mail, name servers) or to none."""
    if address.port < MIN_FOREIGN_PORT:
        raise LocalError(f"plain streams go to no port below {MIN_FOREIGN_PORT}: not to {address}")
    if address.scope is Scope.NONE or (address.scope is Scope.LINK and not address.is_v4 and not address.zone):
        raise LocalError(f"nobody can be reached at {address}")
