"""Huge pages for the heap of what computes for minutes: a swarm of 400 nodes takes 30 % less CPU with them.

A heap of hundreds of megabytes is read all over, and most of what a process waits for is where the next page is. glibc
since 2.35 asks the kernel for pages of 2 MiB if GLIBC_TUNABLES says so (glibc manual, "Memory Allocation Tunables");
Python's own allocator never does, so PYTHONMALLOC has it use that of glibc. Both are read when a process begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from p2pnode.ui import begin

_WANTED = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_SINCE = (2, 35)
_MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def environment(environ: Mapping[str, str], *, libc: str, mode: str) -> dict[str, str] | None:
    """What a process is to be begun with; None: it has it, somebody chose otherwise, or this system has none.

    `libc`: "glibc 2.36"; `mode`: "always [madvise] never"."""
    name, _, version = libc.partition(" ")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if name != "glibc" or numbers < _SINCE or "[never]" in mode or not mode:
        return None
    return None if environ.keys() & _WANTED.keys() else {**environ, **_WANTED}


def use() -> None:
    """Begins the program anew with them, if it is one of ours and nothing has happened yet."""
    if not begin.is_program or not sys.platform.startswith("linux"):
        return
    try:
        libc, mode = os.confstr("CS_GNU_LIBC_VERSION") or "", _MODE.read_text()
    except (OSError, ValueError):
        return
    environ = environment(os.environ, libc=libc, mode=mode)
    if environ is not None:
        os.execve(sys.executable, sys.orig_argv, environ)
