"""What commands are given, checked."""

from __future__ import annotations

from typing import Any

from overlay.errors import LocalError


def text_of(args: dict[str, Any], name: str) -> str:
    """LocalError if it is missing."""
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise LocalError(f"{name!r} is missing")
    return value


def texts_of(args: dict[str, Any], name: str) -> tuple[str, ...]:
    """() if it is missing."""
    value = args.get(name) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise LocalError(f"{name!r} is a list of texts")
    return tuple(value)
