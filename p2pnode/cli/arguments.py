"""Checks of what is typed, before anything is contacted."""

from __future__ import annotations

import sys

import click

from p2pnode.ui.fail import fail


def is_key(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)


def key(text: str) -> str:
    """A record's key."""
    if not is_key(text):
        fail(f"not a key: {text!r}", code="usage", expected="64 hex digits, as `p2pnode dht put` prints them")
    return text.lower()


def node_id(text: str) -> str:
    """A whole id or a prefix of at least four letters; the letters are checked, whether it is known is not."""
    from overlay.errors import LocalError
    from overlay.identity import base32
    from overlay.identity.node_id import ID_LETTERS, MIN_PREFIX, is_id_prefix, parse_id

    if not is_id_prefix(text):
        expected = f"the {ID_LETTERS} letters of an id, or at least its first {MIN_PREFIX}"
        fail(f"not an id: {text!r}", code="usage", expected=expected, look="p2pnode peers")
    if len(base32.normalise(text)) == ID_LETTERS:
        try:
            parse_id(text)
        except LocalError as error:
            fail(str(error), code="usage", look="p2pnode peers")
    return text


def peer(text: str) -> str:
    """An id, a prefix of one, or HOST:PORT, which the node resolves."""
    from p2pnode.config import is_port

    if ":" not in text:
        return node_id(text)
    host, _, port = text.rpartition(":")
    bare_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or bare_v6 or not is_port(port):
        fail(f"not an address: {text!r}", code="usage", expected="HOST:PORT or [IPV6]:PORT", look="p2pnode peers")
    return text


def author_and_name(text: str) -> tuple[str, str]:
    """AUTHOR/NAME: an id, a prefix of one or a public key, and the name that this author gave the record."""
    author, _, name = text.partition("/")
    return author.lower() if is_key(author) else node_id(author), record_name(name)


def record_name(name: str) -> str:
    from overlay.limits import MAX_SALT

    size = len(name.encode(errors="surrogateescape"))
    if not 1 <= size <= MAX_SALT:
        fail(f"a name has 1 to {MAX_SALT} bytes, this one {size}", code="usage", name=name)
    return name


def value(text: str) -> bytes:
    """The bytes to store; `-` reads stdin to its end."""
    from overlay.limits import MAX_VALUE

    return _bytes(text, MAX_VALUE, "value", "record")


def body(text: str) -> bytes:
    """The bytes to publish; `-` reads stdin to its end."""
    from overlay.limits import MAX_LARGE_BODY

    return _bytes(text, MAX_LARGE_BODY, "message", "message")


def _bytes(text: str, most: int, what: str, whole: str) -> bytes:
    data = sys.stdin.buffer.read(most + 1) if text == "-" else text.encode(errors="surrogateescape")
    if len(data) > most:
        size = f"more than {most}" if text == "-" else str(len(data))
        fail(f"the {what} is too large: {size} bytes", code="usage", limit=f"{most} bytes a {whole}")
    return data


def topic(text: str) -> str:
    from overlay.wire.publication import is_topic

    if not is_topic(text):
        fail(f"not a topic: {text!r}", code="usage", expected="1 to 64 bytes of printable text")
    return text


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Seconds(click.ParamType[int]):
    """Whole seconds, or 90s, 15m, 12h, 1d."""

    name = "seconds"

    def __init__(self, *, most: int) -> None:
        self._most = most

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip().lower()
        unit = _UNITS.get(text[-1:], 0)
        digits = text[:-1] if unit else text
        if not digits.isascii() or not digits.isdecimal() or len(digits) > 12:
            self.fail(f"{value!r} is not a time: 3600, 90s, 15m, 12h or 1d", param, ctx)
        seconds = int(digits) * (unit or 1)
        if not 1 <= seconds <= self._most:
            self.fail(f"{value!r} is not within 1 and {self._most} seconds", param, ctx)
        return seconds
