"""Data on stdout: JSON, aligned columns, short ids. Colour only for a person at a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

#: Columns must fit here when nothing is known about the terminal (a pipe, a log).
PLAIN_WIDTH = 80


def is_fancy() -> bool:
    """True if stdout is a terminal and nobody asked for plain text (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def short_id(text: str) -> str:
    """`n7xk-4qfa-…` -> `n7xk-4qfa`: 40 bits tell the peers of any table apart; --json has it in full."""
    return text[:9]


def say(text: str) -> None:
    """Talk and progress: on stderr, never mixed with data."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """One object on one line. ASCII only where stdout could not take more."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(value, ensure_ascii=ascii_only), flush=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> str:
    """Rows under headers, two spaces between columns, no trailing spaces. None is shown as "-".

    `right` names the headers of columns of figures.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(columns_of(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        padded = []
        for text, width, header in zip(row, widths, headers, strict=True):
            room = " " * (width - columns_of(text))
            padded.append(room + text if header in right else text + room)
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in [list(headers), *cells])


def records(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows one below another, each value on a line of its own behind its header, with an empty line between rows."""
    width = max(map(columns_of, headers), default=0)
    return "\n\n".join(
        "\n".join(f"{header:<{width}}  {_cell(value)}".rstrip() for header, value in zip(headers, row, strict=True))
        for row in rows
    )


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = (), full: bool = False
) -> None:  # fmt: skip
    """`table` on stdout; drawn by rich (30 ms to import) only for a terminal.

    `full`: nothing may be cut; rows that are wider than the terminal are shown as `records`."""
    if not is_fancy():
        print(table(headers, rows, right=right), flush=True)
        return
    if full:
        plain = table(headers, rows, right=right)
        if rows and max(map(columns_of, plain.splitlines())) > shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns:
            print(records(headers, rows), flush=True)
            return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        grid.add_column(header, justify="right" if header in right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(_cell(value)) for value in row))  # Text: nothing of a peer is read as markup
    Console().print(grid)


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Label and value, one pair a line."""
    width = max(len(label) for label, _ in fields)
    for label, value in fields:
        print(f"{label:<{width}}  {_cell(value)}")
    sys.stdout.flush()


def counted(number: int, noun: str) -> str:
    """`1 peer`, `2 peers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def cut(text: str, width: int) -> str:
    """The text, or its beginning and "…", in so many columns of a terminal."""
    if columns_of(text) <= width:
        return text
    columns = 0
    for n, c in enumerate(text):
        columns += columns_of(c)
        if columns >= width:
            return text[:n] + "…"
    return text


def columns_of(text: str) -> int:
    """How wide it is on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata  # names of files and of records, where they are not ASCII

    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def duration(seconds: float | None) -> str:
    """3.2 s, 4 min, 2 h 05 min, 3 d 4 h; "-" for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"


def _cell(value: Any) -> str:
    return "-" if value is None else one_line(str(value))


def one_line(text: str) -> str:
    """What strangers wrote, on one line of a terminal: no control character reaches it."""
    return "".join(c if c.isprintable() else "?" for c in text)
