"""The chain that counts: the one of most work whose blocks all keep the rules (F1 to F3).

Of equal work the one that was whole first stays. A change of branch is one savepoint of the store's transaction: a
block in it that breaks a rule brings everything back as it was, and is marked, with all that descend from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping

import attrs

from apps.chain.core import state
from apps.chain.core.block import Block, decode_block, decode_txs
from apps.chain.core.judge import Judge
from apps.chain.core.outcome import Outcome, Step, Verdict
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow, Reorg, Status
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.signatures import checks_of, first_bad
from apps.chain.core.store import Store
from apps.chain.core.tx import Tx
from overlay.errors import LocalError
from overlay.identity.keys import Verifier


@attrs.frozen(slots=True)
class Given:
    """What is known of blocks before they are connected, so that it is not done again."""

    #: Bytes -> what the mempool decoded them to.
    known: Mapping[bytes, Tx] = attrs.Factory(dict)
    #: Leaves of transactions whose signature was found good. Not ids: those say nothing about a signature.
    checked: Container[bytes] = frozenset()
    #: Blocks that just came, by id.
    blocks: dict[bytes, Block] = attrs.Factory(dict)


@attrs.frozen(slots=True)
class Either:
    """Leaves that are in one or the other."""

    one: frozenset[bytes]
    other: Container[bytes]

    def __contains__(self, leaf: object) -> bool:
        return leaf in self.one or leaf in self.other


@attrs.frozen(slots=True)
class Change:
    """How the chain that counts has changed; at least one of the two is empty without a reorg."""

    disconnected: tuple[Step, ...] = ()
    connected: tuple[Step, ...] = ()


@attrs.frozen(slots=True)
class Fault:
    """A block that broke a rule when it was connected."""

    row: HeaderRow
    error: Invalid


class _Broken(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault.error))
        self.fault = fault


@attrs.define(slots=True, eq=False)
class Active:
    store: Store
    params: Params
    judge: Judge
    verifier: Verifier
    tip: HeaderRow

    def has(self, row: HeaderRow) -> bool:
        active = self.store.active(row.height)
        return active is not None and active.id == row.id

    def advance(self, ready: Iterable[HeaderRow], now_ms: int, given: Given) -> tuple[Change, list[Fault]]:
        """Goes to the best of blocks that have just become READY, if one is better than the tip."""
        faults: list[Fault] = []
        # Nothing else can be better: what was READY before was compared with the tip of then.
        candidates = sorted((row for row in ready if row.work > self.tip.work), key=lambda row: (-row.work, row.seq))
        for row in candidates:
            if faults and self._row(row.id).status < Status.HEADER:
                continue
            try:
                return self._go_to(row, now_ms, given), faults
            except _Broken as broken:
                self.tip = tip_of(self.store)
                self.mark(broken.fault)
                faults.append(broken.fault)
        return Change(), faults

    def _go_to(self, target: HeaderRow, now_ms: int, given: Given) -> Change:
        path, row = [], target
        while not self.has(row):
            path.append(row)
            row = self._row(row.parent)
        old, fork = self.tip, row
        if fork.height < old.height and self.store.undo(self._above(fork)) is None:
            return Change()  # pruned: nothing can be taken back so far
        # A single block writes nothing before its last check, so it needs none.
        guarded = len(path) > 1 or fork.id != old.id
        if guarded:
            self.store.savepoint()
        disconnected: list[Step] = []
        connected: list[Step] = []
        try:
            while self.tip.id != fork.id:
                disconnected.append(self._disconnect())
            connected.extend(self._connect(row, given) for row in reversed(path))
        except _Broken:
            if guarded:
                self.store.rollback_to()
                self.store.release()
            raise
        if guarded:
            self.store.release()
        if disconnected:
            self.store.add_reorg(Reorg(now_ms, fork.height, old.id, old.height, target.id, target.height))
        return Change(tuple(disconnected), tuple(connected))

    def _connect(self, row: HeaderRow, given: Given) -> Step:
        block = given.blocks.get(row.id) or self._block(row.id)
        try:
            txs = decode_txs(block.txs, self.params.chain_id, known=given.known)
            if not row.trusted:
                self._check_signatures(txs, given.checked)
            state.connect(self.store, self.params, self.judge, row.id, block.header, txs, size=len(block.raw))
        except Invalid as error:
            raise _Broken(Fault(row, error)) from None
        if row.status is not Status.VALID:
            self.store.set_status((row.id,), Status.VALID)
            row = attrs.evolve(row, status=Status.VALID)
        self.tip = row
        return Step(row.id, row.height, txs)

    def _check_signatures(self, txs: tuple[Tx, ...], checked: Container[bytes]) -> None:
        pending = [tx for tx in txs if tx.leaf not in checked]
        bad = first_bad(checks_of(pending), verifier=self.verifier)
        if bad is not None:
            raise Invalid(Rule.X7, f"its sender did not sign it (transaction {txs.index(pending[bad])})")

    def _disconnect(self) -> Step:
        tip = self.tip
        txs = decode_txs(self._block(tip.id).txs, self.params.chain_id)
        state.disconnect(self.store, txs)
        self.tip = self._row(tip.parent)
        return Step(tip.id, tip.height, txs)

    def told(self, block: bytes, change: Change, faults: list[Fault]) -> Outcome:
        """What became of a block that was offered, and of others that broke a rule beside it."""
        row = self._row(block)
        if row.status < Status.HEADER:
            fault = faults[-1]
            culprit = None if fault.row.id == block else fault.row.id
            error = fault.error
            return Outcome(
                Verdict.INVALID, block, rule=error.rule, why=error.why, culprit=culprit,
                disconnected=change.disconnected, connected=change.connected,
            )  # fmt: skip
        others = tuple(
            Outcome(Verdict.INVALID, fault.row.id, rule=fault.error.rule, why=fault.error.why) for fault in faults
        )
        verdict = Verdict.TIP if self.has(row) else Verdict.SIDE
        return Outcome(verdict, block, disconnected=change.disconnected, connected=change.connected, then=others)

    def mark(self, fault: Fault) -> None:
        """Only what its header commits to comes here: a body that is another's was turned away before."""
        bad = fault.row.id
        self.store.set_status((bad,), Status.INVALID, why=str(fault.error))
        self.store.delete_bodies((bad,))
        doomed, queue = [], [bad]
        while queue:
            children = [row.id for row in self.store.children(queue.pop())]
            doomed += children
            queue += children
        self.store.set_status(doomed, Status.DOOMED)
        self.store.delete_bodies(doomed)

    def _above(self, fork: HeaderRow) -> bytes:
        row = self.store.active(fork.height + 1)
        assert row is not None
        return row.id

    def _row(self, block: bytes) -> HeaderRow:
        row = self.store.header(block)
        if row is None:
            raise LocalError(f"the store has lost the header {block.hex()[:16]}: verify it with: chain-explorer verify")
        return row

    def _block(self, block: bytes) -> Block:
        raw = self.store.block(block)
        if raw is None:
            raise LocalError(f"the store has lost the block {block.hex()[:16]}: verify it with: chain-explorer verify")
        return decode_block(raw)


def tip_of(store: Store) -> HeaderRow:
    """Header of the last block of the chain that counts; LocalError if it is gone."""
    row = store.header(store.tip().id)
    if row is None:
        raise LocalError("the store has lost the header of its tip: verify it with: chain-explorer verify")
    return row


def now_ready(store: Store, row: HeaderRow, seq: int) -> list[HeaderRow]:
    """Marks a block whose parent is READY, and all behind it whose bodies have waited for it. `seq`: the greatest."""
    ready, queue = [], deque((row,))
    while queue:
        seq += 1
        one = attrs.evolve(queue.popleft(), status=Status.READY, seq=seq)
        ready.append(one)
        queue.extend(child for child in store.children(one.id) if child.status is Status.BODY)
    store.put_headers(ready)
    return ready
