"""Signatures that are checked before the ledger has the transactions: it believes what is said of them."""

from __future__ import annotations

from apps.chain.core.batches import good_leaves, good_leaves_of
from apps.chain.core.merkle import leaf_of
from overlay.identity.keys import verify
from tests.support.chains import PARAMS, Maker, pay


def test_leaves_are_of_good_signatures_alone() -> None:
    make = Maker(PARAMS)
    good = [make.tx("anna", pay("bert", 1), nonce=nonce) for nonce in range(4)]
    forged = good[1][:-1] + bytes([good[1][-1] ^ 1])
    other_chain = make.tx("anna", pay("bert", 1), nonce=9, chain_id=bytes(8))
    txs = [good[0], forged, b"junk", other_chain, good[2], good[3]]
    assert good_leaves(txs, PARAMS.chain_id, verifier=verify) == b"".join(leaf_of(good[at]) for at in (0, 2, 3))
    block = make.block(PARAMS.genesis_id, [good[0], forged, good[2], good[3]])
    parts = [good_leaves_of([b"junk", block.raw], part, PARAMS.chain_id, verifier=verify) for part in (0, 1)]
    assert parts == [leaf_of(good[0]) + leaf_of(good[2]), leaf_of(good[3])]
