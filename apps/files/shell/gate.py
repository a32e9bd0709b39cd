"""Many threads read and write a share at once; one that opens, finishes or closes it wants it for itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs


@attrs.define(slots=True, eq=False)
class Gate:
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _inside: int = attrs.field(default=0, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """New ones wait at once, so whoever wants to be alone is not kept waiting by them."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            self._changed.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()
