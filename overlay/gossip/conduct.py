"""How peers behave in meshes, by key and for all topics: it outlives a reconnect and a change of address."""

from __future__ import annotations

import attrs

from overlay.limits import MAX_CONDUCTS
from overlay.runtime.ports import SECOND

#: A peer that deserved it is not chosen for this long, twice that the next time, at most an hour.
_FIRST_NS = 120 * SECOND
_LONGEST_NS = 3600 * SECOND
#: One offence is forgotten in this time without another.
_FORGIVEN_NS = 1800 * SECOND
#: Of ten promised messages loss takes two; who breaks eight more promises than it keeps says what it likes.
_BROKEN = 8


@attrs.define(slots=True)
class _Conduct:
    offences: int = 0
    #: Not chosen before.
    until_ns: int = 0
    #: Promises broken, less those kept.
    broken: int = 0


class Conducts:
    """Bounded: who was heard of least lately is forgotten first."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[bytes, _Conduct] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def good(self, key: bytes, now_ns: int) -> bool:
        """Whether it may be chosen for a mesh, and its offers taken."""
        conduct = self._by_key.get(key)
        return conduct is None or now_ns >= conduct.until_ns

    def broken(self, key: bytes) -> int:
        """Promises that it broke lately, less those kept."""
        conduct = self._by_key.get(key)
        return conduct.broken if conduct is not None else 0

    def offence(self, key: bytes, now_ns: int) -> None:
        """It brought nothing, or what its author never said."""
        conduct = self._touch(key)
        if conduct.until_ns:
            conduct.offences = max(0, conduct.offences - (now_ns - conduct.until_ns) // _FORGIVEN_NS)
        conduct.until_ns = now_ns + min(_FIRST_NS << min(conduct.offences, 16), _LONGEST_NS)
        conduct.offences += 1

    def kept(self, key: bytes) -> None:
        """It sent what it had offered."""
        conduct = self._by_key.get(key)
        if conduct is not None and conduct.broken:
            conduct.broken -= 1

    def broke(self, key: bytes, now_ns: int) -> None:
        """It did not send what it had offered; the network may have lost it."""
        conduct = self._touch(key)
        conduct.broken += 1
        if conduct.broken >= _BROKEN:
            conduct.broken = 0
            self.offence(key, now_ns)

    def _touch(self, key: bytes) -> _Conduct:
        conduct = self._by_key.pop(key, None) or _Conduct()
        if len(self._by_key) >= MAX_CONDUCTS:
            del self._by_key[next(iter(self._by_key))]
        self._by_key[key] = conduct
        return conduct
