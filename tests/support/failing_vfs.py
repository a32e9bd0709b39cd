"""A disk of sqlite3 that fails at its n-th operation: a VFS around the system's own (https://www.sqlite.org/vfs.html).

    with FailingDisk() as disk:
        disk.fail(17, FULL)         # the 17th write, truncation or sync from now, and all later ones
        ...
        disk.heal()

Every connection that is opened meanwhile is on it. It counts what changes a file: writing, truncating, syncing. Syncs
do nothing: the real disk keeps its power, and on a busy machine each takes 30 ms. Tests that kill are on it for that
alone: `pytest.mark.usefixtures("disk")`, with `disk` imported from here. `medium` (medium.py): what would be left of it
without power.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.medium import Medium

#: https://www.sqlite.org/rescode.html
OK, FULL, IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE = 0, 13, 778, 1034, 1546

_Pointer = ctypes.c_void_p
_Open = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, _Pointer, _Pointer, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)  # vfs, name, file, flags, flags that came out
_Write = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """struct sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", ctypes.c_int), ("file_size", ctypes.c_int), ("path_length", ctypes.c_int), ("next", _Pointer),
        ("name", ctypes.c_char_p), ("data", _Pointer), ("open", _Pointer), ("rest", _Pointer * 15),
    )  # fmt: skip


class _Methods(ctypes.Structure):
    """struct sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", ctypes.c_int), ("close", _Pointer), ("read", _Pointer), ("write", _Pointer),
        ("truncate", _Pointer), ("sync", _Pointer), ("rest", _Pointer * 13),
    )  # fmt: skip


#: A connection that nobody closed, as after an assertion that failed, is closed when it is collected, long after its
#: disk was left: what sqlite3 has pointers to stays as long as the process.
_EVERY: list[FailingDisk] = []


class FailingDisk:
    def __init__(self) -> None:
        #: Operations so far.
        self.count = 0
        #: What was done at the operation that failed first, "" if none did.
        self.hit = ""
        self._fail_at = 0
        self._code = OK
        self._once = False
        self.medium: Medium | None = None
        #: Address of an open file -> its name, b"" for one without.
        self._names: dict[int, bytes] = {}
        # Symbols of the library that the module is linked with, or has inside.
        self._sqlite = ctypes.CDLL(_sqlite3.__file__)
        self._sqlite.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._real = self._sqlite.sqlite3_vfs_find(None)
        self._vfs = _Vfs()
        ctypes.memmove(ctypes.byref(self._vfs), self._real, ctypes.sizeof(_Vfs))
        self._vfs.next, self._vfs.name = None, b"failing"
        self._real_open = _Open(self._vfs.open)
        #: Callbacks and tables that C has pointers to.
        self._kept: list[Any] = []
        #: Methods of the system's files -> ours.
        self._methods: dict[int, _Methods] = {}
        self._vfs.open = self._callback(_Open, self._open)

    def __enter__(self) -> FailingDisk:
        _EVERY.append(self)
        assert self._sqlite.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == OK
        return self

    def __exit__(self, *_: object) -> None:
        self._sqlite.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._sqlite.sqlite3_vfs_register(self._real, 1)

    def fail(self, number: int, code: int, *, once: bool = False) -> None:
        """From the `number`-th operation on (1: the next), or at one alone. Only syncs fail with IOERR_FSYNC."""
        self._fail_at, self._code, self._once, self.hit = self.count + number, code, once, ""

    def heal(self) -> None:
        """Nothing fails any more."""
        self._fail_at = 0

    def _callback(self, kind: Any, function: Callable[..., int]) -> int | None:
        made = kind(function)
        self._kept.append(made)
        return ctypes.cast(made, _Pointer).value

    def _open(self, vfs: int, name: int, file: int, flags: int, out: Any) -> int:
        code = self._real_open(ctypes.addressof(self._real.contents), name, file, flags, out)
        # The first member of a file is the pointer to its methods.
        methods = ctypes.cast(file, ctypes.POINTER(_Pointer))
        if methods[0]:
            self._names[file] = ctypes.string_at(name) if name else b""
            methods[0] = ctypes.addressof(self._ours(methods[0]))
        return code

    def _ours(self, address: int) -> _Methods:
        if address not in self._methods:
            real = _Methods.from_address(address)
            ours = _Methods.from_buffer_copy(real)
            for name, kind in (("write", _Write), ("truncate", _Truncate), ("sync", _Sync)):
                setattr(ours, name, self._callback(kind, self._counted(name, kind(getattr(real, name)))))
            self._methods[address] = ours
        return self._methods[address]

    def _counted(self, name: str, real: Callable[..., int]) -> Callable[..., int]:
        def call(*args: Any) -> int:
            self.count += 1
            due = 0 < self._fail_at <= self.count and not (self._once and self.hit)
            if due and (name == "sync" or self._code != IOERR_FSYNC):
                self.hit = self.hit or name
                return self._code
            if self.medium is not None and self._names[args[0]]:  # those without one are gone with the process
                self._tell(self.medium, name, *args)
            return OK if name == "sync" else real(*args)

        return call

    def _tell(self, medium: Medium, name: str, file: int, *args: int) -> None:
        path = Path(os.fsdecode(self._names[file]))
        match name, args:
            case "write", (data, size, offset):
                medium.write(path, offset, ctypes.string_at(data, size))
            case "truncate", (size,):
                medium.truncate(path, size)
            case "sync", _:
                medium.sync(path)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with FailingDisk() as disk:
        yield disk
