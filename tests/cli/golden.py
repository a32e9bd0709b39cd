"""Texts that people and scripts rely on, kept in tests/cli/golden/. UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Equal but for white space: versions of click wrap lines differently."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text.split() == path.read_text().split(), f"{path.name} differs; if that is meant: UPDATE_GOLDEN=1"
