"""What every question needs: the store, what all nodes of this chain agree on, and the two ways to find nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

import attrs

from apps.chain.core.address import format_address
from apps.chain.core.block import Block, decode_block
from apps.chain.core.params import Params
from apps.chain.core.rows import ActiveRow, HeaderRow
from apps.chain.core.store import Index
from apps.chain.core.tx import Tx, decode_tx
from overlay.errors import LocalError, NotFound

T = TypeVar("T")


class Mistyped(LocalError):
    """No such thing can be called that. `facts`: what it should look like."""

    def __init__(self, what: str, expected: str) -> None:
        super().__init__(what)
        self.facts = {"expected": expected}


class Ambiguous(LocalError):
    """Several things begin so. `facts`: some of them."""

    def __init__(self, what: str, found: Sequence[str]) -> None:
        super().__init__(what)
        self.facts = {"some of them": "\n".join(found), "so type": "more of it"}


class Unknown(NotFound):
    """There is no such thing in this chain."""

    def __init__(self, what: str, **facts: str) -> None:
        super().__init__(what)
        self.facts = {label.replace("_", " "): text for label, text in facts.items()}


class Torn(Exception):
    """What the store holds does not fit together."""


@attrs.frozen(slots=True)
class Chain:
    """One answer is given from one of them, so `view` should not change meanwhile."""

    view: Index
    params: Params
    #: The view is a line.HeaderLine: only headers are known.
    light: bool = attrs.field(default=False, kw_only=True)

    @property
    def height(self) -> int:
        return self.view.tip().height

    def active(self, height: int) -> ActiveRow:
        """Of a height from 0 to that of the tip."""
        row = self.view.active(height)
        if row is None:
            raise Torn(f"block {height} is not in the chain")
        return row

    def header(self, block: bytes) -> HeaderRow:
        """Of a block that is known to be here."""
        row = self.view.header(block)
        if row is None:
            raise Torn(f"the header of block {block.hex()[:16]} is not here")
        return row

    def active_header(self, height: int) -> HeaderRow:
        return self.header(self.active(height).id)

    def address(self, key: bytes) -> str:
        return format_address(key, hrp=self.params.hrp)

    def names_of(self, keys: Collection[bytes]) -> dict[bytes, str]:
        """Key -> the first of the names that it has now."""
        found: dict[bytes, str] = {}
        if self.light:
            return found
        height = self.height
        for row in self.view.owned(set(keys)):
            if row.expires > height:
                found.setdefault(row.owner, row.name.decode("ascii"))
        return found

    def body(self, block: bytes) -> Block | None:
        """None if it is not here: not yet, or pruned."""
        raw = self.view.block(block)
        return None if raw is None else decode_block(raw)

    def txs_at(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Tx]:
        """(height, position) -> the transaction there; those whose block is not here any more are missing."""
        by_height: dict[int, list[int]] = {}
        for height, pos in places:
            by_height.setdefault(height, []).append(pos)
        found: dict[tuple[int, int], Tx] = {}
        for height, positions in by_height.items():
            active = self.view.active(height)
            body = None if active is None else self.body(active.id)
            if body is not None:
                if not all(0 <= pos < len(body.txs) for pos in positions):
                    raise Torn(f"block {height} has no transaction {max(positions)}")
                for pos in positions:
                    found[height, pos] = decode_tx(body.txs[pos], self.params.chain_id)
        return found


@attrs.frozen(slots=True)
class Page(Generic[T]):
    """A part of a list, in its order."""

    rows: Sequence[T]
    #: Whether the list goes on.
    more: bool


def page_of(rows: Sequence[T], limit: int) -> Page[T]:
    """`rows`: one more than `limit` of them, if there are so many."""
    return Page(rows[:limit], len(rows) > limit)
