"""Bounds of the keys of a scenario, as attrs validators; simulations.spec puts the path before the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Attribute

Bound = Callable[[Any, "Attribute[Any]", Any], None]


def between(low: float, high: float) -> Bound:
    """`low` and `high` are allowed; so is None, for keys that may be left out."""

    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g}, found {value:g}", attribute)

    return check


def positive(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"expected more than 0, found {value:g}", attribute)


def not_negative(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and value < 0:
        raise ValueError(f"expected 0 or more, found {value:g}", attribute)


#: 0 to 1.
share = between(0, 1)


def one_of(*allowed: str) -> Bound:
    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}, found {value!r}", attribute)

    return check
