"""Reads a run back from any file that holds it: a report, the JSON that a report offers, or a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, Final

from simulations.report.data import VERSION
from simulations.report.page import DATA_BEGINS, DATA_ENDS

#: A report is far smaller (simulations.report.data is bounded); a trace may be of any length, its last line is not.
MAX_FILE: Final = 64 << 20
_BLOCK: Final = 1 << 16


class NoRun(ValueError):
    """A file that holds no run, and why."""


def read(path: Path) -> dict[str, Any]:
    """The run in the file. NoRun if there is none; OSError if it cannot be read."""
    with path.open("rb") as file:
        begin = file.read(_BLOCK).lstrip()
        if begin.startswith(b"<"):
            text = _embedded(_all(file))
        elif b'"trace"' in begin.partition(b"\n")[0]:
            text = _last_line(file)
        else:
            text = _all(file)
    try:
        data = json.loads(text)
    except ValueError:
        raise NoRun("it is neither a report, nor the JSON of one, nor a trace that came to its end") from None
    if isinstance(data, dict) and data.get("end") is True:
        data = data.get("data")
    elif isinstance(data, dict) and "trace_hash" in data:
        raise NoRun("it is what --json prints: the figures of a run, without its course")
    if not isinstance(data, dict) or "ring" not in data:
        raise NoRun("it holds no run; a trace has it in its last line, unless the run was killed")
    if data.get("v") != VERSION:
        raise NoRun(f"it was written by another version of p2pnode (format {data.get('v')!r}, here {VERSION})")
    return data


def _all(file: BinaryIO) -> bytes:
    file.seek(0)
    text = file.read(MAX_FILE + 1)
    if len(text) > MAX_FILE:
        raise NoRun(f"it is larger than {MAX_FILE >> 20} MiB")
    return text


def _embedded(page: bytes) -> bytes:
    _, begins, rest = page.partition(DATA_BEGINS.encode())
    if not begins:
        raise NoRun("it is a page, but not a report of p2pnode swarm")
    return rest.partition(DATA_ENDS.encode())[0]


def _last_line(file: BinaryIO) -> bytes:
    end = file.seek(0, 2)
    tail = b""
    while end > 0 and len(tail) < MAX_FILE:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        tail = file.read(end - begin) + tail
        end = begin
        if b"\n" in tail.rstrip(b"\n"):
            break
    return tail.rstrip(b"\n").rpartition(b"\n")[2]
