"""Bytes in JSON: text where the bytes are readable text, else {"base64": "…"}.

One rule for the control API, the command line and the tests, so that a value comes back as it went in.
"""

from __future__ import annotations

import base64
import binascii

#: Control characters that text may hold.
_LAYOUT = frozenset("\t\n\r")


def readable(data: bytes) -> str | None:
    """The text of these bytes; None if they are not UTF-8 or hold control characters (ESC would reach a terminal)."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in _LAYOUT for c in text) else None


def to_json(data: bytes) -> str | dict[str, str]:
    text = readable(data)
    return {"base64": base64.b64encode(data).decode("ascii")} if text is None else text


def from_json(value: object) -> bytes:
    """The inverse of `to_json`. ValueError if it is neither form."""
    match value:
        case str():
            return value.encode()
        case {"base64": str(encoded), **rest} if not rest:
            try:
                return base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("not base64") from None
    raise ValueError('expected text or {"base64": "..."}')
