"""Places for sessions: those that this node opens and those that others do have their own, so that nobody who comes
keeps it from dialling. Of one address so many come, and who has been of no use for a while makes room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from apps.files.core.limits import MAX_OWN_SESSIONS, MAX_SESSIONS_PER_ADDRESS, MAX_THEIR_SESSIONS
from apps.files.core.session import Session
from overlay.runtime.address import Address
from overlay.streams.crowd import place_of


def has_room(sessions: Iterable[Session], come: Address | None, end: Callable[[Session], object]) -> bool:
    """For one more, that comes from an address; None: this node opens it. `end` is called with who goes for it."""
    alike = [one for one in sessions if one.stream.incoming is (come is not None)]
    if come is not None:
        here = [one for one in alike if place_of(one.stream.address) == place_of(come)]
        if len(here) >= MAX_SESSIONS_PER_ADDRESS:
            return _make_room(here, end)
    most = MAX_OWN_SESSIONS if come is None else MAX_THEIR_SESSIONS
    return len(alike) < most or _make_room(alike, end)


def _make_room(sessions: list[Session], end: Callable[[Session], object]) -> bool:
    """Of those that are of no use one of the address that has most, the one that is so for longest."""
    crowds = Counter(place_of(one.stream.address) for one in sessions)
    idle = [one for one in sessions if one.idle_ns]
    if idle:
        end(max(idle, key=lambda one: (crowds[place_of(one.stream.address)], one.idle_ns)))
    return bool(idle)
