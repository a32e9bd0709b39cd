"""A candidate of one lookup, and the path that it belongs to."""

from __future__ import annotations

import enum

import attrs

from overlay.rpc.contact import Contact


class State(enum.Enum):
    #: Heard of. Left by being asked.
    FRESH = "fresh"
    #: Asked; takes a slot of its path. Left by any report.
    ASKED = "asked"
    #: Silent for longer than usual: gave its slot back, is still waited for. Left by any other report.
    SLOW = "slow"
    #: Silent for its second try: not waited for any more, but an answer still counts.
    LATE = "late"
    #: Answered. Final.
    ANSWERED = "answered"
    #: Did not answer any try, or answered nonsense. Final.
    FAILED = "failed"


#: Asking an Enum class for a member costs a quarter of a microsecond on Python 3.11, a name of a module nothing.
FRESH, ASKED, SLOW, LATE, ANSWERED, FAILED = State


@attrs.define(slots=True, eq=False)
class Candidate:
    contact: Contact
    distance: int
    path: Path
    hops: int
    referrer: Contact | None
    #: Its address group if that is capped, else None.
    group: bytes | None
    #: Place in the sorted lists: two addresses of a key have the same distance.
    rank: tuple[int, int]
    state: State = FRESH


@attrs.define(slots=True, eq=False)
class Path:
    number: int
    #: Candidates of this path that have not failed, nearest first.
    alive: list[tuple[int, int]] = attrs.field(factory=list)
    #: Those of them that were not asked yet.
    fresh: list[tuple[int, int]] = attrs.field(factory=list)
    asked: int = 0
