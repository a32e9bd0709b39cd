"""bech32m (BIP 350): bytes as letters that find up to four typing errors. As BIP 173 has it, a text is all in lower or
all in upper case, and at most 90 characters long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from overlay.errors import LocalError

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECK_LETTERS = 6
MAX_CHARS = 90
_CONST = 0x2BC830A3
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_VALUES = {letter: value for value, letter in enumerate(LETTERS)}


def encode(hrp: str, values: Sequence[int]) -> str:
    """The text of numbers below 32 behind the human-readable part and "1"."""
    check = _polymod([*_expanded(hrp), *values, *[0] * CHECK_LETTERS]) ^ _CONST
    letters = [*values, *(check >> 5 * (CHECK_LETTERS - 1 - i) & 31 for i in range(CHECK_LETTERS))]
    return f"{hrp}1{''.join(LETTERS[value] for value in letters)}"


def decode(text: str) -> tuple[str, list[int]]:
    """Human-readable part and numbers; LocalError if the text is none, or mistyped."""
    if text.lower() != text and text.upper() != text:
        raise LocalError("upper and lower case letters in one address")
    text = text.lower()
    hrp, one, letters = text.rpartition("1")
    if not one or not hrp or len(letters) < CHECK_LETTERS or len(text) > MAX_CHARS:
        raise LocalError(f'not an address: a prefix, "1" and letters, at most {MAX_CHARS} in all')
    if not all(33 <= ord(char) <= 126 for char in hrp):
        raise LocalError("the prefix of an address has a character that is not ASCII")
    bad = next((letter for letter in letters if letter not in _VALUES), None)
    if bad is not None:
        raise LocalError(f"{bad!r} is not a letter of addresses ({LETTERS})")
    values = [_VALUES[letter] for letter in letters]
    if _polymod([*_expanded(hrp), *values]) != _CONST:
        raise LocalError("the check letters do not fit: some letter is mistyped")
    return hrp, values[:-CHECK_LETTERS]


def to_values(data: bytes) -> list[int]:
    """Bytes in groups of five bits; the last is filled with zeros."""
    size = -(-8 * len(data) // 5)
    number = int.from_bytes(data, "big") << 5 * size - 8 * len(data)
    return [number >> 5 * (size - 1 - i) & 31 for i in range(size)]


def to_bytes(values: Sequence[int]) -> bytes:
    """The inverse of `to_values`; LocalError if no bytes are written so."""
    size, number = 5 * len(values) // 8, 0
    for value in values:
        number = number << 5 | value
    data = (number >> 5 * len(values) - 8 * size).to_bytes(size, "big")
    if to_values(data) != list(values):
        raise LocalError("an address with bits that must be zero")
    return data


def _expanded(hrp: str) -> list[int]:
    return [*(ord(char) >> 5 for char in hrp), 0, *(ord(char) & 31 for char in hrp)]


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FF_FFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check
