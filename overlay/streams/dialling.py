"""Reaches a peer at one of its addresses: the next one is tried a moment after the one before, or once that has failed.

As Happy Eyeballs does (RFC 8305, section 5), but an address counts once the right peer has shaken hands there: an old
address of a peer may be somebody else's now. Who comes first wins, the others are given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from overlay.errors import LimitError, OverlayError, Refused, RemoteError, TimedOut
from overlay.limits import DIAL_NEXT_MS, DIAL_S, HANDSHAKE_S
from overlay.runtime.address import Address
from overlay.runtime.future import Future
from overlay.runtime.loop import Group, Loop
from overlay.runtime.ports import MS, SECOND
from overlay.secure.handshake import Secured
from overlay.streams.endings import explained
from overlay.streams.pipe import Pipe


@attrs.frozen(slots=True)
class Reached:
    """The right peer, at one of its addresses. Whoever gets it closes `pipe` in the end."""

    pipe: Pipe
    secured: Secured
    #: Monotonic ns: until then both must have agreed on a protocol.
    until_ns: int


async def reach(
    loop: Loop, addresses: Sequence[Address], begin: Callable[[Address], Pipe],
    shake: Callable[[Pipe], Awaitable[Secured]],
) -> Reached:  # fmt: skip
    """`begin` opens a pipe, `shake` raises if another peer is there. If no address is of use: the error of the first
    one, with what went wrong at each."""
    race = _Race(loop, begin, shake)
    try:
        async with loop.group(name="dial") as group:
            for address in addresses:
                race.failed = loop.future()
                group.spawn(race.attempt(address, group), name=f"dial {address}")
                if address is not addresses[-1]:
                    with loop.move_on_after(DIAL_NEXT_MS * MS):
                        await race.failed
    except BaseException:
        for reached in race.won:
            reached.pipe.close()
        raise
    if not race.won:
        raise _joined([race.errors[address] for address in addresses])
    return race.won[0]


async def connected(loop: Loop, pipe: Pipe) -> None:
    """Until the other side has taken the connection. TimedOut after DIAL_S, else what the shell says of it."""
    try:
        with loop.fail_after(DIAL_S * SECOND):
            await pipe.opened
    except TimedOut:
        if pipe.ended is not None:  # in words already
            raise
        raise TimedOut(f"{pipe.address} does not answer") from None


@attrs.define(slots=True, eq=False)
class _Race:
    loop: Loop
    begin: Callable[[Address], Pipe]
    shake: Callable[[Pipe], Awaitable[Secured]]
    #: One at most.
    won: list[Reached] = attrs.field(factory=list, init=False)
    errors: dict[Address, OverlayError] = attrs.field(factory=dict, init=False)
    #: Set by the next failure.
    failed: Future[None] = attrs.field(init=False)

    async def attempt(self, address: Address, group: Group) -> None:
        try:
            reached = await self._approach(address)
        except OverlayError as error:
            self.errors[address] = error
            self.failed.set()
            return
        if self.won:
            reached.pipe.close()
            return
        self.won.append(reached)
        group.cancel()

    async def _approach(self, address: Address) -> Reached:
        pipe = self.begin(address)
        try:
            await connected(self.loop, pipe)
        except BaseException:
            pipe.close()
            raise
        try:
            until_ns = self.loop.now.mono_ns + HANDSHAKE_S * SECOND
            secured: Secured | None = None
            with self.loop.fail_after(HANDSHAKE_S * SECOND):
                secured = await self.shake(pipe)
            assert secured is not None  # the scope above raises if it is cut short
            return Reached(pipe, secured, until_ns)
        except BaseException as error:
            pipe.close()
            if error is pipe.ended:  # in words already
                raise
            raise explained(error, address) from None


def _joined(errors: Sequence[OverlayError]) -> OverlayError:
    first, text = errors[0], "; ".join(str(error) for error in errors)
    match first:
        case _ if len(errors) == 1:
            return first
        case Refused():
            return Refused(text)
        case TimedOut():
            return TimedOut(text)
        case LimitError():
            return LimitError(text)
    return RemoteError(text)
