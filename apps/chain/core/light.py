"""What a node finds out from others and checks against its own headers: all that a light node can.

A proof says that a transaction is in a block, whose header must be on the way to our best one; nobody has to be
believed. What an account has cannot be proved in this version: it is the word of the peer that was asked.
"""

from __future__ import annotations

import attrs

from apps.chain.core.desk import Desk
from apps.chain.core.params import Params
from apps.chain.core.peers import Known, Peers
from apps.chain.core.proof import Proof, check_proof
from apps.chain.core.talk import Talks
from apps.chain.core.wire import AccountIs
from overlay.app import AppContext
from overlay.errors import BadMessage, NotFound, OverlayError

#: Peers that are asked before it is said that nobody knows.
_MOST_ASKED = 3


@attrs.define(slots=True, eq=False)
class Light:
    ctx: AppContext
    desk: Desk
    peers: Peers
    talks: Talks
    params: Params

    async def proof(self, of: bytes, *, made: bytes = b"") -> tuple[bytes, Proof]:
        """That a transaction, or one that anchored a digest, is in our chain; NotFound.

        `made`: a proof of this node's own; empty: it has none, and others are asked."""
        if made:
            return made, check_proof(made, verifier=self.ctx.dht.endpoint.verifier)
        for one in self._some():
            try:
                raw = await self.talks.of(one.id).proof(of)
                if raw and (proof := await self._checked(raw, of)) is not None:
                    return raw, proof
            except BadMessage as error:
                self.peers.bar(one.id, f"a proof: {error.reason}")
            except OverlayError:
                self.peers.slow(one.id)
        raise NotFound("no peer that was asked knows of it")

    async def _checked(self, raw: bytes, of: bytes) -> Proof | None:
        """None: it is of a block that is not on the way to our best header. BadMessage if it proves nothing."""
        proof = check_proof(raw, verifier=self.ctx.dht.endpoint.verifier)
        if proof.params.chain_id != self.params.chain_id:
            raise BadMessage("it is of another chain")
        anchored = [getattr(operation, "digest", b"") for operation in proof.tx.operations]
        if of != proof.tx.txid and of not in anchored:
            raise BadMessage("it is of something else than was asked for")
        on_line = await self.desk.do("on_line", proof.header.height, proof.ids[0])
        return proof if on_line else None

    async def account(self, key: bytes) -> tuple[AccountIs, bytes]:
        """What a peer says of an account, and which peer; NotFound if nobody answers."""
        for one in self._some():
            try:
                found = await self.talks.of(one.id).account(key)
            except BadMessage as error:
                self.peers.bar(one.id, f"an account: {error.reason}")
            except OverlayError:
                self.peers.slow(one.id)
            else:
                return found, one.id
        raise NotFound("no peer that was asked answers")

    def _some(self) -> list[Known]:
        return self.ctx.rng.sample(self.peers.with_work(0), _MOST_ASKED)
