"""Reads docs/tutorial.md as a program: files to write, commands to run, terminals that stay open."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class File:
    """Its first line is a comment with its name."""

    name: str
    text: str


@attrs.frozen
class Command:
    line: str
    #: What the page shows below it; "" if it shows nothing.
    shown: str
    #: It runs in a terminal of its own, to the end.
    stays: bool
    exit: int


def steps() -> list[File | Command]:
    """In the order of the page."""
    found: list[File | Command] = []
    for language, info, text in _BLOCK.findall(TUTORIAL.read_text()):
        if language == "console":
            for part in text.split("$ ")[1:]:
                line, _, shown = part.partition("\n")
                code = re.search(r"exit=(\d+)", info)
                found.append(Command(line, shown, "terminal" in info, int(code[1]) if code else 0))
        else:
            first, _, _rest = text.partition("\n")
            found.append(File(first.removeprefix("# "), text))
    return found
