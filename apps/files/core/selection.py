"""Which files of a share somebody wants, said in patterns as shells have them.

    *.mkv           files of this name in any folder
    Season 1        a folder of this name, or a file, and all that is in it
    */extras/**     a path from the top; `**` is any number of folders, `*` and `?` stay within a name

A pattern with a `/` in it (one at the end does not count) is a path from the top, another one a name anywhere.
`[seq]` and `[!seq]` are sets of characters. Upper and lower case differ.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from apps.files.core.limits import MAX_PATTERN_CHARS, MAX_PATTERNS
from overlay.errors import LocalError

Path = tuple[str, ...]


def select(paths: Sequence[Path], patterns: Sequence[str]) -> list[int]:
    """Numbers of the paths that any pattern means, ascending. No patterns mean all. LocalError for what is none."""
    if not patterns:
        return list(range(len(paths)))
    if len(patterns) > MAX_PATTERNS:
        raise LocalError(f"{len(patterns)} patterns, at most {MAX_PATTERNS}")
    tests = [_test(pattern) for pattern in patterns]
    return [number for number, path in enumerate(paths) if any(test(path) for test in tests)]


def _test(pattern: str) -> Callable[[Path], bool]:
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if not parts or len(pattern) > MAX_PATTERN_CHARS or ".." in parts:
        raise LocalError(f"not a pattern of file names: {pattern[:80]!r} (for example '*.mkv' or 'Season 1/*')")
    if len(parts) == 1 and "/" not in pattern.rstrip("/"):
        matches = _name(parts[0])
        # A name is matched once, in however many files it stands.
        known = lru_cache(maxsize=4096)(matches)
        return lambda path: any(map(known, path))
    names = [None if part == "**" else _name(part) for part in parts]
    return lambda path: _from_top(names, path)


def _name(part: str) -> Callable[[str], bool]:
    """fnmatch's translation takes time in proportion to the name, however many `*` there are."""
    compiled = re.compile(fnmatch.translate(part))
    return lambda name: compiled.match(name) is not None


def _from_top(names: Sequence[Callable[[str], bool] | None], path: Path) -> bool:
    """Whether the pattern matches the path or a folder around it. `reached`: how much of the pattern may be used up
    after each name, so that several `**` cost no more than one."""
    reached = _skip({0}, names)
    if len(names) in reached:
        return True
    for name in path:
        after: set[int] = set()
        for at in reached:
            matches = names[at]
            if matches is None:
                after.add(at)
            elif matches(name):
                after.add(at + 1)
        reached = _skip(after, names)
        if len(names) in reached:
            return True
    return False


def _skip(reached: set[int], names: Sequence[Callable[[str], bool] | None]) -> set[int]:
    """With `**` at no folder at all."""
    out = set(reached)
    for at in range(len(names)):
        if at in out and names[at] is None:
            out.add(at + 1)
    return out
