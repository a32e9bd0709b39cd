"""Forgetting old blocks: headers and all that they made of accounts, names and anchors stay.

A node that prunes cannot give old blocks to others, nor go to a branch that forks below what it has kept.
"""

from __future__ import annotations

from apps.chain.shell.limits import MIN_KEPT, PRUNED_AT_ONCE
from apps.chain.shell.reading import KEPT_FROM
from apps.chain.shell.store import SqliteStore
from overlay.errors import LocalError


def prune(store: SqliteStore, keep: int) -> int:
    """Deletes blocks, and what undoes them, more than `keep` below the tip, on whatever branch; in a transaction.

    Heights that are left to do: call it again, between two blocks, while there are some. The file does not shrink;
    what is new takes the place of what was deleted."""
    if keep < MIN_KEPT:
        raise LocalError(f"the newest {MIN_KEPT} blocks are always kept, not {keep}: another branch may need them")
    # The first block follows from the name of the chain.
    first = max(1, store.kept_from())
    end = store.tip().height - keep + 1
    last = min(end, first + PRUNED_AT_ONCE)
    if last <= first:
        return 0
    store.begin()
    try:
        store.delete_heights(first, last)
        store.put_note(KEPT_FROM, last.to_bytes(8, "big"))
        store.commit()
    except BaseException:
        store.rollback()
        raise
    return end - last
