"""A retry must not act twice: what a request that acts was answered is kept for 30 seconds.

Whatever makes the cache forget a request (time, or its bounds) is told to who judges freshness, so that
the request is stale from then on: it is either answered from here or refused, never done again.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.limits import REPLY_CACHE_BYTES, REPLY_CACHE_PER_PEER, REPLY_CACHE_S
from overlay.runtime.ports import SECOND

_OVERHEAD = 200  # of one entry, beside its reply


@attrs.define(slots=True)
class _Entry:
    expires_ns: int
    stamp: int
    reply: bytes | None


class ReplyCache:
    """Keyed by sender and request id. Oldest first out, per peer and in all.

    `forgotten(key, stamp)` is called for every request that leaves.
    """

    __slots__ = ("_bytes", "_entries", "_forgotten", "_per_peer")

    def __init__(self, forgotten: Callable[[bytes, int], object]) -> None:
        self._forgotten = forgotten
        self._entries: dict[tuple[bytes, bytes], _Entry] = {}
        self._per_peer: dict[bytes, dict[bytes, None]] = {}
        self._bytes = 0

    def begin(self, key: bytes, request_id: bytes, stamp: int, now_ns: int) -> tuple[bool, bytes | None]:
        """(True, None): new, act on it. (False, None): still being served. (False, reply): say that again."""
        entry = self._entries.get((key, request_id))
        if entry is not None:
            return False, entry.reply
        peer = self._per_peer.setdefault(key, {})
        if len(peer) >= REPLY_CACHE_PER_PEER:
            self._drop(key, next(iter(peer)))
            peer = self._per_peer.setdefault(key, {})
        peer[request_id] = None
        self._entries[key, request_id] = _Entry(now_ns + REPLY_CACHE_S * SECOND, stamp, None)
        self._bytes += _OVERHEAD
        self._shrink()
        return True, None

    def finish(self, key: bytes, request_id: bytes, reply: bytes) -> None:
        entry = self._entries.get((key, request_id))
        if entry is not None and entry.reply is None:
            entry.reply = reply
            self._bytes += len(reply)
            self._shrink()

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def expire(self, now_ns: int) -> None:
        """Forget what is old; to be called before a request is judged."""
        while self._entries:
            (key, request_id), entry = next(iter(self._entries.items()))
            if entry.expires_ns > now_ns:
                return
            self._drop(key, request_id)

    def _shrink(self) -> None:
        while self._bytes > REPLY_CACHE_BYTES:
            key, request_id = next(iter(self._entries))
            self._drop(key, request_id)

    def _drop(self, key: bytes, request_id: bytes) -> None:
        entry = self._entries.pop((key, request_id))
        self._bytes -= _OVERHEAD + len(entry.reply or b"")
        peer = self._per_peer[key]
        del peer[request_id]
        if not peer:
            del self._per_peer[key]
        self._forgotten(key, entry.stamp)
