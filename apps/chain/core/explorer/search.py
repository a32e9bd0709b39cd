"""Anything that is typed: which things of the chain are called so, or begin so."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator

import attrs

from apps.chain.core.explorer import refs
from apps.chain.core.explorer.chain import Chain
from overlay.errors import LocalError, NotFound


class Kind(enum.StrEnum):
    HEIGHT = "height"
    BLOCK = "block"
    TX = "tx"
    ADDRESS = "address"
    NAME = "name"
    ANCHOR = "anchor"
    TAG = "tag"


@attrs.frozen(slots=True)
class Hit:
    kind: Kind
    #: Id, key, digest, name or tag; of a height the id of its block.
    found: bytes
    #: Where it stands in the chain that counts, if it stands at a place.
    height: int | None = None
    pos: int | None = None


def search(chain: Chain, text: str, *, limit: int) -> list[Hit]:
    """At most `limit` of each kind, kinds in the order of `Kind`, things of one kind in the order of their bytes."""
    text = text.strip()
    found: list[Hit] = []
    for look in _LOOKS:
        hits = []
        with contextlib.suppress(LocalError, NotFound):  # this text names no such thing
            hits = list(look(chain, text))
        found += hits[:limit]
    return found


def _heights(chain: Chain, text: str) -> Iterator[Hit]:
    digits = text.replace(",", "")
    if refs.HEIGHT.fullmatch(digits) and (active := chain.view.active(int(digits))) is not None:
        yield Hit(Kind.HEIGHT, active.id, active.height)


def _blocks(chain: Chain, text: str) -> Iterator[Hit]:
    if (wanted := refs.as_hex(text)) is not None:
        for block in refs.matching(wanted, lambda prefix, limit: chain.view.ids(prefix, limit=limit)):
            row = chain.view.header(block)
            active = None if row is None else chain.view.active(row.height)
            yield Hit(Kind.BLOCK, block, row.height if row and active and active.id == block else None)


def _txs(chain: Chain, text: str) -> Iterator[Hit]:
    if (wanted := refs.as_hex(text)) is not None:
        for txid in refs.txids_like(chain, wanted):
            row = chain.view.tx(txid)
            yield Hit(Kind.TX, txid, *((row.height, row.pos) if row else ()))


def _addresses(chain: Chain, text: str) -> Iterator[Hit]:
    if text.lower().startswith(f"{chain.params.hrp}1"):
        keys = refs.addresses_like(chain, text.lower())
    else:
        keys = [] if (wanted := refs.as_hex(text)) is None else refs.keys_like(chain, wanted)
    for key in keys:
        yield Hit(Kind.ADDRESS, key)


def _names(chain: Chain, text: str) -> Iterator[Hit]:
    if not text.isascii():
        return
    name = text.encode("ascii")
    if len(text) >= refs.MIN_PREFIX or name in chain.view.names([name]):
        alive = chain.height + 1, (1 << 53)
        before = name[:-1] + bytes([name[-1] - 1]) + b"\xff" if name else b""
        for row in chain.view.names_after(before, expires=alive, limit=refs.SHOWN + 1):
            if row.name.startswith(name):
                yield Hit(Kind.NAME, row.name)


def _anchors(chain: Chain, text: str) -> Iterator[Hit]:
    if (wanted := refs.as_hex(text)) is not None:
        for digest in refs.digests_like(chain, wanted):
            first = chain.view.anchors(digest)[0]
            yield Hit(Kind.ANCHOR, digest, first.height, first.pos)


def _tags(chain: Chain, text: str) -> Iterator[Hit]:
    if len(text) >= refs.MIN_PREFIX:
        for row in chain.view.tagged(as_typed(text), limit=refs.SHOWN + 1):
            yield Hit(Kind.TAG, row.tag, row.height, row.pos)


def as_typed(text: str) -> bytes:
    """The bytes of an argument, which need not be UTF-8 (PEP 383)."""
    return text.encode(errors="surrogateescape")


_LOOKS: tuple[Callable[[Chain, str], Iterator[Hit]], ...] = (
    _heights, _blocks, _txs, _addresses, _names, _anchors, _tags,
)  # fmt: skip
