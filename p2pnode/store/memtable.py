"""Writes that are not in the file yet: visible at once, bounded, cut into batches for the writer.

Belongs to one thread (the event loop's). A batch holds every write between two cuts and becomes one transaction,
so what is written between two commits is seen after a crash as a whole or not at all.
"""

from __future__ import annotations

import attrs

from overlay.errors import LimitError

#: A disk that is full for hours must not become a memory that is full: twice MAX_RECORDS x 1 kB of overlay/limits.py.
MAX_MEMTABLE = 128 * 1024 * 1024
#: What an entry costs beside its bytes: two dict slots, two objects' heads, a tuple.
_ENTRY_OVERHEAD = 200


@attrs.frozen(slots=True, eq=False)
class Batch:
    """All writes between two cuts; None deletes."""

    number: int
    writes: dict[bytes, bytes | None]
    size: int


@attrs.define(slots=True, eq=False)
class Memtable:
    limit: int = MAX_MEMTABLE
    #: Bytes that wait, bookkeeping included.
    size: int = 0
    #: Newest waiting write of each key, and the number of its batch.
    _latest: dict[bytes, tuple[int, bytes | None]] = attrs.field(factory=dict)
    #: Writes since the last cut.
    _open: dict[bytes, bytes | None] = attrs.field(factory=dict)
    _open_size: int = 0
    _number: int = 1

    def __len__(self) -> int:
        return len(self._latest)

    def write(self, key: bytes, value: bytes | None) -> None:
        """LimitError if too much waits already: the disk does not keep up, or is full."""
        size = _ENTRY_OVERHEAD + len(key) + (len(value) if value is not None else 0)
        if key in self._open:
            old = self._open[key]
            size -= _ENTRY_OVERHEAD + len(key) + (len(old) if old is not None else 0)
        if self.size + size > self.limit:
            raise LimitError(f"the store is behind: {self.size} bytes wait for the disk, no more than {self.limit} may")
        self._open[key] = value
        self._latest[key] = (self._number, value)
        self._open_size += size
        self.size += size

    def find(self, key: bytes) -> tuple[int, bytes | None] | None:
        """(batch, value), a value of None being a deletion; None if the file knows better."""
        return self._latest.get(key)

    def between(self, low: bytes, high: bytes | None) -> dict[bytes, bytes | None]:
        """Waiting writes with low <= key < high (None: no end)."""
        return {key: value for key, (_, value) in self._latest.items() if key >= low and (high is None or key < high)}

    @property
    def is_cut(self) -> bool:
        """True if nothing was written since the last cut."""
        return not self._open

    def cut(self) -> Batch:
        """Everything since the last cut, for the writer; may be empty."""
        batch = Batch(self._number, self._open, self._open_size)
        self._open, self._open_size = {}, 0
        self._number += 1
        return batch

    def settle(self, batch: Batch) -> None:
        """The batch is in the file: forget what no later write has replaced."""
        self.size -= batch.size
        for key in batch.writes:
            if self._latest[key][0] == batch.number:
                del self._latest[key]
