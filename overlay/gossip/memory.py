"""What was seen already, and how much of one author is taken: no message is delivered twice.

Ids are remembered for two minutes. What makes an id be forgotten, time or the bound, raises its author's floor to
the seq of that message, and nothing of that author up to its floor is taken any more.
"""

from __future__ import annotations

import attrs

from overlay.limits import (
    BODY_BYTES_PER_AUTHOR_BURST,
    BODY_BYTES_PER_AUTHOR_S,
    MAX_AUTHORS,
    MAX_MESSAGE_SKEW_S,
    MAX_SEEN_MESSAGES,
    MESSAGES_PER_AUTHOR_BURST,
    MESSAGES_PER_AUTHOR_S,
    SEEN_S,
)
from overlay.runtime.ports import SECOND, Now

_COST_NS = SECOND // MESSAGES_PER_AUTHOR_S


@attrs.define(slots=True)
class _Author:
    #: Nothing up to this seq is taken.
    floor: int
    #: When its budget is whole again (virtual scheduling: GCRA, ITU-T I.371).
    whole_ns: int
    #: The same of its bytes by stream.
    bytes_whole_ns: int = 0


class Memory:
    """Of one peer, for all topics."""

    __slots__ = ("_authors", "_seen")

    def __init__(self) -> None:
        #: Id -> (forgotten at, author, seq), oldest first. Author b"": it was refused, and raises no floor.
        self._seen: dict[bytes, tuple[int, bytes, int]] = {}
        self._authors: dict[bytes, _Author] = {}

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def authors(self) -> int:
        return len(self._authors)

    def __contains__(self, message_id: bytes) -> bool:
        return message_id in self._seen

    def admit(self, message_id: bytes, author: bytes, seq: int, now: Now, *, size: int = 0) -> str | None:
        """None: new, and taken. Else why not; either way its id is known from now on. `size`: bytes by stream.

        The author's signature must have been checked: a forged message would be charged to it.
        """
        state = self._authors.pop(author, None) or _Author(-1, 0)
        if len(self._authors) >= MAX_AUTHORS:
            del self._authors[next(iter(self._authors))]
        self._authors[author] = state  # the author that was silent for longest is forgotten first
        reason = self._judge(state, seq, size, now)
        self._remember(message_id, b"" if reason else author, seq, now.mono_ns)
        return reason

    def refuse(self, message_id: bytes, now: Now) -> None:
        """It is not wanted again."""
        self._remember(message_id, b"", 0, now.mono_ns)

    def expire(self, now_ns: int) -> None:
        while self._seen:
            message_id, (until_ns, _, _) = next(iter(self._seen.items()))
            if until_ns > now_ns:
                return
            self._forget(message_id)

    def _judge(self, state: _Author, seq: int, size: int, now: Now) -> str | None:
        if seq <= state.floor:
            return "replayed"
        if abs(seq - now.wall_ms) > MAX_MESSAGE_SKEW_S * 1000:
            return "out of time"
        whole_ns = max(state.whole_ns, now.mono_ns) + _COST_NS
        if whole_ns - now.mono_ns > MESSAGES_PER_AUTHOR_BURST * _COST_NS:
            return "too many of one author"
        bytes_whole_ns = max(state.bytes_whole_ns, now.mono_ns) + _bytes_ns(size)
        if size and bytes_whole_ns - now.mono_ns > _bytes_ns(BODY_BYTES_PER_AUTHOR_BURST):
            return "too many bytes of one author"
        state.whole_ns, state.bytes_whole_ns = whole_ns, bytes_whole_ns
        return None

    def _remember(self, message_id: bytes, author: bytes, seq: int, now_ns: int) -> None:
        if message_id in self._seen:
            return
        while len(self._seen) >= MAX_SEEN_MESSAGES:
            self._forget(next(iter(self._seen)))
        self._seen[message_id] = now_ns + SEEN_S * SECOND, author, seq

    def _forget(self, message_id: bytes) -> None:
        _, author, seq = self._seen.pop(message_id)
        state = self._authors.get(author)
        if state is not None:
            state.floor = max(state.floor, seq)


def _bytes_ns(size: int) -> int:
    """How long an author has to wait until it may say so many bytes by stream."""
    return size * SECOND // BODY_BYTES_PER_AUTHOR_S
