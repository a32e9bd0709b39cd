"""A download on the disk: one file or one folder whose name ends in `.part`, locked, and renamed when all is there.

In a `.part` folder all has its final name already, so the end is one rename, however many files there are. What is
called like something that is there gets a new name, as in browsers: "name (1)". The lock is one of flock(2) on the
`.part` itself: it holds between processes, and goes with the one that had it.
"""

from __future__ import annotations

import fcntl
import os
import stat

import attrs

from apps.files.core.names import Target
from apps.files.shell.beneath import InTheWay, Walk, look, open_file, open_folder
from apps.files.shell.entry import Entry
from apps.files.shell.limits import MAX_SINGLE_SYNCS
from apps.files.shell.record import Kind, stamp_of
from apps.files.shell.renamed import note_taken
from apps.files.shell.safe import new_names, rename_beside, sync_file_system
from apps.files.shell.units import proves
from overlay.errors import LocalError

SUFFIX = ".part"


@attrs.frozen(slots=True)
class Part:
    top: str
    inode: int
    #: Holds the lock.
    descriptor: int


def target_of(base: int) -> Target:
    """What names the file system takes, tried out in a folder of its own."""
    probe = f".p2pnode-{os.urandom(6).hex()}"
    os.mkdir(probe, 0o700, dir_fd=base)
    try:
        made = []
        folder = open_folder(probe, base)
        try:
            for name in ('a"*:<>?\\|. ', "A", "a"):
                os.close(open_file(name, folder, write=True, create=True))
                made.append(name)
            return Target.POSIX
        except OSError:
            return Target.ANYWHERE
        finally:
            for name in made:
                os.unlink(name, dir_fd=folder)
            os.close(folder)
    finally:
        os.rmdir(probe, dir_fd=base)


def new_part(base: int, name: str, *, is_file: bool) -> Part:
    """LocalError if another download has the name at this moment; one that was left there is left there."""
    for top in new_names(name, suffix=SUFFIX):
        try:
            if is_file:
                os.close(open_file(top, base, write=True, create=True))
            else:
                os.mkdir(top, 0o777, dir_fd=base)
        except FileExistsError:
            try:
                os.close(lock_part(base, top).descriptor)
            except InTheWay:
                pass
            continue
        return lock_part(base, top)
    raise LocalError(f"{name}: too many downloads of this name are there already; remove some")


def lock_part(base: int, top: str) -> Part:
    """FileNotFoundError, InTheWay; LocalError if another download has it."""
    found = look(top, base)
    if found is None:
        raise FileNotFoundError(top)
    descriptor = open_folder(top, base) if stat.S_ISDIR(found.st_mode) else open_file(top, base, write=True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Part(top, os.fstat(descriptor).st_ino, descriptor)
    except BlockingIOError:
        os.close(descriptor)
        raise LocalError(f"{top} is being downloaded to the same folder already: choose another folder") from None


def make_files(entry: Entry, base: int, files: list[int], *, folders: bool) -> None:
    """Files of their full length, all of it holes; those that are there with another length get the right one."""
    with Walk(base, make=True) as walk:
        for file in files:
            path, length = entry.path_of(file), entry.info.files[file].length
            found = entry.stamps[file]
            if found is not None and found.size == length:
                continue
            folder = walk.folder(path[:-1])
            new = found is None and look(path[-1], folder) is None
            descriptor = open_file(path[-1], folder, write=True, create=new)
            try:
                os.ftruncate(descriptor, length)
                entry.stamps[file] = stamp_of(os.fstat(descriptor))
            finally:
                os.close(descriptor)
        if folders:
            for path in entry.folders:
                walk.folder((entry.top, *path))


def finish(entry: Entry, name: str) -> None:
    """LocalError if something that is wanted is not there, or not what the share says."""
    if entry.wanted & ~entry.held:
        raise LocalError(f"{entry.path}: {(entry.wanted & ~entry.held).bit_count()} units are still missing")
    files = wanted_files(entry)
    for file in files:
        if len(entry.layout.units_of(file)) > 1 and not proves(entry, file):
            entry.lose(file)
            raise LocalError(f"{'/'.join(entry.path_of(file))} is not what the share says; resume to fetch it again")
    base = entry.base_descriptor
    assert base is not None
    _settle(entry, base, files)
    for top in new_names(name):
        if look(top, base) is not None:
            continue
        entry.checkpoint(becomes=top)
        if rename_beside(base, entry.top, top):
            break
    else:
        raise LocalError(f"{name}: too many of this name are there already; move some away, then resume")
    os.fsync(base)
    entry.let_go()
    entry.kind, entry.top = Kind.DONE, top
    note_taken(entry, name)
    entry.save(entry.held)


def wanted_files(entry: Entry) -> list[int]:
    """Those of which units are wanted and, with everything, the empty ones."""
    everything = entry.wanted.bit_count() == entry.layout.units
    return [
        file
        for file, described in enumerate(entry.info.files)
        if everything or (described.length and entry.wanted >> entry.layout.units_of(file).start & 1)
    ]


def _settle(entry: Entry, base: int, files: list[int]) -> None:
    """Executable as they were shared, stamped, and with their folders safe on the disk."""
    with Walk(base) as walk:
        for file in files:
            if entry.info.files[file].executable:
                path = entry.path_of(file)
                descriptor = open_file(path[-1], walk.folder(path[:-1]), write=True)
                try:
                    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
                    os.fchmod(descriptor, mode | (mode & 0o444) >> 2)
                finally:
                    os.close(descriptor)
    with entry.lock:
        entry.dirty.update(files)
    folders = {entry.path_of(file)[:depth] for file in files for depth in range(1, len(entry.path_of(file)))}
    folders.update((entry.top, *path[:depth]) for path in entry.folders for depth in range(len(path) + 1))
    if len(folders) > MAX_SINGLE_SYNCS:
        sync_file_system(base)
        return
    with Walk(base) as walk:
        for path in sorted(folders):
            try:
                os.fsync(walk.folder(path))
            except FileNotFoundError:  # an empty folder that was not asked for
                continue


def erase(entry: Entry, base: int) -> None:
    """Files of the share that nobody has changed since they were downloaded, and folders that are empty then."""
    with Walk(base) as walk:
        for file in range(len(entry.info.files)):
            path = entry.path_of(file)
            try:
                folder = walk.folder(path[:-1])
            except (FileNotFoundError, InTheWay):
                continue
            found = look(path[-1], folder)
            ours = found is not None and stat.S_ISREG(found.st_mode)
            if found is not None and ours and (entry.kind is Kind.PART or stamp_of(found) == entry.stamps[file]):
                os.unlink(path[-1], dir_fd=folder)
    depths = {path[:depth] for paths in (entry.folders, (p[:-1] for p in entry.paths)) for path in paths
              for depth in range(len(path) + 1)}  # fmt: skip
    with Walk(base) as walk:
        for path in sorted(depths, key=len, reverse=True):
            whole = (entry.top, *path)
            try:
                os.rmdir(whole[-1], dir_fd=walk.folder(whole[:-1]))
            except (OSError, InTheWay):  # not empty, or not there
                continue
