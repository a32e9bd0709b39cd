"""Rule X7, apart from all others: it takes most of the time, and may run elsewhere and at once."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from apps.chain.core.tx import Tx
from overlay.identity.keys import Verifier, verify

#: (key, what was signed, signature): plain data for `ctx.compute`.
Check = tuple[bytes, bytes, bytes]


def checks_of(txs: Iterable[Tx], *, checked: Container[bytes] = ()) -> list[Check]:
    """What is to be verified of transactions whose leaf is not among `checked`, in their order."""
    return [(tx.sender, tx.signed, tx.signature) for tx in txs if tx.leaf not in checked]


def first_bad(checks: Sequence[Check], *, verifier: Verifier = verify) -> int | None:
    """Number of the first signature that is not valid. The library lets other threads run meanwhile."""
    for at, (key, data, signature) in enumerate(checks):
        if not verifier(key, data, signature):
            return at
    return None
