"""What is given to the books in batches: many signatures are checked in two threads before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from apps.chain.core.block import decode_block
from apps.chain.core.desk import Desk
from apps.chain.core.limits import FEW_SIGNATURES
from apps.chain.core.merkle import HASH_BYTES
from apps.chain.core.news import Told, unpack
from apps.chain.core.rules import Invalid
from apps.chain.core.tx import decode_tx
from overlay.app import AppContext
from overlay.errors import LocalError
from overlay.identity.keys import Verifier

_THREADS = 2
#: A transaction has at least about so many bytes: what is shorter all together has few signatures.
_TX_BYTES = 150


def good_leaves(txs: Sequence[bytes], chain_id: bytes, *, verifier: Verifier) -> bytes:
    """Leaves of the transactions whose signatures are good, one after another. What cannot be decoded is left out: the
    ledger will say what is wrong with it."""
    good = []
    for raw in txs:
        try:
            tx = decode_tx(raw, chain_id)
        except Invalid:
            continue
        if verifier(tx.sender, tx.signed, tx.signature):
            good.append(tx.leaf)
    return b"".join(good)


def good_leaves_of(blocks: Sequence[bytes], part: int, chain_id: bytes, *, verifier: Verifier) -> bytes:
    """The same of every transaction of some blocks whose number is `part` modulo the number of threads."""
    txs: list[bytes] = []
    for raw in blocks:
        try:
            txs += decode_block(raw).txs
        except Invalid:
            continue
    return good_leaves(txs[part::_THREADS], chain_id, verifier=verifier)


@attrs.define(slots=True, eq=False)
class Batches:
    ctx: AppContext
    desk: Desk
    chain_id: bytes

    @property
    def now_ms(self) -> int:
        return self.ctx.now.wall_ms

    async def headers(self, raws: Sequence[bytes], last: bool, source: bytes) -> list[Told]:
        return unpack(await self.desk.do("headers", raws, last, source, self.now_ms))

    async def blocks(
        self, raws: Sequence[bytes], sources: Sequence[bytes], *, trusted: Sequence[bool] = ()
    ) -> list[list[Told]]:
        """Bodies in order, all in one transaction; of each what became of it and of those that waited for it.
        `trusted`: those whose signatures need no check."""
        checked = [raw for raw, free in zip(raws, trusted or [False] * len(raws), strict=True) if not free]
        leaves: tuple[bytes, ...] = ()
        if sum(map(len, checked)) > FEW_SIGNATURES * _TX_BYTES:
            leaves = await self._leaves(
                [("good_leaves_of", (tuple(checked), part, self.chain_id)) for part in range(_THREADS)]
            )
        told = await self.desk.do("blocks", tuple(raws), leaves, tuple(sources), self.now_ms)
        return [unpack(one) for one in told]

    async def fill(self, block: bytes, txs: Sequence[bytes], source: bytes) -> list[Told] | None:
        """None: they do not make the block."""
        told = await self.desk.do("fill", block, txs, await self._of_txs(txs), source, self.now_ms)
        return None if told is None else unpack(told)

    async def txs(self, raws: Sequence[bytes]) -> list[tuple[str, bytes, str, str, bool]]:
        """See `Books.txs`."""
        return await self.desk.do("txs", tuple(raws), await self._of_txs(raws), self.now_ms)  # type: ignore[no-any-return]

    async def tick(self) -> list[list[Told]]:
        """Of what had to wait for its time."""
        return [unpack(one) for one in await self.desk.do("tick", self.now_ms)]

    async def _of_txs(self, raws: Sequence[bytes]) -> tuple[bytes, ...]:
        if len(raws) <= FEW_SIGNATURES:
            return ()
        return await self._leaves(
            [("good_leaves", (tuple(raws[part::_THREADS]), self.chain_id)) for part in range(_THREADS)]
        )

    async def _leaves(self, work: list[tuple[str, tuple[Any, ...]]]) -> tuple[bytes, ...]:
        """Without those that no thread had room for: the ledger checks what nobody checked."""
        found: list[bytes] = []

        async def compute(function: str, args: tuple[Any, ...]) -> None:
            try:
                found.append(await self.ctx.compute(function, *args))
            except LocalError:
                return

        async with self.ctx.dht.loop.group(name="chain: signatures") as group:
            for function, args in work:
                group.spawn(compute(function, args), name="chain: signatures")
        return tuple(
            leaves[at : at + HASH_BYTES] for leaves in found for at in range(0, len(leaves), HASH_BYTES)
        )


def functions(verifier: Callable[[], Verifier]) -> dict[str, Callable[..., Any]]:
    """For `App.functions`; `verifier()` is known once the application runs."""
    return {
        "good_leaves": lambda txs, chain_id: good_leaves(txs, chain_id, verifier=verifier()),
        "good_leaves_of": lambda blocks, part, chain_id: good_leaves_of(blocks, part, chain_id, verifier=verifier()),
    }
