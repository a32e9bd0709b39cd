"""Files that are mostly holes: made, and compared without reading the holes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from apps.files.shell.safe import segments

KIB, MIB = 1 << 10, 1 << 20
#: Bytes at most that are read at once.
_CHUNK = 4 * MIB


def make_sparse(path: Path, size: int, *, islands: int, seed: int) -> int:
    """A file with data at its begin, at its end and at `islands` places between; how many bytes of data."""
    rng, written = random.Random(seed), 0
    with path.open("xb") as file:
        file.truncate(size)
        for at in [0, size - 3_000, *(rng.randrange(size - MIB) for _ in range(islands))]:
            data = rng.randbytes(3_000 if at == size - 3_000 else rng.randrange(1, MIB))
            written += os.pwrite(file.fileno(), data, at)
    return written


def same(one: Path, other: Path) -> bool:
    """Whether both have the same bytes. Where either has data both are read; where neither has there are zeros."""
    with one.open("rb") as a, other.open("rb") as b:
        size = os.fstat(a.fileno()).st_size
        if os.fstat(b.fileno()).st_size != size:
            return False
        return all(
            os.pread(a.fileno(), length, at) == os.pread(b.fileno(), length, at)
            for file in (a, b)
            for at, length in _chunks(file.fileno(), size)
        )


def _chunks(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    for start, end in segments(descriptor, 0, size):
        for at in range(start, end, _CHUNK):
            yield at, min(_CHUNK, end - at)
