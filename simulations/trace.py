"""`--trace FILE`: everything that the peers reported, as JSON Lines, written as it happens.

    {"v": 1, "trace": "p2pnode swarm", "scenario": ..., "seed": ..., "nodes": ..., "command": ..., "versions": {...}}
    {"t": 61.204918, "node": 17, "event": "LookupEnded", "lookup": 4, "target": "<64 hex digits>", "rpcs": 24, ...}
    {"end": true, "trace_hash": ..., "ok": ..., "data": {...}}

The last line holds the whole run as the report has it, so `p2pnode swarm report TRACE` needs nothing else. It is
missing from a trace whose run was killed or failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import attrs

from overlay.events import AppEvent, Event
from overlay.identity.node_id import format_id
from overlay.runtime.ports import SECOND

#: Fields of events that are ids of nodes and not keys of records.
_IDS: Final = frozenset({"id", "asked", "author"})
_text_of = lru_cache(maxsize=50_000)(format_id)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class TraceFile:
    """A context manager; `watch` is a watcher of a swarm. OSError if the file cannot be written."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self._path = path
        self._file = path.open("w", encoding="utf-8")
        self._line({"v": 1, "trace": "p2pnode swarm", **header})

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(self, *_: object) -> None:
        with naming(self._path):
            self._file.close()

    def watch(self, node: int, at_ns: int, event: Event) -> None:
        self._line({"t": at_ns / SECOND, "node": node, "event": type(event).__name__, **fields_of(event)})

    def end(self, data: Mapping[str, Any]) -> None:
        """The last line."""
        run = data["run"]
        self._line({"end": True, "trace_hash": run["trace_hash"], "ok": run["ok"], "data": data})

    def _line(self, value: Mapping[str, Any]) -> None:
        with naming(self._path):
            self._file.write(_encode(value) + "\n")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of a write does not say to which file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def fields_of(event: Event) -> dict[str, Any]:
    """JSON-ready: ids of nodes in their text form, other bytes as hex digits."""
    if isinstance(event, AppEvent):
        return {"app": event.app, "name": event.name, "fields": {key: _plain(value) for key, value in event.fields}}
    out = {}
    for field in attrs.fields(type(event)):
        value = getattr(event, field.name)
        out[field.name] = _text_of(value) if field.name in _IDS else _plain(value)
    return out


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)
