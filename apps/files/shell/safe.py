"""Making sure that bytes are on the disk, that there is room for more, and that nothing is replaced by a rename."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from apps.files.core.limits import MAX_NAME, MIB
from apps.files.shell.limits import MAX_NEW_NAMES
from overlay.errors import LocalError

#: There is no room: the disk, or what this user may have of it.
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Of a process, or of a moment: nothing is wrong with the file.
PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EAGAIN, errno.ENOMEM})
#: File systems without hard links (FAT, some FUSE).
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
#: linux/fs.h
_RENAME_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def sync_file_system(descriptor: int) -> None:
    """All of the file system on which this is: syncfs(2), sync(2) where there is none."""
    if not hasattr(_libc, "syncfs"):
        os.sync()
    elif _libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync_folder(path: str) -> None:
    """The names in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(descriptor: int) -> int:
    """What this user may still write there."""
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize


class NoRoom(LocalError):
    """The disk is full."""


def check_room(descriptor: int, needed: int, margin: int, place: str) -> None:
    """NoRoom that says how much is missing."""
    free = free_bytes(descriptor)
    if needed and free < needed + margin:
        raise NoRoom(
            f"the disk is full: {place} has {free // MIB} MiB free, and {needed // MIB + 1} MiB are still to come"
            f" ({margin // MIB} MiB stay free); make room, then resume it"
        )


def write_whole(folder: int, name: str, data: bytes) -> None:
    """After a crash there is the old file or the new one."""
    temporary = f".{name}.new"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    try:
        write_all(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def read_all(descriptor: int, offset: int, length: int) -> bytes:
    """Shorter only if the file ends."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
        data += more
    return data


def segments(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """What was ever written between these offsets; a file system that knows no holes says that all was."""
    while start < end:
        try:
            start = os.lseek(descriptor, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # else there is nothing more
                yield start, end
            return
        if start < end:
            stop = min(end, os.lseek(descriptor, start, os.SEEK_HOLE))
            yield start, stop
            start = stop


def is_hole(descriptor: int, offset: int, length: int) -> bool:
    """Nothing was ever written there."""
    return next(segments(descriptor, offset, offset + length), None) is None


def new_names(name: str, *, suffix: str = "") -> Iterator[str]:
    """`name`, then `name (1)` and so on, the number before the extension; with `suffix` none is too long."""
    stem, extension = os.path.splitext(name)
    if len(extension.encode()) > MAX_NAME // 8:
        stem, extension = name, ""
    for number in range(MAX_NEW_NAMES):
        tail = (f" ({number})" if number else "") + extension + suffix
        yield stem.encode()[: MAX_NAME - len(tail.encode())].decode(errors="ignore") + tail


def rename_beside(folder: int, old: str, new: str) -> bool:
    """Rename what is never to replace anything; False if the new name is taken, by whatever it may be.

    Where there is no renameat2(2) with RENAME_NOREPLACE: link(2) and mkdir(2) do not replace either. After a crash
    between, a file may have both names, or a folder an empty one beside it."""
    done = _rename_alone(folder, old, new)
    return _rename_in_steps(folder, old, new) if done is None else done


def _rename_alone(folder: int, old: str, new: str) -> bool | None:
    """None if the system or the file system cannot."""
    if not hasattr(_libc, "renameat2"):
        return None
    if not _libc.renameat2(folder, os.fsencode(old), folder, os.fsencode(new), _RENAME_NOREPLACE):
        return True
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        return False
    if number in (errno.EINVAL, errno.ENOSYS):
        return None
    raise OSError(number, os.strerror(number), old)


def _rename_in_steps(folder: int, old: str, new: str) -> bool:
    found = os.stat(old, dir_fd=folder, follow_symlinks=False)
    try:
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(new, 0o700, dir_fd=folder)
        elif _link(folder, old, new):
            os.unlink(old, dir_fd=folder)
            return True
        else:
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)  # onto our own empty folder or file
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # ENOTEMPTY: somebody put something into it
            return False
        raise
    return True


def _link(folder: int, old: str, new: str) -> bool:
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        return True
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
