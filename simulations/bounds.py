"""Bounds of the keys of a scenario, as attrs validators; simulations.spec puts the path before the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Attribute

#: Three years: more is a typing error, and all times stay within 64 bits of ns.
LONGEST_S = 1e8

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


def after(earlier: str) -> Bound:
    """More than another key of the same table, which stands before this one."""

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        begin = getattr(instance, earlier)
        if value is not None and begin is not None and value <= begin:
            raise ValueError(f"expected more than {earlier}, {begin:g}, found {value:g}", attribute)

    return check


def parts(_instance: Any, attribute: Attribute[Any], values: tuple[float, ...]) -> None:
    """Shares of one whole."""
    if not values:
        raise ValueError("expected at least one share", attribute)
    if wrong := [value for value in values if not 0 < value <= 1]:
        raise ValueError(f"expected shares of more than 0 to 1, found {wrong[0]:g}", attribute)
    if sum(values) > 1.000001:
        raise ValueError(f"the shares are {sum(values):g} together, more than 1", attribute)


def ascending(_instance: Any, attribute: Attribute[Any], values: tuple[float, float] | None) -> None:
    """The least and the most."""
    if values is not None and not 0 <= values[0] <= values[1]:
        raise ValueError(f"expected [least, most] from 0 on, found [{values[0]:g}, {values[1]:g}]", attribute)
