"""The form of a vector file: hex with comments, so that a person can follow the bytes.

    # What it is.
    d284      # tag 18, array of four
    ...

Everything after `#` is comment; blanks and line ends between hex digits mean nothing.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import attrs

FOLDER = Path(__file__).parent


@attrs.frozen
class Piece:
    """Some bytes and what they are."""

    data: bytes
    what: str


def render(title: str, pieces: list[Piece]) -> str:
    lines = [f"# {line}" for line in title.splitlines()] + [""]
    for piece in pieces:
        hexes = textwrap.wrap(piece.data.hex(), 64) or [""]
        lines.append(f"{hexes[0]:<66}# {piece.what}" if piece.what else hexes[0])
        lines += hexes[1:]
    return "\n".join(lines) + "\n"


def parse(text: str) -> bytes:
    return bytes.fromhex("".join(line.partition("#")[0] for line in text.splitlines()))


def read_vector(name: str) -> bytes:
    return parse((FOLDER / f"{name}.txt").read_text())


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))
