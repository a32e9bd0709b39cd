"""Hashing of files in several threads: of those to be shared, and of what may be there of a download."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import attrs

from apps.files.core.limits import LEAF_BYTES
from apps.files.core.merkle import hash_units, zero_units
from apps.files.shell.beneath import InTheWay, Path, Walk, open_file
from apps.files.shell.limits import HASHERS, JOB_BYTES, JOB_FILES
from apps.files.shell.record import Stamp, stamp_of
from apps.files.shell.safe import PASSING, is_hole, read_all
from overlay.errors import LocalError


class Stopped(LocalError):
    """Somebody asked for it."""


@attrs.define(slots=True, eq=False)
class Progress:
    """Of one share, set by the thread that works on it and read by any other."""

    total: int = 0
    done: int = 0
    #: Set it, and the work ends with `Stopped` within some milliseconds.
    stop: bool = False

    def advance(self, count: int) -> None:
        if self.stop:
            raise Stopped("it was stopped")
        self.done += count


@attrs.frozen(slots=True)
class Piece:
    """Whole units of one file, at most JOB_BYTES; `height` is that of their nodes."""

    file: int
    path: Path
    offset: int
    length: int
    height: int


@attrs.frozen(slots=True)
class Hashed:
    piece: Piece
    #: 32 bytes a unit; None if it cannot be read, or ended early.
    nodes: bytes | None
    #: Of the file after it was read.
    stamp: Stamp | None
    error: str = ""


def hash_pieces(base: int, pieces: Iterable[Piece], progress: Progress) -> Generator[Hashed, None, None]:
    """In the order of `pieces`, of which only as many are drawn as the threads are busy with."""
    pending: deque[Future[list[Hashed]]] = deque()
    workers = min(HASHERS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="hash") as pool:
        try:
            for job in _jobs(pieces):
                pending.append(pool.submit(_hash_job, base, job))
                if len(pending) > 2 * workers:
                    yield from _results(pending.popleft(), progress)
            while pending:
                yield from _results(pending.popleft(), progress)
        finally:
            for future in pending:
                future.cancel()


def _results(future: Future[list[Hashed]], progress: Progress) -> Iterator[Hashed]:
    for hashed in future.result():
        progress.advance(hashed.piece.length)
        yield hashed


def _jobs(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    job: list[Piece] = []
    size = 0
    for piece in pieces:
        if job and (size + piece.length > JOB_BYTES or len(job) >= JOB_FILES):
            yield job
            job, size = [], 0
        job.append(piece)
        size += piece.length
    if job:
        yield job


def _hash_job(base: int, job: list[Piece]) -> list[Hashed]:
    with Walk(base) as walk:
        return [_hash_piece(walk, piece) for piece in job]


def _hash_piece(walk: Walk, piece: Piece) -> Hashed:
    try:
        descriptor = open_file(piece.path[-1], walk.folder(piece.path[:-1]))
        try:
            hole = piece.length > LEAF_BYTES and is_hole(descriptor, piece.offset, piece.length)
            data = b"" if hole else read_all(descriptor, piece.offset, piece.length)
            stamp = stamp_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except InTheWay as error:
        return Hashed(piece, None, None, str(error))
    except OSError as error:
        if error.errno in PASSING:  # it says nothing of the file: not to be taken for another one than it was
            raise
        return Hashed(piece, None, None, error.strerror or str(error))
    if stamp.size < piece.offset + piece.length or not (hole or len(data) == piece.length):
        return Hashed(piece, None, stamp, "it became shorter")
    if hole:
        return Hashed(piece, zero_units(piece.length, piece.height), stamp)
    return Hashed(piece, hash_units(data, piece.height), stamp)


def pieces_of(file: int, path: Path, length: int, height: int, unit_bytes: int) -> Iterator[Piece]:
    """All of a file that is not empty."""
    step = max(1, JOB_BYTES // unit_bytes) * unit_bytes
    for offset in range(0, length, step):
        yield Piece(file, path, offset, min(step, length - offset), height)
