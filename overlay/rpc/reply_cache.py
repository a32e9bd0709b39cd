"""A retry must not act twice: what a request that acts was answered is kept for 30 seconds."""

from __future__ import annotations

import attrs

from overlay.limits import REPLY_CACHE_BYTES, REPLY_CACHE_PER_PEER, REPLY_CACHE_S
from overlay.runtime.ports import SECOND

_OVERHEAD = 200  # of one entry, beside its reply


@attrs.define(slots=True)
class _Entry:
    expires_ns: int
    reply: bytes | None


class ReplyCache:
    """Keyed by sender and request id. Oldest first out, per peer and in all."""

    __slots__ = ("_bytes", "_entries", "_per_peer")

    def __init__(self) -> None:
        self._entries: dict[tuple[bytes, bytes], _Entry] = {}
        self._per_peer: dict[bytes, dict[bytes, None]] = {}
        self._bytes = 0

    def begin(self, key: bytes, request_id: bytes, now_ns: int) -> tuple[bool, bytes | None]:
        """(True, None): new, act on it. (False, None): still being served. (False, reply): say that again."""
        self._expire(now_ns)
        entry = self._entries.get((key, request_id))
        if entry is not None:
            return False, entry.reply
        peer = self._per_peer.setdefault(key, {})
        if len(peer) >= REPLY_CACHE_PER_PEER:
            self._drop(key, next(iter(peer)))
            peer = self._per_peer.setdefault(key, {})
        peer[request_id] = None
        self._entries[key, request_id] = _Entry(now_ns + REPLY_CACHE_S * SECOND, None)
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

    def _expire(self, now_ns: int) -> None:
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
