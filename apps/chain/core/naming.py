"""What is meant by a text that could be an address or a name: one rule for all who ask, and for who claims a name.

A name is whatever its owner chose. One that begins like an address would take what is meant for that address, or hide
its owner from who looks: such a text is never a name, unless somebody says `name:`.
"""

from __future__ import annotations

import re
from typing import Final

from apps.chain.core.address import ADDRESS_CHARS, REAL, SIMULATED, parse_address
from overlay.errors import LocalError

#: Before a name, so that it is nothing else.
NAME: Final = "name:"
_BEGINS: Final = tuple(f"{hrp}1" for hrp in (REAL, SIMULATED))
#: As much of a key, an id or a digest as tables show.
_DIGITS: Final = re.compile(r"[0-9a-f]{8,}")


def begins_like_address(text: str) -> bool:
    """Of whatever sort of network."""
    return text.lower().startswith(_BEGINS)


def whole_address(text: str, hrp: str) -> bytes:
    """The key of a text that begins like an address; LocalError if it is not all of one, mistyped, or of another sort
    of network."""
    if text.lower().startswith(f"{hrp}1") and len(text) < ADDRESS_CHARS - 2:
        raise LocalError(
            f"{text!r} looks like the beginning of an address, which has {ADDRESS_CHARS} characters: type all of it, "
            f"or {NAME}{text} if it is a name"
        )
    return parse_address(text, hrp=hrp)


def why_misleading(name: str) -> str:
    """Why a wallet does not claim a name that the chain would let it claim; "" if nothing is wrong with it."""
    if begins_like_address(name):
        return "it begins like an address"
    if _DIGITS.fullmatch(name):
        return "it looks like a number, or the beginning of a key or an id"
    return ""
