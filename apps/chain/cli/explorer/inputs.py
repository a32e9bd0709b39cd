"""Bytes that somebody gives: a file, as they are or as hex digits, or the digits themselves."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from p2pnode.ui.fail import fail
from p2pnode.ui.render import cut, one_line

#: More than the largest proof (limits.MAX_PROOF_BYTES), as hex digits.
_MAX_INPUT = 200 * 1024 * 1024
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}\s*)+")


def read_bytes(given: str) -> bytes:
    """`-` is stdin. Fail (usage) if there is no such file and these are no digits."""
    if given == "-":
        return _plain(sys.stdin.buffer.read(_MAX_INPUT + 1))
    digits = given.encode("utf-8", errors="replace")
    path = Path(given)
    try:
        if path.is_file():
            with path.open("rb") as file:
                return _plain(file.read(_MAX_INPUT + 1))
    except OSError as error:
        if not _HEX.fullmatch(digits):
            fail("this file cannot be read", code="usage", file=given, reason=error.strerror or str(error))
    if not _HEX.fullmatch(digits):
        fail(f"neither a file nor hex digits: {cut(one_line(given), 40)!r}", code="usage",
             expected="a file, hex digits, or -")  # fmt: skip
    return _plain(digits)


def _plain(data: bytes) -> bytes:
    if len(data) > _MAX_INPUT:
        fail("this is more than anything of a chain", code="usage", limit=f"{_MAX_INPUT:,} bytes")
    text = data.strip()
    return bytes.fromhex(text.decode("ascii")) if text and _HEX.fullmatch(text) else data
