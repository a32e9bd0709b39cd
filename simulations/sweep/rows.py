"""What a line of results.jsonl is: the row of a cell that crashed, or of one that ran.

A row may come from a disk that lost some of it, or from an editor: what no cell can have given is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from simulations.sweep.plan import Cell

#: What a cell gave: a line of results.jsonl.
Row = dict[str, Any]
#: Goes up when a reader of an older one would show something wrong.
VERSION: Final = 1
#: Whole numbers that a float holds to the last digit: a column of a table mixes both.
_MOST: Final = 1 << 53
#: Ten thousand cells can be summed.
_GREATEST: Final = 1e300


def fault_of(row: object) -> str | None:
    """Why no cell can have given this row; None: one can."""
    if not isinstance(row, dict):
        return "it is no object"
    if type(row.get("v")) is not int or row["v"] != VERSION:
        return f"expected v {VERSION}, found {_shown(row.get('v'))}"
    crashed = row.get("error") is not None
    fields = _HEAD if crashed else _HEAD | _BODY
    for key in row:
        if key not in fields:
            return f"no row has {key!r}" + (" of a cell that crashed" if key in _BODY else "")
    for key, (is_one, noun) in fields.items():
        if key not in row:
            return f"{key} is missing"
        if not is_one(row[key]):
            return f"{key}: expected {noun}, found {_shown(row[key])}"
    name = Cell(tuple(row["settings"].items()), row["seed"]).name
    if name != row["cell"]:
        return f"settings and seed are those of {name!r}, not of {row['cell']!r}"
    return None if crashed else next(_faults_of_measures(row["measures"]), None)


def _faults_of_measures(measures: Mapping[str, Any]) -> Iterator[str]:
    for name, value in measures.items():
        if not _is_figure(value):
            yield f"measures.{name}: expected a finite number, a whole one up to 2**53, found {_shown(value)}"
    for name, value in measures.items():  # of what was counted a part succeeded; of nothing there is no part
        count = measures.get(f"{name.removesuffix('_success')}_count") if name.endswith("_success") else None
        if count is not None and not 0 <= value <= 1:
            yield f"measures.{name}: expected 0 to 1, found {_shown(value)}"
        if count is not None and count < 1:
            yield f"measures.{name.removesuffix('_success')}_count: expected 1 or more, found {_shown(count)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _is_text(value: object) -> bool:
    """Without surrogates, which no file takes."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _is_figure(value: object) -> bool:
    """A number that can be summed and written."""
    match value:
        case float():
            return abs(value) <= _GREATEST  # which nan is not
        case int():
            return abs(value) <= _MOST
    return False


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and _is_figure(value) and value >= 0


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_settings(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value))


def _are_claims(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_claim, value))


def _is_claim(value: object) -> bool:
    match value:
        case {"name": name, "ok": bool(), "value": measured, "bound": bound, **rest} if not rest:
            return _is_text(name) and _is_text(bound) and (measured is None or _is_figure(measured))
    return False


#: Key -> (what it must be, in words).
_HEAD: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "v": (_is_count, "a version"),
    "plan": (_is_text, "text"),
    "cell": (_is_text, "text"),
    "settings": (_are_settings, "texts by key"),
    "seed": (lambda value: type(value) is int and value >= 0, "a whole number, not below 0"),
    "command": (_is_text, "text"),
    "error": (lambda value: value is None or _is_text(value), "text or null"),
}
#: And of those that did not crash.
_BODY: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "interrupted": (_is_flag, "true or false"),
    "nodes": (_is_count, "a whole number, not below 0"),
    "virtual_s": (_is_time, "a number, not below 0"),
    "wall_s": (_is_time, "a number, not below 0"),
    "events": (_is_count, "a whole number, not below 0"),
    "trace_hash": (_is_text, "text"),
    "claims": (_are_claims, "a list of claims (name, ok, value, bound)"),
    "broken": (_are_texts, "a list of texts"),
    "not_run": (_are_texts, "a list of texts"),
    "measures": (_is_table, "numbers by name"),
}
