"""Makers of chains: keys, transactions, blocks on any parent, and a ledger to offer them to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import attrs

from apps.chain.core import merkle
from apps.chain.core.block import Block, make_block
from apps.chain.core.header import Header, decode_header, encode_header, prefix_of
from apps.chain.core.judge import Judge, nobody
from apps.chain.core.ledger import Ledger, open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.operations import Anchor, Operation, Pay
from apps.chain.core.outcome import Blame, Outcome, Verdict
from apps.chain.core.params import Params, simulated
from apps.chain.core.rows import HeaderRow
from apps.chain.core.rules import Rule
from apps.chain.core.state import digest_of
from apps.chain.core.tx import encode_tx
from apps.chain.core.work import search
from overlay.identity.keys import KeyPair

NETWORK = hashlib.sha256(b"a network").digest()
#: Work that costs nothing, everything else as on a real network.
PARAMS = simulated(NETWORK)
#: Rewards can be spent soon.
QUICK = simulated(NETWORK, maturity=2)
TARGET_S = 15


@cache
def key_of(name: str) -> KeyPair:
    return KeyPair.from_seed(hashlib.sha256(name.encode()).digest())


def pay(to: str | bytes, amount: int, *, memo: bytes = b"") -> Pay:
    return Pay(key_of(to).key if isinstance(to, str) else to, amount, memo=memo)


def anchor(text: str) -> Anchor:
    return Anchor(hashlib.sha256(text.encode()).digest(), tag=text.encode()[:32])


@attrs.define(slots=True, eq=False)
class Maker:
    """Makes blocks on any block that it made before, or on the first one."""

    params: Params = PARAMS
    #: id -> (header, seconds since its parent).
    _made: dict[bytes, tuple[Header, int]] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self._made[self.params.genesis_id] = self.params.genesis, self.params.target_s

    def tx(
        self, sender: str, *operations: Operation, nonce: int, fee: int = 10_000, first: int = 0, last: int = 5_000,
        chain_id: bytes | None = None,
    ) -> bytes:  # fmt: skip
        chain = self.params.chain_id if chain_id is None else chain_id
        return encode_tx(key_of(sender), chain, operations, nonce=nonce, fee=fee, first=first, last=last)

    def header(
        self, parent: bytes, txs: Sequence[bytes] = (), *, miner: str = "miner", after_s: int = TARGET_S,
        extra: bytes = b"",
    ) -> Header:  # fmt: skip
        """Without a nonce."""
        before, solve_s = self._made[parent]
        return Header(
            before.height + 1, parent, merkle.root_of([merkle.leaf_of(tx) for tx in txs]), len(txs),
            before.time + after_s, self.params.difficulty_after(before.height, before.difficulty, solve_s),
            key_of(miner).key, extra=extra,
        )  # fmt: skip

    def mined(self, header: Header) -> bytes:
        return _mined(header, self.params)

    def block(self, parent: bytes, txs: Sequence[bytes] = (), **options: Any) -> Block:
        block = make_block(self.mined(self.header(parent, txs, **options)), txs)
        self.learn(block)
        return block

    def learn(self, block: Block) -> None:
        """Somebody else made it."""
        self._made[block.id] = block.header, block.header.time - self._made[block.header.parent][0].time

    def know(self, row: HeaderRow) -> None:
        """Of a store."""
        self._made[row.id] = decode_header(row.raw), row.solve_s

    def line(self, parent: bytes, count: int, **options: Any) -> list[Block]:
        """So many empty blocks, one on another."""
        blocks = []
        for _ in range(count):
            blocks.append(self.block(parent, **options))
            parent = blocks[-1].id
        return blocks


@lru_cache(maxsize=10_000)
def _mined(header: Header, params: Params) -> bytes:
    """Tests make the same blocks over and over."""
    raw = search(prefix_of(header), header.difficulty, params.pow, start=0, tries=1_000_000)
    assert raw is not None, header
    return raw


def nobody_signed(header: Header) -> bytes:
    """A header without any work."""
    return encode_header(header)


@attrs.define(slots=True, eq=False)
class World:
    """A ledger with a chain on which `miner`, `anna` and `bert` have credits, and what is offered to it."""

    params: Params = PARAMS
    judge: Judge = nobody
    blocks: int = 24
    make: Maker = attrs.field(init=False)
    ledger: Ledger = attrs.field(init=False)
    store: MemoryStore = attrs.field(init=False, factory=MemoryStore)
    #: The chain that all begin with, without the first block.
    line: list[Block] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.make = Maker(self.params)
        self.ledger = open_ledger(self.store, self.params, judge=self.judge)
        for height in range(1, self.blocks + 1):
            txs = []
            if height == self.params.maturity + 2:
                txs.append(self.make.tx("miner", pay("anna", 10_000_000), pay("bert", 10_000_000), nonce=0))
            block = self.make.block(self.tip, txs)
            self.line.append(block)
            assert self.offer(block).verdict is Verdict.TIP

    @property
    def tip(self) -> bytes:
        return self.ledger.tip.id

    @property
    def height(self) -> int:
        return self.ledger.tip.height

    @property
    def digest(self) -> bytes:
        return digest_of(self.store)

    def now_ms(self, block: Block | None = None) -> int:
        """A moment after a block was made; without one, after the tip."""
        return 1000 * (block.header.time if block else self.ledger.tip.time) + 1000

    def offer(self, block: Block, **options: Any) -> Outcome:
        return self.ledger.accept_block(block, options.pop("now_ms", self.now_ms(block)), **options)

    def next(self, *txs: bytes, **options: Any) -> Block:
        """A block on the tip."""
        return self.make.block(self.tip, txs, **options)

    def accepts(self, block: Block) -> Outcome:
        outcome = self.offer(block)
        assert outcome.verdict is Verdict.TIP, outcome
        assert self.tip == block.id
        self.make.learn(block)
        return outcome

    def refuses(self, rule: Rule, offered: Block | bytes, *, verdict: Verdict = Verdict.INVALID) -> Outcome:
        """Offers it, and asserts for which rule it is turned away, that nothing changes, and who is to blame."""
        tip, digest = self.tip, self.digest
        outcome = self.ledger.accept_block(offered, self.now_ms() + 15_000)
        assert (outcome.verdict, outcome.rule) == (verdict, rule), outcome
        assert (self.tip, self.digest) == (tip, digest)
        blames = {Verdict.INVALID: Blame.BLOCK, Verdict.MUTATED: Blame.BODY}
        assert outcome.blame is blames.get(verdict, Blame.NOTHING)
        return outcome

    def refuses_header(self, rule: Rule, raw: bytes, *, verdict: Verdict = Verdict.INVALID) -> Outcome:
        """As `refuses`, of a header that comes alone, and within a block with the same."""
        tip, digest = self.tip, self.digest
        outcome = self.ledger.accept_header(raw, self.now_ms() + 15_000)
        assert (outcome.verdict, outcome.rule) == (verdict, rule), outcome
        assert (self.tip, self.digest) == (tip, digest)
        return outcome

    def goes_on(self) -> None:
        """A good block is accepted right now."""
        self.accepts(self.next(extra=b"goes on"))
