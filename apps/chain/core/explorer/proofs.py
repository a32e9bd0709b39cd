"""Which transaction a proof is to be made of, and whether somebody has a reason to believe one."""

from __future__ import annotations

from collections.abc import Container

import attrs

from apps.chain.core.explorer import refs
from apps.chain.core.explorer.chain import Ambiguous, Chain, Unknown
from apps.chain.core.operations import Anchor
from apps.chain.core.proof import Proof
from apps.chain.core.rows import TxRow


def subject(chain: Chain, text: str) -> TxRow:
    """By the beginning of a transaction's id, or of an anchored digest: then of its first anchor."""
    wanted = refs.as_hex(text)
    found = [] if wanted is None else refs.txids_like(chain, wanted)
    digests = [] if wanted is None else refs.digests_like(chain, wanted)
    if digests and not found:
        return anchor_of(chain, refs.the_one("anchored digest", text, digests))
    if digests:
        raise Ambiguous(f"a transaction and an anchored digest begin with {text!r}",
                             [f"tx      {found[0].hex()}", f"digest  {digests[0].hex()}"])  # fmt: skip
    return refs.find_tx(chain, text)


def anchor_of(chain: Chain, digest: bytes) -> TxRow:
    """The transaction that anchored it first."""
    rows = chain.view.anchors(digest)
    if not rows:
        raise Unknown(f"{digest.hex()} was never anchored in this chain", anchor_it="p2pnode chain anchor FILE")
    first = rows[0]
    tx = chain.txs_at([(first.height, first.pos)]).get((first.height, first.pos))
    if tx is None:
        raise Unknown("the block of this anchor is not kept here any more", ask="a node that keeps all blocks")
    return TxRow(tx.txid, first.height, first.pos)


@attrs.frozen(slots=True)
class Link:
    """The newest block of a proof that somebody trusts."""

    block: bytes
    #: Headers from the one after that of the transaction up to it.
    steps: int


def link_to(proof: Proof, trusted: Container[bytes]) -> Link | None:
    """None if no block of the proof is among those that are trusted."""
    found = [(steps, block) for steps, block in enumerate(proof.ids) if block in trusted]
    return Link(found[-1][1], found[-1][0]) if found else None


def anchors(proof: Proof, digest: bytes) -> bool:
    """Whether what is proved anchors this digest."""
    return any(type(op) is Anchor and op.digest == digest for op in proof.tx.operations)
