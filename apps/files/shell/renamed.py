"""What a person is told of names that are other ones here than where the share was made."""

from __future__ import annotations

import os

from apps.files.core.names import readable
from apps.files.shell.entry import Entry


def note_names(entry: Entry, name: str) -> None:
    """Of a download: each file and folder whose name was changed on arrival. `name`: what the share is called here."""
    if os.fsencode(name) != entry.info.name:
        _note(entry, entry.info.name, name)
    told: set[tuple[bytes, ...]] = set()
    raws = [*(() if entry.info.is_file else (file.path for file in entry.info.files)), *entry.info.folders]
    for raw, path in zip(raws, [*entry.paths, *entry.folders], strict=False):
        for depth in range(len(raw), 0, -1):
            if os.fsencode(path[depth - 1]) != raw[depth - 1] and raw[:depth] not in told:
                told.add(raw[:depth])
                _note(entry, b"/".join(raw[:depth]), path[depth - 1])


def note_taken(entry: Entry, name: str) -> None:
    """Something was called so already."""
    if entry.top != name:
        entry.notes.add(f"{name} was there already: what was fetched is called {entry.top}")


def _note(entry: Entry, raw: bytes, name: str) -> None:
    entry.notes.add(f"{readable(raw)} is called {name} here")
