"""Open files, kept for the next unit: few files are read by many, and opening one name by name is not free."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from apps.files.shell.limits import MAX_OPEN_FILES

#: (share, file, for writing).
Key = tuple[bytes, int, bool]


@attrs.define(slots=True, eq=False)
class _Opened:
    descriptor: int
    users: int = 0
    #: No longer in the cache: the last user closes it.
    dropped: bool = False


@attrs.define(slots=True, eq=False)
class Descriptors:
    """At most `limit` files, the one used longest ago closed first; for use by any thread."""

    limit: int = MAX_OPEN_FILES
    _opened: OrderedDict[Key, _Opened] = attrs.field(factory=OrderedDict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @contextmanager
    def use(self, key: Key, opener: Callable[[], int]) -> Iterator[int]:
        """The descriptor, not closed until the block is left; two threads may open the same file at once, and then
        one of them closes its own."""
        opened = self._take(key)
        if opened is None:
            opened = self._put(key, opener())
        try:
            yield opened.descriptor
        finally:
            self._give_back(opened)

    def drop(self, share: bytes, *, file: int | None = None) -> None:
        """Those of a share, or of one file of it."""
        with self._lock:
            for key in [key for key in self._opened if key[0] == share and file in (None, key[1])]:
                self._close(self._opened.pop(key))

    def __len__(self) -> int:
        return len(self._opened)

    def _take(self, key: Key) -> _Opened | None:
        with self._lock:
            opened = self._opened.get(key)
            if opened is not None:
                self._opened.move_to_end(key)
                opened.users += 1
            return opened

    def _put(self, key: Key, descriptor: int) -> _Opened:
        with self._lock:
            opened = self._opened.get(key)
            if opened is not None:
                os.close(descriptor)
            else:
                opened = self._opened[key] = _Opened(descriptor)
                while len(self._opened) > self.limit:
                    self._close(self._opened.popitem(last=False)[1])
            opened.users += 1
            return opened

    def _give_back(self, opened: _Opened) -> None:
        with self._lock:
            opened.users -= 1
            if opened.dropped and not opened.users:
                os.close(opened.descriptor)

    def _close(self, opened: _Opened) -> None:
        opened.dropped = True
        if not opened.users:
            os.close(opened.descriptor)
