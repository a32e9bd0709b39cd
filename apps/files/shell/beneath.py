"""Files beneath an open folder, reached one name at a time, so that no link leads out of it.

A path is never given to the system as a whole: somebody could put a link in its middle between a look and an open.
Each name is opened in the folder before it with O_NOFOLLOW, and what was opened is looked at, not its name. A file
to be written must have no second name (hard link), which may lie anywhere.
"""

from __future__ import annotations

import errno
import os
import stat

import attrs

from overlay.errors import LocalError

#: Names from a folder downwards.
Path = tuple[str, ...]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO would wait for somebody at its other end.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: What the system says of a link, or of what is no folder, in the place of one.
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})


class InTheWay(LocalError):
    """A link or something that is neither file nor folder stands where a file or folder should be."""


def open_base(path: str) -> int:
    """A folder that a person named: links in its path are followed."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(name: str, folder: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        raise _explained(error, name) from None


def open_file(name: str, folder: int, *, write: bool = False, create: bool = False) -> int:
    """A regular file of this folder; InTheWay for anything else. `create`: it must be new."""
    flags = _FILE | (os.O_RDWR if write else os.O_RDONLY) | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        descriptor = os.open(name, flags, 0o666, dir_fd=folder)
    except OSError as error:
        raise _explained(error, name) from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or (write and found.st_nlink > 1):
        os.close(descriptor)
        what = "it has a second name (a hard link)" if stat.S_ISREG(found.st_mode) else "it is not a regular file"
        raise InTheWay(f"{name}: {what}, so it is not touched")
    return descriptor


def look(name: str, folder: int) -> os.stat_result | None:
    """What has this name, itself and not what it points to; None if nothing has."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _explained(error: OSError, name: str) -> Exception:
    # ENXIO: a socket, or a FIFO that nobody reads. EISDIR: a folder opened for writing.
    if error.errno in _IN_THE_WAY or error.errno in (errno.ENXIO, errno.EISDIR):
        return InTheWay(f"{name}: a link, or something else than what belongs there, is in the way: it is not followed")
    return error


@attrs.define(slots=True, eq=False)
class Walk:
    """Folders beneath `root`, one after another; those that the next path shares stay open."""

    root: int
    #: Make folders that are not there.
    make: bool = attrs.field(default=False, kw_only=True)
    _open: list[tuple[str, int]] = attrs.field(factory=list, init=False)

    def folder(self, path: Path) -> int:
        """Its descriptor, good until the next call."""
        same = 0
        while same < min(len(path), len(self._open)) and self._open[same][0] == path[same]:
            same += 1
        self._leave(same)
        at = self._open[-1][1] if self._open else self.root
        for name in path[same:]:
            at = self._enter(name, at)
            self._open.append((name, at))
        return at

    def _enter(self, name: str, at: int) -> int:
        try:
            return open_folder(name, at)
        except FileNotFoundError:
            if not self.make:
                raise
        try:
            os.mkdir(name, 0o777, dir_fd=at)
        except FileExistsError:  # somebody was faster; what it is the next line tells
            pass
        return open_folder(name, at)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)


def open_path(root: int, path: Path, *, write: bool = False) -> int:
    with Walk(root) as walk:
        return open_file(path[-1], walk.folder(path[:-1]), write=write)
