"""What a home that keeps headers alone finds out from others, by its running node, and checks against its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pnode.ui.fail import Fail, fail

if TYPE_CHECKING:
    from apps.chain.cli.explorer.session import Session
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.explorer.refs import Hex
    from apps.chain.core.proof import Proof


def whole(wanted: Hex | None, text: str) -> bytes:
    """32 bytes. Fail (usage): beginnings are looked up in the chain, which is not here."""
    if wanted is None or wanted.whole is None:
        fail(f"this home keeps headers alone, and can ask others for whole ids only: {text!r}", code="usage",
             expected="all 64 hex digits")  # fmt: skip
    return wanted.whole


def proved(session: Session, chain: Chain, of: bytes) -> tuple[bytes, Proof]:
    """The bytes of a proof, and what they prove: that a transaction, or one that anchored a digest, is in this chain.
    Fail (not_found): nobody who was asked knows of it, which proves nothing."""
    from apps.chain.core.proof import check_proof
    from overlay.errors import BadMessage

    try:
        raw = session.asking().proof(of)
    except Fail as failure:
        if failure.code != "not_found":
            raise
        fail("no peer that was asked knows of it; this home keeps headers alone, so that is all that can be said",
             code="not_found", asked_for=of.hex(), again_with_more_peers=session.command("status"))  # fmt: skip
    try:
        proof = check_proof(raw)
    except BadMessage as error:
        raise Fail("the node gave what proves nothing", code="not_verified", facts={"reason": error.reason}) from None
    active = chain.view.active(proof.header.height)
    if proof.params.chain_id != chain.params.chain_id or active is None or active.id != proof.ids[0]:
        fail("what it gave is not of this chain", code="not_verified", block=proof.ids[0].hex())
    return raw, proof
