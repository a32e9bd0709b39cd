"""The Storage port of a simulated peer, with the two ways in which a machine can forget.

What was put is seen at once. It survives the death of the process once committed, and a power loss
once synced; not before, since a simulator must assume the worst that the contract allows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

import attrs

#: Operations logged before those that later ones made void are dropped.
_COMPACT_ABOVE = 256


@attrs.define(slots=True)
class _Write:
    position: int
    key: bytes
    value: bytes | None  # None: deleted


class MemoryStorage:
    """A port `overlay.runtime.ports.Storage`.

    The owner of the peer calls `mark` when the peer emits Commit or Sync, and `commit` or `sync`
    with that mark when it answers: what was put in between is not covered.
    """

    __slots__ = ("_committed", "_compact_above", "_data", "_keys", "_log", "_marks", "_position", "_synced")

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._synced: dict[bytes, bytes] = {}
        #: Every write that is not synced, oldest first.
        self._log: list[_Write] = []
        self._position = 0
        #: Writes up to this position survive the death of the process.
        self._committed = 0
        self._marks: list[int] = []
        self._compact_above = _COMPACT_ABOVE

    # --- the port ---

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self._data:
            insort(self._keys, key)
        self._data[key] = value
        self._note(key, value)

    def delete(self, key: bytes) -> None:
        if key in self._data:
            del self._data[key]
            del self._keys[bisect_left(self._keys, key)]
            self._note(key, None)

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        keys = self._keys
        at = bisect_right(keys, after) if after >= prefix else bisect_left(keys, prefix)
        while at < len(keys) and keys[at].startswith(prefix):
            key = keys[at]
            yield key, self._data[key]
            # The store may have changed meanwhile: find the place again.
            keys = self._keys
            at = bisect_right(keys, key)

    # --- for the owner of the peer ---

    def mark(self) -> int:
        """The writes so far; to be given to `commit` or `sync` once."""
        self._marks.append(self._position)
        return self._position

    def commit(self, mark: int) -> None:
        """Every write before `mark` survives `crash` from now on."""
        self._marks.remove(mark)
        self._committed = max(self._committed, mark)

    def sync(self, mark: int) -> None:
        """Every write before `mark` survives `power_loss` from now on."""
        self._marks.remove(mark)
        self._committed = max(self._committed, mark)
        count = 0
        for write in self._log:
            if write.position > mark:
                break
            _apply(self._synced, write)
            count += 1
        del self._log[:count]

    def forget(self, mark: int) -> None:
        """The write that this mark was for failed; what it would have covered waits for the next."""
        self._marks.remove(mark)

    @property
    def settled(self) -> bool:
        """Every write survives `crash`."""
        return self._committed == self._position

    def crash(self) -> None:
        """The process died: keep what was committed."""
        self._log = [write for write in self._log if write.position <= self._committed]
        self._reset()

    def power_loss(self) -> None:
        """The machine died: keep what was synced."""
        self._log.clear()
        self._reset()

    def copy(self) -> MemoryStorage:
        """The same content, apart: what a dead process still writes does not reach its successor."""
        copy = MemoryStorage()
        copy._data = dict(self._data)
        copy._keys = list(self._keys)
        copy._synced = dict(self._synced)
        copy._log = list(self._log)
        copy._position, copy._committed = self._position, self._committed
        return copy

    def backup(self) -> MemoryStorage:
        """What a backup of the running node holds: all that is committed. To be restored, give a `copy` of it."""
        backup = self.copy()
        backup.crash()
        return backup

    def __len__(self) -> int:
        return len(self._data)

    def _reset(self) -> None:
        self._data = dict(self._synced)
        for write in self._log:
            _apply(self._data, write)
        self._keys = sorted(self._data)
        self._marks.clear()
        self._committed = self._position

    def _note(self, key: bytes, value: bytes | None) -> None:
        self._position += 1
        self._log.append(_Write(self._position, key, value))
        if len(self._log) > self._compact_above:
            self._compact()

    def _compact(self) -> None:
        """Drop writes that a later one of the same key made void, unless a mark lies between the two."""
        borders = sorted({self._committed, *self._marks})
        last: dict[tuple[int, bytes], _Write] = {}
        for write in self._log:
            # Between two borders only the last write of a key counts, and order among keys does not.
            last[bisect_left(borders, write.position), write.key] = write
        self._log = list(last.values())
        self._compact_above = max(_COMPACT_ABOVE, 2 * len(self._log))


def _apply(data: dict[bytes, bytes], write: _Write) -> None:
    if write.value is None:
        data.pop(write.key, None)
    else:
        data[write.key] = write.value
