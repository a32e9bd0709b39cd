"""The ledger, the transactions that wait and what is being put together, behind operations of an application.

An operation is called in a thread of a shell, one at a time (desk.py), and gives plain data. In a swarm it is called
directly. Beside its own value each gives a `Summary` as a tuple: where the chain is now.

    bytes and numbers in                     (value, summary) out
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs

from apps.chain.core.active import Either
from apps.chain.core.ahead import Ahead
from apps.chain.core.asked import QUESTIONS, Asked
from apps.chain.core.block import Block
from apps.chain.core.branch import Branch
from apps.chain.core.compact import Compact, Rebuilding, decode_compact, encode_compact, rebuild
from apps.chain.core.header import prefix_of
from apps.chain.core.judge import Judge, nobody
from apps.chain.core.ledger import Ledger, open_ledger
from apps.chain.core.limits import MAX_EARLY, MAX_PARTIAL, MAX_POOL_TXS
from apps.chain.core.mark import Mark, marked
from apps.chain.core.merkle import leaf_of
from apps.chain.core.mining import Templates, assembled
from apps.chain.core.news import pack
from apps.chain.core.outcome import Outcome, Verdict
from apps.chain.core.params import Params
from apps.chain.core.pool import Pool
from apps.chain.core.pruning import prune
from apps.chain.core.rows import Status
from apps.chain.core.rules import Invalid
from apps.chain.core.store import Store
from apps.chain.core.summary import Summary
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Verifier, verify

_V = TypeVar("_V")
#: What the application asks for by name.
OPERATIONS = (
    "open", "headers", "header", "compact", "fill", "blocks", "txs", "tick", "template", "mined", "plan", "locator",
    "prune", *QUESTIONS,
)  # fmt: skip


@attrs.define(slots=True, eq=False)
class Books:
    """Of one chain, on one store."""

    store: Store
    params: Params
    judge: Judge = attrs.field(default=nobody, kw_only=True)
    verifier: Verifier = attrs.field(default=verify, kw_only=True)
    #: Headers alone are kept.
    light: bool = attrs.field(default=False, kw_only=True)
    #: Blocks that are kept, the newest; 0: all.
    keep: int = attrs.field(default=0, kw_only=True)
    #: The state is digested at every so many blocks (mark.py). 0: never.
    digest_every: int = attrs.field(default=0, kw_only=True)
    #: Told how many blocks are missing up to the best header, before some of them are connected: a disk need not be
    #: waited for each time while many are.
    pace: Callable[[int], object] = attrs.field(default=lambda _behind: None, kw_only=True)
    _ledger: Ledger | None = attrs.field(default=None, init=False)
    _pool: Pool | None = attrs.field(default=None, init=False)
    _ahead: Ahead = attrs.field(init=False)
    _asked: Asked | None = attrs.field(default=None, init=False)
    #: Compact blocks of which some transactions are not here yet; the oldest go first.
    _partial: dict[bytes, Rebuilding] = attrs.field(init=False, factory=dict)
    #: Those whose headers wait for a parent or for their time: (block, who sent it).
    _early: dict[bytes, tuple[Compact, bytes]] = attrs.field(init=False, factory=dict)
    #: Of peers whose headers come: what is not worth keeping yet.
    _branches: dict[bytes, Branch] = attrs.field(init=False, factory=dict)
    _templates: Templates = attrs.field(init=False, factory=Templates)
    #: When what waits was seen first, wall ms.
    _seen: dict[bytes, int] = attrs.field(init=False, factory=dict)
    _mark: Mark = attrs.field(init=False, factory=Mark)
    _kept_from: int = attrs.field(init=False, default=0)

    def operations(self) -> dict[str, Callable[..., Any]]:
        return {name: self._operation(name) for name in OPERATIONS}

    def _operation(self, name: str) -> Callable[..., Any]:
        def operate(*args: Any) -> tuple[Any, tuple[Any, ...]]:
            if self._ledger is None:
                self._open()
            value = getattr(self.asked if name in QUESTIONS else self, name)(*args)
            return value, attrs.astuple(self.summary())

        return operate

    def _open(self) -> None:
        self._ledger = open_ledger(self.store, self.params, judge=self.judge, verifier=self.verifier)
        self._pool = Pool(self.store, self.params, self.judge, self.verifier)
        self._ahead = Ahead(self._ledger)
        self._asked = Asked(self.store, self.params, self._ledger, self._pool, self._ahead, self._seen, self.light)
        self._kept_from = self.store.kept_from()
        self._digest()

    @property
    def ledger(self) -> Ledger:
        assert self._ledger is not None
        return self._ledger

    @property
    def pool(self) -> Pool:
        assert self._pool is not None
        return self._pool

    @property
    def asked(self) -> Asked:
        assert self._asked is not None
        return self._asked

    def summary(self) -> Summary:
        best, pool, mark = self.ledger.best, self.pool, self._mark
        tip = best if self.light else self.ledger.tip
        return Summary(
            tip.height, tip.id, tip.work, tip.time, tip.difficulty, best.height, best.id, best.work,
            len(pool), pool.size, self.ledger.held, mark.height, mark.block, mark.digest, self.light, self._kept_from,
            self._is_stuck(),
        )  # fmt: skip

    def _is_stuck(self) -> bool:
        best, tip = self.ledger.best, self.ledger.tip
        if not self._kept_from or best.work <= tip.work:
            return False
        row = self.store.header(best.id)
        return row is not None and row.status is Status.READY

    def open(self) -> None:
        """Nothing more than what every operation does first."""

    # --- what comes in ----------------------------------------------------------------------

    def headers(self, raws: Sequence[bytes], last: bool, source: bytes, now_ms: int) -> tuple[Any, ...]:
        """Of a peer that answers a locator, one answer after another until the last: what became of them."""
        if source not in self._branches:
            self._branches.clear()  # one peer at a time is followed; of another the rest will not come
        branch = self._branches.setdefault(source, Branch())
        outcome = self.ledger.accept_headers(raws, now_ms, branch, last=last, source=source)
        goes_on = not last and outcome.verdict in (Verdict.HEADER, Verdict.KNOWN)
        if not goes_on and outcome.verdict is not Verdict.AGAIN:
            self._branches.pop(source, None)
        return self._told(outcome, now_ms)

    def header(self, raw: bytes, source: bytes, now_ms: int) -> tuple[Any, ...]:
        return self._told(self.ledger.accept_header(raw, now_ms, source=source), now_ms)

    def compact(self, raw: bytes, source: bytes, now_ms: int) -> tuple[Any, ...]:
        """(what became of it, block, missing indexes). Of a block that was put together it is that of the block; if
        something is missing it is that of the header, and `fill` or `blocks` follows."""
        try:
            compact = decode_compact(raw)
        except Invalid as error:
            return pack(Outcome(Verdict.INVALID, b"", rule=error.rule, why=error.why)), b"", ()
        told = self.header(compact.raw_header, source, now_ms)
        if self.light or self.ledger.is_waiting(compact.id):
            if not self.light:
                _bounded(self._early, MAX_EARLY)[compact.id] = compact, source
            return told, compact.id, ()
        row = self.store.header(compact.id)
        if row is None or row.status is not Status.HEADER:
            return told, compact.id, ()
        rebuilding = rebuild(compact, self.pool.known)
        if rebuilding.missing:
            _bounded(self._partial, MAX_PARTIAL)[compact.id] = rebuilding
            return told, compact.id, rebuilding.missing
        whole = self._whole(rebuilding, (), source, now_ms)
        return (told if whole is None else whole), compact.id, ()

    def fill(
        self, block: bytes, txs: Sequence[bytes], leaves: Sequence[bytes], source: bytes, now_ms: int
    ) -> tuple[Any, ...] | None:
        """What was missing of a compact block, in order; `leaves`: those whose signatures are good. None: they do not
        make the block, which is to be fetched whole. `source`: who gave the compact block."""
        rebuilding = self._partial.pop(block, None)
        if rebuilding is None:
            return None
        try:
            rebuilding.fill(txs)
        except BadMessage:
            return None
        return self._whole(rebuilding, leaves, source, now_ms)

    def _whole(
        self, rebuilding: Rebuilding, leaves: Sequence[bytes], source: bytes, now_ms: int
    ) -> tuple[Any, ...] | None:
        block = rebuilding.block()
        return None if block is None else self._accept(block, leaves, source, now_ms)

    def blocks(
        self, raws: Sequence[bytes], leaves: Sequence[bytes], sources: Sequence[bytes], now_ms: int
    ) -> list[tuple[Any, ...]]:
        """Bodies in order, in one transaction of the store."""
        self.pace(self._ahead.behind - len(raws))
        outcomes = self.ledger.accept_blocks(
            raws, now_ms, known=self.pool.known, checked=Either(frozenset(leaves), self.pool.checked),
            source=sources[0] if sources else b"",
        )  # fmt: skip
        return [self._told(outcome, now_ms) for outcome in outcomes]

    def _accept(self, block: Block, leaves: Sequence[bytes], source: bytes, now_ms: int) -> tuple[Any, ...]:
        self.pace(0)
        outcome = self.ledger.accept_block(
            block, now_ms, known=self.pool.known, checked=Either(frozenset(leaves), self.pool.checked), source=source
        )
        return self._told(outcome, now_ms)

    def txs(
        self, raws: Sequence[bytes], leaves: Sequence[bytes], now_ms: int
    ) -> list[tuple[str, bytes, str, str, bool]]:
        """(entry, id, rule, why, whether no correct peer sends it) of each; `leaves`: as for `fill`."""
        told, good = [], frozenset(leaves)
        for raw in raws:
            admission = self.pool.add(raw, now_ms, signed=bool(good) and leaf_of(raw) in good)
            self._seen.setdefault(admission.txid, now_ms)
            rule = str(admission.rule or "")
            told.append((str(admission.entry), admission.txid, rule, admission.why, admission.blamed))
        if len(self._seen) > 2 * MAX_POOL_TXS:
            for txid in [txid for txid in self._seen if self.pool.get(txid) is None]:
                del self._seen[txid]
        return told

    def tick(self, now_ms: int) -> list[tuple[Any, ...]]:
        """What had to wait for its time."""
        return [self._told(outcome, now_ms) for outcome in self.ledger.tick(now_ms)]

    def _told(self, outcome: Outcome, now_ms: int) -> tuple[Any, ...]:
        """What is to be reported, and what follows from it: compact blocks that came before their parents, or before
        their time, are put together now if nothing is missing."""
        packed = pack(outcome)
        queue = [outcome]
        while queue:
            one = queue.pop(0)
            if one.connected or one.disconnected:
                self.pool.update(attrs.evolve(one, then=()), now_ms)
            queue += one.then
            for block in one.headers:
                found = self._early.pop(block, None)
                whole = None if found is None else rebuild(found[0], self.pool.known).block()
                if found is not None and whole is not None:
                    then = self.ledger.accept_block(
                        whole, now_ms, known=self.pool.known, checked=self.pool.checked, source=found[1]
                    )
                    packed += pack(then)
                    queue.append(then)
        self._digest()
        return packed

    def _digest(self) -> None:
        if not self.light:
            self._mark = marked(self._mark, self.ledger, self.digest_every)

    def prune(self) -> int:
        """Forgets blocks that are too old, of some heights; how many heights are left to do."""
        left = prune(self.store, self.keep) if self.keep else 0
        self._kept_from = self.store.kept_from()
        return left

    # --- mining -----------------------------------------------------------------------------

    def template(self, miner: bytes, now_ms: int) -> tuple[bytes, int, int, bytes, int]:
        """(all bytes of a header before its nonce, difficulty, sort of work, parent, transactions)."""
        if self.light:
            raise LocalError("a light node cannot mine: it does not know what an account has")
        txs = tuple(self.pool.template())
        header = self._templates.make(self.params, self.ledger.tip, txs, miner, now_ms)
        return prefix_of(header), header.difficulty, int(self.params.pow), header.parent, len(txs)

    def mined(self, raw_header: bytes, root: bytes, now_ms: int) -> tuple[tuple[Any, ...], bytes] | None:
        """What became of the block of a header that was found, and the block for others, compact; None: its template
        is not known any more."""
        txs = self._templates.txs.get(root)
        if txs is None:
            return None
        block = assembled(raw_header, txs)
        return self._accept(block, [tx.leaf for tx in txs], b"", now_ms), encode_compact(block)

    # --- sync -------------------------------------------------------------------------------

    def locator(self) -> list[bytes]:
        return self._ahead.locator()

    def plan(self, most: int) -> list[tuple[bytes, int, bool]]:
        """(block, height, whether its signatures need no check) of the bodies that are missing up to the best header,
        upwards."""
        return [(row.id, row.height, row.trusted) for row in self._ahead.wanted(most)]


def _bounded(table: dict[bytes, _V], most: int) -> dict[bytes, _V]:
    """The same, with room for one more: the oldest go."""
    while len(table) >= most:
        del table[next(iter(table))]
    return table
