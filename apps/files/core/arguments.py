"""What commands are given, checked."""

from __future__ import annotations

from typing import Any

from overlay.errors import LocalError


def text_of(args: dict[str, Any], name: str) -> str:
    """LocalError if it is missing, or empty."""
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise LocalError(f"{name!r} is {'empty' if value == '' else 'missing'}")
    return value


def hex_of(args: dict[str, Any], name: str) -> bytes:
    """LocalError if it is missing, or no hex digits."""
    text = text_of(args, name)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise LocalError(f"{name!r} is hex digits, not {text[:80]!r}") from None


def texts_of(args: dict[str, Any], name: str) -> tuple[str, ...]:
    """() if it is missing."""
    value = args.get(name) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise LocalError(f"{name!r} is a list of texts")
    return tuple(value)
