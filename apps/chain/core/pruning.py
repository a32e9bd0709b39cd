"""Forgetting old blocks: headers and all that they made of accounts, names and anchors stay.

A node that prunes cannot give old blocks to others, which it says (wire.Standing), nor go to a branch that forks below
what it has kept.
"""

from __future__ import annotations

from apps.chain.core.limits import MIN_KEPT, PRUNED_AT_ONCE
from apps.chain.core.store import Store
from overlay.errors import LocalError


def check_keep(keep: int) -> None:
    """LocalError if so few blocks cannot be all that is kept."""
    if keep < MIN_KEPT:
        raise LocalError(f"the newest {MIN_KEPT} blocks are always kept, not {keep}: another branch may need them")


def prune(store: Store, keep: int) -> int:
    """Deletes blocks, and what undoes them, more than `keep` below the tip, on whatever branch; in a transaction.

    Heights that are left to do: call it again, between two blocks, while there are some. A file does not shrink; what
    is new takes the place of what was deleted."""
    check_keep(keep)
    # The first block follows from the name of the chain.
    first = max(1, store.kept_from())
    end = store.tip().height - keep + 1
    last = min(end, first + PRUNED_AT_ONCE)
    if last <= first:
        return 0
    store.begin()
    try:
        store.forget_below(last)
        store.commit()
    except BaseException:
        store.rollback()
        raise
    return end - last
