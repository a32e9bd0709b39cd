"""Names, whose they are and how long."""

from __future__ import annotations

from apps.chain.core.explorer.chain import Chain, Page, Unknown, page_of
from apps.chain.core.limits import MAX_NUMBER
from apps.chain.core.rows import NameRow


def one(chain: Chain, name: bytes) -> NameRow:
    """Also one that has expired and was not claimed since. Unknown if nobody ever had it, or it was given back."""
    row = chain.view.names([name]).get(name)
    if row is None:
        raise Unknown(f"nobody has the name {name.decode('ascii')!r}", look="chain-explorer names")
    return row


def is_alive(row: NameRow, tip: int) -> bool:
    """Whether only its owner may act on it in the next block."""
    return row.expires > tip + 1


def names(
    chain: Chain, *, owner: bytes | None = None, expiring: int | None = None, after: bytes = b"", limit: int
) -> Page[NameRow]:
    """Those that are somebody's, in their order, above the name `after`. `expiring`: within so many blocks."""
    tip = chain.height
    if owner is not None:
        last = MAX_NUMBER if expiring is None else tip + expiring
        rows = [row for row in chain.view.owned([owner]) if row.name > after and tip < row.expires <= last]
        return page_of(rows, limit)
    ends = tip + 1, MAX_NUMBER if expiring is None else tip + expiring
    return page_of(chain.view.names_after(after, expires=ends, limit=limit + 1), limit)
