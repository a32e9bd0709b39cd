"""How amounts, ids, times and what strangers wrote look to a person."""

from __future__ import annotations

import time
from collections.abc import Mapping

import attrs

from apps.chain.core.address import format_address
from apps.chain.core.amounts import credits_text as credits_text
from p2pnode.ui.render import PLAIN_WIDTH, columns_of, cut, duration

#: Of an id or an address in a table. --full has all, and each is understood where an id is typed.
_HEAD, _TAIL = 8, 4


def signed_credits(units: int) -> str:
    return f"+{credits_text(units)}" if units > 0 else credits_text(units)


def shortened(text: str, *, full: bool = False) -> str:
    """`7c1e09aa…41d2`."""
    return text if full or len(text) <= _HEAD + _TAIL + 1 else f"{text[:_HEAD]}…{text[-_TAIL:]}"


def id_text(data: bytes, *, full: bool = False) -> str:
    return shortened(data.hex(), full=full)


def when(seconds: int) -> str:
    """`2026-11-22 12:41:07Z`. A number that no calendar has is shown as it is."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"


def span(seconds: float) -> str:
    """`12 s`, `4 min`, `2 h 05 min`, `3 d 4 h`."""
    return f"{seconds:.0f} s" if abs(seconds) < 59.5 else duration(max(seconds, 0))


def age(then: int, now: float) -> str:
    """Of a block; clocks differ, so it may be ahead."""
    past = now - then
    return span(past) if past >= 0 else f"in {span(-past)}"


def big(number: int) -> str:
    """`36,412`, `661.9 M`, `1.2 T`: seven columns at most up to 10**18, so that tables stay within 80."""
    if abs(number) < 1_000_000:
        return f"{number:,}"
    value = float(number)
    for letter in "kMGTPE":
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {letter}"
    return f"{float(number):.1e}"


def size_text(count: int | None) -> str:
    from p2pnode.ui import sizes

    return sizes.size_text(count)


def quoted(data: bytes) -> str:
    r"""What somebody wrote into the chain, in quotation marks: "relay", "caf\xe9", "\x1b[2J", "\u202e".

    Nothing of it moves the cursor or turns the direction of what stands beside it."""
    return f'"{escaped(data)}"'


def escaped(data: bytes) -> str:
    """`quoted` without the marks."""
    return "".join(map(_escape, data.decode("utf-8", errors="surrogateescape")))


def beside(text: str, note: str, *, indent: int) -> list[str]:
    """The note behind the text; where a line has no room for it, below it, in as many lines as it takes."""
    if not note or columns_of(text) + 3 + columns_of(note) <= PLAIN_WIDTH:
        return [f"{text}   {note}".rstrip()]
    return [text, *(" " * indent + line for line in folded(note, PLAIN_WIDTH - indent))]


def folded(text: str, width: int) -> list[str]:
    """Cut into lines of so many columns."""
    lines, room = [""], width
    for char in text:
        columns = columns_of(char)
        if columns > room:
            lines.append("")
            room = width
        lines[-1] += char
        room -= columns
    return lines


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not of UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if char in '"\\':
        return f"\\{char}"
    if char.isascii() and char.isprintable():
        return char
    if char.isascii():
        return f"\\x{code:02x}"
    if not char.isprintable() or not _is_plain(char):
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return char


def _is_plain(char: str) -> bool:
    """Neither written from right to left, nor drawn over what is beside it."""
    import unicodedata

    return unicodedata.bidirectional(char) not in ("R", "AL", "AN") and not unicodedata.category(char).startswith("M")


@attrs.frozen(slots=True)
class People:
    """Accounts as a person knows them: the name that one has, else its address."""

    hrp: str
    names: Mapping[bytes, str]
    full: bool = attrs.field(default=False, kw_only=True)

    def address(self, key: bytes) -> str:
        return shortened(format_address(key, hrp=self.hrp), full=self.full)

    def brief(self, key: bytes, width: int = _HEAD + _TAIL + 1) -> str:
        """In so many columns: `edge-3`, `xn1q8m2r…c04k`."""
        name = self.names.get(key)
        return self.address(key) if name is None else name if self.full else cut(name, width)

    def known(self, key: bytes) -> str:
        """`xn1q8m2r…c04k (edge-3)`."""
        name = self.names.get(key)
        return self.address(key) if name is None else f"{self.address(key)} ({name})"
