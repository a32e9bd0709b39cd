"""How a smaller scenario is told: what --set must say, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pnode.ui import toml
from simulations.shrink import LISTS, Table


def settings_of(base: Table, table: Table) -> list[str] | None:
    """What --set must say to make `table` of `base`; None if something was left out, which it cannot say."""
    settings: list[str] = []
    return settings if _differences(base, table, "", settings) else None


def _differences(base: Any, other: Any, path: str, settings: list[str]) -> bool:
    if isinstance(base, dict) and isinstance(other, dict):
        return all(key in other for key in base) and all(
            _differences(base.get(key), value, f"{path}.{key}" if path else key, settings)
            for key, value in other.items()
        )
    if isinstance(base, list) and isinstance(other, list) and path in LISTS:
        return len(base) == len(other) and all(
            _differences(before, after, f"{path}.{i}", settings)
            for i, (before, after) in enumerate(zip(base, other, strict=True))
        )
    if path == "claims":
        return True  # fewer of them make no other run
    if base != other:
        if not isinstance(other, int | float | str):
            return False
        settings.append(f"{path}={toml.value(other)}")
    return True


def toml_of(table: Table) -> str:
    """A scenario as a file: its tables, and lists of tables, below the rest; what lies within them on one line."""
    below = {key: value for key, value in table.items() if _is_below(value)}
    lines = _rows({key: value for key, value in table.items() if key not in below and key != "name"})
    for key, value in below.items():
        if isinstance(value, dict):
            lines += ["", f"[{toml.key(key)}]", *_rows(value)]
        else:
            for entry in value:
                lines += ["", f"[[{toml.key(key)}]]", *_rows(entry)]
    return "\n".join(lines) + "\n"


def _is_below(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)
    )


def _rows(table: Mapping[str, Any]) -> list[str]:
    return [f"{toml.key(key)} = {toml.value(value)}" for key, value in table.items()]
