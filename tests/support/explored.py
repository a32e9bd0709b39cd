"""A small chain with one of everything, in a folder as a node leaves it: for the screens of chain-explorer.

Always the same, to the byte: keys come from names, and times from heights.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import attrs

from apps.chain.core.block import Block
from apps.chain.core.ledger import Ledger
from apps.chain.core.operations import Anchor, Evidence, SetName
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import Params, simulated
from apps.chain.shell.opening import open_chain
from apps.chain.shell.schema import FILE_NAME
from apps.chain.shell.store import SqliteStore
from tests.support.chains import Maker, key_of, pay

#: 12 blocks until a reward is credited, so that a small chain has some.
PARAMS = simulated(hashlib.sha256(b"the lab").digest(), maturity=12)
#: What the file holds that is anchored, and what somebody says of himself to confuse a terminal.
REPORT = b"all is well\n"
HOSTILE = b"\x1b[2J\n\xe2\x80\xae\xd7\x90\xff\"\\"
#: Seconds that blocks took, over and over.
PACE = (9, 21, 4, 38, 14, 15, 11, 26, 7, 17)
MINERS = ("edge-3", "cam-1", "edge-3", "stranger")


def judge(evidence: bytes) -> bytes | None:
    """Convicts whose key the evidence begins with."""
    return evidence[:32] if evidence.startswith(key_of("liar").key) else None


@attrs.define(slots=True, eq=False)
class Explored:
    """Grows a chain in a store; `tip` is what the next block is made on."""

    store: SqliteStore
    ledger: Ledger
    make: Maker
    tip: bytes
    height: int = 0
    nonces: dict[str, int] = attrs.Factory(dict)

    def tx(self, sender: str, *operations: object, fee: int = 100, first: int = 0, last: int = 5_000) -> bytes:
        nonce = self.nonces.get(sender, 0)
        self.nonces[sender] = nonce + 1
        return self.make.tx(sender, *operations, nonce=nonce, fee=fee, first=first, last=last)  # type: ignore[arg-type]

    def block(self, *txs: bytes, extra: bytes = b"") -> Block:
        """The next of the chain."""
        height = self.height + 1
        block = self.make.block(
            self.tip, txs, miner=MINERS[height % len(MINERS)], after_s=PACE[height % len(PACE)], extra=extra
        )
        assert self.offer(block) is Verdict.TIP
        self.tip, self.height = block.id, height
        return block

    def beside(self, parent: bytes, *txs: bytes, miner: str = "cam-1", after_s: int = 12) -> Block:
        """One that somebody else made on an earlier block."""
        block = self.make.block(parent, txs, miner=miner, after_s=after_s)
        self.offer(block)
        return block

    def offer(self, block: Block) -> Verdict:
        """It arrives 0.8 s after the time in it."""
        return self.ledger.accept_block(block, block.header.time * 1000 + 800).verdict

    def empty(self, count: int) -> None:
        for _ in range(count):
            self.block()


def file_in(folder: Path) -> Path:
    return folder / FILE_NAME


def begin(folder: Path, *, params: Params = PARAMS) -> Explored:
    """In a folder that is there; `store.close()` ends it."""
    chain = open_chain(file_in(folder), params, judge=judge)
    return Explored(chain.store, chain.ledger, Maker(params), params.genesis_id)


def opened(folder: Path, like: Explored) -> Explored:
    """A chain that was written into another folder, and copied."""
    chain = open_chain(file_in(folder), like.make.params, judge=judge)
    return Explored(chain.store, chain.ledger, like.make, like.tip, height=like.height, nonces=dict(like.nonces))


def grown(folder: Path) -> Explored:
    """Names, payments, anchors, evidence and hostile texts; a block that came late, a branch that counted for a while,
    one that is invalid."""
    world = begin(folder)
    world.empty(16)
    world.block(
        world.tx("edge-3", pay("cam-1", 20_000_000), SetName(b"edge-3", b"10.0.0.3:4433"), fee=1_000_300),
        extra=b"hello",
    )
    world.block(world.tx("cam-1", SetName(b"cam-1", HOSTILE), fee=1_000_200))
    parent = world.tip
    digest = hashlib.sha256(REPORT).digest()
    world.block(
        world.tx("edge-3", Anchor(digest, tag=b"lab/2026-01-01T00"), pay("anna", 2_500_000, memo=b"relay")),
        world.tx("cam-1", pay("anna", 1_000_000, memo=HOSTILE), Anchor(bytes(31) + b"\x01", tag=HOSTILE)),
    )
    world.beside(parent, after_s=22)
    world.empty(2)
    world.block(world.tx("anna", Evidence(key_of("liar").key + b": equivocation"), Anchor(digest, tag=b"again")))
    fork, here = world.tip, world.height
    world.block()
    world.beside(world.beside(fork, after_s=30).id, after_s=5)
    assert world.ledger.tip.height == here + 2, "the other branch counts for a while"
    kept = [world.make.block(world.tip, miner="edge-3", after_s=4)]
    kept.append(world.make.block(kept[0].id, miner="stranger", after_s=16))
    verdicts = [world.offer(block) for block in kept]
    assert verdicts[-1] is Verdict.TIP, verdicts
    world.tip, world.height = kept[-1].id, here + 3
    bad = world.beside(world.tip, world.make.tx("anna", pay("edge-3", 1), nonce=7, fee=100), miner="stranger")
    world.block(world.tx("anna", pay("edge-3", 250_000), fee=5), world.tx("edge-3", pay("edge-3", 1), fee=900))
    world.empty(4)
    header = world.store.header(bad.id)
    assert header is not None
    assert header.why.startswith("S2"), header
    return world
