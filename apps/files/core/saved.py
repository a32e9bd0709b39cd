"""What is kept of a share over restarts, beside what the disk notes."""

from __future__ import annotations

import attrs

from apps.files.core.links import Hint, hint_text, parse_hint
from overlay.runtime.address import Address, parse_address
from overlay.wire import cbor

#: Keys of the storage of the application: this and the id of the share; the limits of rates.
SHARE, LIMITS = b"share/", b"limits"


@attrs.frozen(slots=True)
class Saved:
    #: Where downloads go; "" for what was scanned.
    folder: str
    #: Patterns of files that are wanted; none: all.
    only: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    #: A person wants it to rest.
    paused: bool = attrs.field(default=False, kw_only=True)
    #: Of the link: after a restart nobody else may know who has it.
    hints: tuple[Hint, ...] = attrs.field(default=(), kw_only=True)
    #: By which it is found, beside its name.
    tags: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    #: Clients of BitTorrent, of the link too.
    foreign: tuple[Address, ...] = attrs.field(default=(), kw_only=True)

    def encode(self) -> bytes:
        return cbor.encode(
            {
                "folder": _bytes(self.folder), "only": [_bytes(pattern) for pattern in self.only],
                "paused": self.paused, "hints": [hint_text(hint) for hint in self.hints],
                "tags": self.tags,
                "foreign": [str(address) for address in self.foreign],
            }
        )  # fmt: skip


def decode_saved(data: bytes) -> Saved:
    """Of what this node wrote itself; what an older version had not is at its default."""
    fields = cbor.decode(data)
    return Saved(
        _text(fields["folder"]),
        only=tuple(map(_text, fields.get("only", []))),
        paused=fields.get("paused", False),
        hints=tuple(map(parse_hint, fields.get("hints", []))),
        tags=tuple(fields.get("tags", [])),
        foreign=tuple(map(parse_address, fields.get("foreign", []))),
    )


def _bytes(text: str) -> bytes:
    """Names of files need not be UTF-8; what is not came as lone surrogates (PEP 383)."""
    return text.encode(errors="surrogatepass")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")
