"""Messages that others offered and were asked for: nobody else is asked for them while they have time to come."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from overlay.limits import MAX_OPEN_PROMISES, MAX_WANTED
from overlay.runtime.ports import MS

#: Who offered a message has so long to send it before somebody else is asked.
_PROMISE_NS = 1500 * MS


@attrs.define(slots=True, eq=False)
class Promises:
    #: Id -> (key that offered it and was asked for it, until when it has time), in the order in which they were asked.
    _open: dict[bytes, tuple[bytes, int]] = attrs.Factory(dict)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def largest_share(self) -> int:
        """Open promises of who has most."""
        return max(map(len, self._by_key().values()), default=0)

    def take(self, key: bytes, ids: Iterable[bytes], now_ns: int) -> list[bytes]:
        """Those that it is asked for now."""
        mine = sum(1 for whose, _ in self._open.values() if whose == key)
        wanted: list[bytes] = []
        spare: list[bytes] | None = None
        for one in ids:
            if len(wanted) >= MAX_OPEN_PROMISES - mine:
                break
            promise = self._open.get(one)
            # Asked again by who was asked already: its answer, or the message, was lost.
            if promise is not None and promise[0] != key:
                continue
            if promise is None and len(self._open) >= MAX_WANTED:
                spare = self._spare(key) if spare is None else spare
                if not spare:
                    continue
                del self._open[spare.pop()]
            self._open[one] = key, now_ns + _PROMISE_NS
            wanted.append(one)
        return wanted

    def kept(self, one: bytes, key: bytes) -> bool:
        """It sent that message: whether it had promised it."""
        if self._open.get(one, (b"", 0))[0] != key:
            return False
        del self._open[one]
        return True

    def over(self, now_ns: int) -> list[tuple[bytes, bytes]]:
        """(id, key) of those whose time is over; they are forgotten."""
        over = [(one, key) for one, (key, until_ns) in self._open.items() if until_ns <= now_ns]
        for one, _ in over:
            del self._open[one]
        return over

    def _spare(self, key: bytes) -> list[bytes]:
        """What gives way to that peer, the oldest at the end: of who has most, half of what it has more. So no few keep
        others from being asked; and what they promised may come all the same."""
        by_key = self._by_key()
        most = max(by_key.values(), key=len)
        return most[: (len(most) - len(by_key.get(key, ()))) // 2][::-1]

    def _by_key(self) -> dict[bytes, list[bytes]]:
        by_key: dict[bytes, list[bytes]] = {}
        for one, (key, _) in self._open.items():
            by_key.setdefault(key, []).append(one)
        return by_key
