"""The part of a peer's storage that one application may use: keys of its own, and a bound."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from overlay.errors import LimitError, LocalError
from overlay.limits import MAX_APP_KEY, MAX_APP_STORAGE, MAX_APP_VALUE
from overlay.runtime.journal import Journal

_PREFIX = b"app/"


@attrs.define(slots=True, eq=False)
class AppStorage:
    """Ordered keys and values of one application. A write is visible at once, and safe after `committed`."""

    _journal: Journal
    _prefix: bytes
    #: Bytes of all keys and values; None until somebody writes.
    _used: int | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, journal: Journal, app: str) -> AppStorage:
        """The length stands before the name: else keys of `a` and of `ab` could be the same."""
        name = app.encode()
        return cls(journal, _PREFIX + bytes([len(name)]) + name)

    @property
    def used(self) -> int:
        """Bytes of all keys and values, of at most MAX_APP_STORAGE."""
        if self._used is None:
            self._used = sum(len(key) + len(value) for key, value in self.scan())
        return self._used

    def get(self, key: bytes) -> bytes | None:
        return self._journal.storage.get(self._prefix + key)

    def put(self, key: bytes, value: bytes) -> None:
        """LocalError if the key or the value is too long, LimitError if the whole would be too much."""
        if len(key) > MAX_APP_KEY or len(value) > MAX_APP_VALUE:
            raise LocalError(
                f"a key of {len(key)} bytes with a value of {len(value)}: at most {MAX_APP_KEY} and {MAX_APP_VALUE}"
            )
        used = self.used + len(key) + len(value) - self._size(key)
        if used > MAX_APP_STORAGE:
            raise LimitError(f"an application may store {MAX_APP_STORAGE} bytes; delete something first")
        self._journal.storage.put(self._prefix + key, value)
        self._used = used  # only now: a full disk refuses a write

    def delete(self, key: bytes) -> None:
        """Nothing happens if it is not there."""
        used = self.used - self._size(key)
        self._journal.storage.delete(self._prefix + key)
        self._used = used

    def scan(self, prefix: bytes = b"", *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with `prefix` and is greater than `after`, in key order, as `ports.Storage`."""
        skip = len(self._prefix)
        start = self._prefix + after if after else b""
        for key, value in self._journal.storage.scan(self._prefix + prefix, after=start):
            yield key[skip:], value

    async def committed(self) -> None:
        """Until every write so far survives the death of the process. LocalError if the disk refuses."""
        await self._journal.committed()

    async def synced(self) -> None:
        """Until every write so far survives a power loss. LocalError if the disk refuses."""
        await self._journal.synced()

    def _size(self, key: bytes) -> int:
        old = self.get(key)
        return 0 if old is None else len(key) + len(old)
