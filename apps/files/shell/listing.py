"""What is in a folder that is to be shared: files in the order of a share, and empty folders; links are left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

import attrs

from apps.files.core.limits import MAX_DEPTH, MAX_FILES
from apps.files.shell.beneath import InTheWay, Path, look, open_folder
from apps.files.shell.hashing import Progress
from apps.files.shell.record import Stamp, stamp_of
from overlay.errors import LimitError, LocalError


@attrs.frozen(slots=True)
class Found:
    path: Path
    stamp: Stamp
    executable: bool


@attrs.define(slots=True, eq=False)
class Listing:
    """Of one file or folder, whose own name is not in the paths; a single file has the path `()`."""

    #: In the order of the bytes of names, folder by folder.
    files: list[Found] = attrs.field(factory=list, init=False)
    #: In which there is nothing.
    folders: list[Path] = attrs.field(factory=list, init=False)
    is_file: bool = attrs.field(default=False, init=False)


def list_tree(base: int, top: str, progress: Progress, on_skipped: Callable[[str], object]) -> Listing:
    """Sorted, so that everybody who shares the same tree makes the same share of it. LocalError if there is nothing."""
    listing = Listing()
    found = look(top, base)
    if found is None:
        raise LocalError(f"{top}: there is no such file or folder")
    if stat.S_ISREG(found.st_mode):
        listing.is_file = True
        listing.files.append(Found((), stamp_of(found), bool(found.st_mode & stat.S_IXUSR)))
    elif stat.S_ISDIR(found.st_mode):
        _list(listing, base, top, (), progress, on_skipped)
        progress.total = sum(file.stamp.size for file in listing.files)
    else:
        raise LocalError(f"{top}: neither a file nor a folder, so it cannot be shared")
    return listing


def _list(
    listing: Listing, base: int, name: str, path: Path, progress: Progress, on_skipped: Callable[[str], object]
) -> None:
    if len(path) > MAX_DEPTH:
        raise LocalError(f"{'/'.join(path)}: folders nested deeper than {MAX_DEPTH} cannot be shared")
    descriptor = open_folder(name, base)
    try:
        before = len(listing.files) + len(listing.folders)
        for entry in sorted(_entries(descriptor), key=lambda entry: os.fsencode(entry[0])):
            progress.advance(0)
            _take(listing, descriptor, (*path, entry[0]), entry[1], progress, on_skipped)
        if len(listing.files) + len(listing.folders) == before and path:
            listing.folders.append(path)
    finally:
        os.close(descriptor)


def _entries(folder: int) -> Iterator[tuple[str, os.stat_result | None]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                yield entry.name, None


def _take(
    listing: Listing, folder: int, path: Path, found: os.stat_result | None, progress: Progress,
    on_skipped: Callable[[str], object],
) -> None:  # fmt: skip
    name = "/".join(path)
    if found is None:
        on_skipped(f"{name}: gone while the folder was read")
    elif stat.S_ISLNK(found.st_mode):
        on_skipped(f"{name}: a symbolic link, left out")
    elif stat.S_ISREG(found.st_mode):
        listing.files.append(Found(path, stamp_of(found), bool(found.st_mode & stat.S_IXUSR)))
        if len(listing.files) > MAX_FILES:
            raise LimitError(f"more than {MAX_FILES} files: share them in parts")
    elif stat.S_ISDIR(found.st_mode):
        try:
            _list(listing, folder, path[-1], path, progress, on_skipped)
        except (InTheWay, FileNotFoundError):
            on_skipped(f"{name}: changed while the folder was read")
    else:
        on_skipped(f"{name}: not a regular file, left out")
