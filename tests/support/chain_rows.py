"""Rows of a chain that mean nothing, and all that a store can be asked about them."""

from __future__ import annotations

from typing import Any

from apps.chain.core.limits import MAX_NUMBER
from apps.chain.core.rows import Status
from apps.chain.core.store import Index, Table

KEYS = b"\0" * 32, b"a" * 32, b"ab" * 16, b"\xff" * 31 + b"\0", b"\xff" * 32
NOBODY = b"?" * 32
#: Height and parent are part of what an id is the hash of: each block has its own.
PLACES = dict(zip(KEYS, ((0, NOBODY), (1, KEYS[0]), (1, KEYS[0]), (2, KEYS[1]), (2, KEYS[1])), strict=True))


def answers(view: Index) -> dict[str, Any]:
    """What it says to every question, in an order of its own where the contract has none."""
    known = [*KEYS, NOBODY]
    good = [row for height in range(5) for row in view.at_height(height) if row.status >= Status.HEADER]
    prefixes = (b"", 1), (b"a", 9), (b"x", 9), (b"\xff" * 32, 9)
    top = [view.actives(0, 9)[-1]] if view.active(0) else []
    return {
        **{table.value: list(view.rows(table)) for table in Table},
        "header": [view.header(key) for key in known],
        "children": [sorted(view.children(key), key=lambda row: row.id) for key in known if view.header(key)],
        "at_height": [sorted(view.at_height(height), key=lambda row: row.id) for height in range(6)],
        "best_header": view.best_header() if good else None,
        "tip": [view.tip()] if top else [],
        "ids": [view.ids(prefix, limit=limit) for prefix in (b"", b"a", b"\xff", b"\xff" * 32) for limit in (1, 9)],
        "block": [view.block(key) for key in known],
        "undo": [view.undo(key) for key in known],
        "last_seq": view.last_seq(),
        "kept_from": view.kept_from(),
        "reorgs": [view.reorgs(limit=limit) for limit in (1, 2_000)],
        "active": [view.active(height) for height in range(6)],
        "actives": [view.actives(first, last) for first in (0, 1) for last in (0, 2, 9)],
        "accounts of": list(view.accounts(known).items()),
        "names of": list(view.names(known).items()),
        "evidence of": list(view.evidence(known[::-1]).items()),
        "none of": (view.accounts([]), view.names(()), view.evidence(set())),
        "anchors of": [view.anchors(key) for key in known],
        "tx": [view.tx(key) for key in known],
        "touches of": [
            view.touches(key, before=before, limit=limit)
            for key in known for before in (None, (2, 1)) for limit in (1, 9)
        ],
        "txids": [view.txids(prefix, limit=limit) for prefix, limit in prefixes],
        "digests": [view.digests(prefix, limit=limit) for prefix, limit in prefixes],
        "tagged": [view.tagged(prefix, limit=limit) for prefix, limit in prefixes],
        "keys": [view.keys(first, KEYS[-1], limit=limit) for first in KEYS[:3] for limit in (1, 9)],
        "mined": [
            view.mined(key, before=before, limit=limit)
            for key in KEYS[:2] for before, limit in ((1, 9), (9, 1), (9, 9))
        ],
        "contested": [view.contested(before=before, limit=limit) for before, limit in ((2, 9), (9, 1), (9, 9))],
        "owned": [view.owned([]), view.owned({KEYS[0]}), view.owned(known)],
        "names_after": [
            view.names_after(after, expires=(first, MAX_NUMBER), limit=limit)
            for after, first, limit in ((b"", 0, 1), (b"", 2, 9), (b"b", 0, 9))
        ],
        "convictions": [
            view.convictions(culprit=culprit, before=before, limit=limit)
            for culprit in (None, *KEYS[:2]) for before, limit in (((9, 0, 0), 1), ((2, 1, 1), 9))
        ],
        "touched": [view.touched(key) for key in known],
        "richest": [view.richest(limit=limit) for limit in (1, 9)],
        "totals": view.totals(),
    }  # fmt: skip
