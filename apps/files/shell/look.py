"""Whether the files of an open share are still what they were: by their stamps, nothing of them is read."""

from __future__ import annotations

import os

from apps.files.shell.beneath import Walk
from apps.files.shell.entry import Entry
from apps.files.shell.record import Kind
from apps.files.shell.verify import stamp_now
from overlay.errors import LocalError


def look(entry: Entry) -> None:
    """What has changed or is gone is held no longer, and noted. What is being downloaded is left alone. LocalError if
    all of it is gone.

    A file costs 10 us."""
    if entry.kind is Kind.PART:
        return
    if not os.path.lexists(entry.path):
        raise LocalError(gone(entry))
    with entry.at_base() as base, Walk(base) as walk:
        for file, stamp in enumerate(entry.stamps):
            units = entry.layout.units_of(file)
            if stamp is None or not entry.holds_any(units):
                continue
            found = stamp_now(walk, entry, file)
            if found is None:
                entry.withdraw(file, "it is gone; it is no longer offered")
            elif found != stamp:
                entry.withdraw(file, "it has changed since it was hashed; share it again")


def gone(entry: Entry) -> str:
    """What is said of a share of which nothing is there."""
    if entry.kind is Kind.SCANNED:
        return f"{entry.path} is gone; share it again where it is now, or remove the share"
    return f"{entry.path} was downloaded and is gone; remove the share, then get it again if you want it"
