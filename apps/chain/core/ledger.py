"""The ledger: takes headers and blocks in any order, from anybody, and keeps the chain that counts.

Synchronous and pure: time is handed in, what is kept is in the store, and each call is one transaction of it. Nothing
else writes to the store. Signatures can be checked elsewhere before (signatures.py); their leaves are then handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from apps.chain.core.active import Active, Fault, Given, now_ready, tip_of
from apps.chain.core.block import Block, check_body, check_size, decode_block
from apps.chain.core.branch import Branch
from apps.chain.core.first import write_first
from apps.chain.core.gathering import Gathering, is_enough, settle
from apps.chain.core.header import Header, decode_header, id_of
from apps.chain.core.judge import Judge, nobody
from apps.chain.core.limits import MAX_AHEAD_S
from apps.chain.core.outcome import Outcome, Verdict
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow, Status
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.store import Store
from apps.chain.core.tx import Tx
from apps.chain.core.waiting import Held, Orphans, Waiting
from overlay.errors import LocalError
from overlay.identity.keys import Verifier, verify

_T = TypeVar("_T")
#: What follows in the same message does not matter any more.
_DECIDED = Verdict.LITTLE, Verdict.AGAIN


@attrs.define(slots=True, eq=False)
class Ledger:
    """Made by `open_ledger`."""

    store: Store
    params: Params
    active: Active
    #: Of most work whether its body is here or not: what a sync aims at.
    best: HeaderRow
    _seq: int
    #: A transaction failed, and what it left could not be read.
    _is_unsure: bool = False
    _orphans: Orphans = attrs.Factory(Orphans)
    _held: Held = attrs.Factory(Held)
    _gathering: Gathering = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._gathering = Gathering(self.store, self.params)

    @property
    def tip(self) -> HeaderRow:
        return self.active.tip

    @property
    def held(self) -> int:
        """How many wait for their time."""
        return len(self._held)

    # --- what comes in ---

    def accept_header(self, raw: bytes, now_ms: int, *, source: bytes = b"") -> Outcome:
        """A single header, as it is announced."""
        return self._transaction(lambda: self._followed(self._alone(raw, now_ms, source), now_ms))

    def accept_headers(
        self, raws: Sequence[bytes], now_ms: int, branch: Branch, *, last: bool = True, source: bytes = b""
    ) -> Outcome:
        """Headers one after another, as a peer answers a locator; `last`: it has no more.

        `branch`: of this peer, kept between the calls until one is the last. The outcome is that of the one at which
        it ended; those before it are in `headers` once they are kept."""
        return self._transaction(lambda: self._followed(self._line(raws, now_ms, branch, last, source), now_ms))

    def accept_block(
        self, raw: bytes | Block, now_ms: int, *, known: Mapping[bytes, Tx] | None = None,
        checked: Container[bytes] = frozenset(), source: bytes = b"",
    ) -> Outcome:  # fmt: skip
        """`known`: bytes of transactions -> what the mempool decoded. `checked`: leaves whose signature is good."""
        return self.accept_blocks((raw,), now_ms, known=known, checked=checked, source=source)[0]

    def accept_blocks(
        self, raws: Iterable[bytes | Block], now_ms: int, *, known: Mapping[bytes, Tx] | None = None,
        checked: Container[bytes] = frozenset(), source: bytes = b"",
    ) -> list[Outcome]:  # fmt: skip
        """All in one transaction: far from the tip a disk need not sync for each."""
        given = Given(known or {}, checked)
        return self._transaction(
            lambda: [self._followed(self._block(raw, now_ms, given, source), now_ms) for raw in raws]
        )

    def tick(self, now_ms: int) -> list[Outcome]:
        """What had come too early; to be called now and then."""
        due = list(self._held.due(now_ms // 1000 + MAX_AHEAD_S))
        if not due:
            return []
        return self._transaction(lambda: [self._followed(self._again(one, now_ms), now_ms) for one in due])

    def is_waiting(self, block: bytes) -> bool:
        return block in self._orphans or block in self._held

    # --- headers ---

    def _alone(self, raw: bytes, now_ms: int, source: bytes) -> Outcome:
        outcome = self._line((raw,), now_ms, Branch(), True, source)
        if outcome.verdict is Verdict.ORPHAN:
            return self._orphan(raw, decode_header(raw), raw, False, source)
        return outcome

    def _line(self, raws: Sequence[bytes], now_ms: int, branch: Branch, last: bool, source: bytes) -> Outcome:
        verdict, end = Verdict.KNOWN, None
        block = b""
        kept: list[bytes] = []
        try:
            for raw in raws:
                header, block = decode_header(raw), id_of(raw)
                if self.store.header(block) is not None:
                    self._gathering.check_good(block)
                    branch.part()
                elif not self._gathering.extend(branch, raw, header, block, now_ms):
                    verdict = Verdict.ORPHAN
                    break
                else:
                    verdict = Verdict.HEADER
                if branch.is_due:
                    branch.prove(self.params)
                    verdict = self._settle(branch, kept) or verdict
                if verdict in _DECIDED:
                    break
        except Invalid as error:
            end = self._refused(error, block, raw, False, source)
        ends = last or end is not None
        if ends:
            try:
                branch.prove(self.params)
            except Invalid as error:
                end = Outcome(Verdict.INVALID, b"", rule=error.rule, why=error.why)
        if verdict not in _DECIDED and not branch.unproved:
            verdict = self._settle(branch, kept, ends=ends) or verdict
        if end is None or (end.verdict is Verdict.HELD and verdict is Verdict.AGAIN):
            end = Outcome(verdict, block)
        return attrs.evolve(end, headers=tuple(kept))

    def _settle(self, branch: Branch, kept: list[bytes], *, ends: bool = False) -> Verdict | None:
        verdict, rows = settle(branch, self.tip, ends=ends)
        if rows:
            kept += self._keep(rows)
        return verdict

    def _keep(self, rows: Sequence[HeaderRow]) -> tuple[bytes, ...]:
        self.store.put_headers(rows)
        if rows[-1].work > self.best.work:
            self.best = rows[-1]
        return tuple(row.id for row in rows)

    def _prefer_tip(self) -> None:
        """Of equal work the one that was whole first counts (F2): nothing is fetched to make it another."""
        if self.best.work <= self.tip.work:
            self.best = self.tip

    def trust_assumed(self) -> None:
        """The block that is assumed valid may have been here before it was."""
        assumed = self.params.assume_valid
        if assumed is not None:
            self._transaction(lambda: self._gathering.trust(self.store.header(assumed[1])))

    # --- blocks ---

    def _block(self, raw: bytes | Block, now_ms: int, given: Given, source: bytes) -> Outcome:
        try:
            block = raw if isinstance(raw, Block) else decode_block(raw)
        except Invalid as error:
            return Outcome(Verdict.INVALID, b"", rule=error.rule, why=error.why)
        row = self.store.header(block.id)
        if row is not None and row.status > Status.HEADER:
            return Outcome(Verdict.KNOWN, block.id)
        kept: tuple[bytes, ...] = ()
        branch = Branch()
        try:
            self._gathering.check_good(block.id)
            if row is None:
                if not self._gathering.extend(branch, block.raw_header, block.header, block.id, now_ms):
                    return self._orphan(block.raw_header, block.header, block.raw, True, source)
                branch.prove(self.params)
                if not is_enough(branch.rows[-1], self.tip):
                    return Outcome(Verdict.LITTLE, block.id)
                row = branch.rows[-1]
                kept = self._keep(branch.take())
        except Invalid as error:
            return self._refused(error, block.id, block.raw, True, source)
        try:
            check_body(block.header, block.txs)
        except Invalid as error:
            return Outcome(Verdict.MUTATED, block.id, rule=error.rule, why=error.why, headers=kept)
        try:
            # Of bytes that came whole this was looked at first. One that was put together here has no other body, so
            # its header is at fault.
            check_size(block.raw)
        except Invalid as error:
            self.active.mark(Fault(row, error))
            self.best = self.store.best_header()
            return Outcome(Verdict.INVALID, block.id, rule=error.rule, why=error.why, headers=kept)
        return attrs.evolve(self._whole(row, block, now_ms, given), headers=kept)

    def _whole(self, row: HeaderRow, block: Block, now_ms: int, given: Given) -> Outcome:
        """A block whose header and body are good so far."""
        self.store.put_block(row.id, block.raw)
        parent = self.store.header(row.parent)
        if parent is None or parent.status < Status.READY:
            self.store.put_headers((attrs.evolve(row, status=Status.BODY),))
            return Outcome(Verdict.BODY, row.id)
        given.blocks[row.id] = block
        ready = now_ready(self.store, row, self._seq)
        self._seq += len(ready)
        change, faults = self.active.advance(ready, now_ms, given)
        given.blocks.clear()
        if faults:
            self.best = self.store.best_header()
        self._prefer_tip()
        return self.active.told(row.id, change, faults)

    # --- what waits ---

    def _refused(self, error: Invalid, block: bytes, raw: bytes, body: bool, source: bytes) -> Outcome:
        """What breaks a rule, or has to wait for its time."""
        if error.rule is Rule.H9:
            header = decode_block(raw).header if body else decode_header(raw)
            self._held.add(Waiting(block, header.parent, header.time, raw, body, source))
            return Outcome(Verdict.HELD, block, rule=error.rule, why=error.why)
        return Outcome(Verdict.INVALID, block, rule=error.rule, why=error.why)

    def _orphan(self, raw_header: bytes, header: Header, raw: bytes, body: bool, source: bytes) -> Outcome:
        block = id_of(raw_header)
        self._orphans.add(Waiting(block, header.parent, header.time, raw, body, source))
        return Outcome(Verdict.ORPHAN, block, rule=Rule.H6, why=f"its parent {header.parent.hex()[:16]} is not known")

    def _again(self, one: Waiting, now_ms: int) -> Outcome:
        if one.body:
            return self._block(one.raw, now_ms, Given(), one.source)
        return self._line((one.raw,), now_ms, Branch(), True, one.source)

    def _followed(self, outcome: Outcome, now_ms: int) -> Outcome:
        """With what became of the orphans of headers that are kept now."""
        then: list[Outcome] = []
        queue = deque(one for block in outcome.headers for one in self._orphans.take(block))
        while queue:
            then.append(self._again(queue.popleft(), now_ms))
            queue.extend(child for block in then[-1].headers for child in self._orphans.take(block))
        return attrs.evolve(outcome, then=(*outcome.then, *then)) if then else outcome

    # --- the store ---

    def _transaction(self, work: Callable[[], _T]) -> _T:
        """All of it or nothing, whatever the disk says."""
        if self._is_unsure:
            self._load()
        before = self.active.tip, self.best, self._seq
        self.store.begin()
        try:
            result = work()
            self.store.commit()
        except BaseException:
            # What was before is right, unless it was the commit that failed. If nothing can be read now either, the
            # next transaction does it.
            self.active.tip, self.best, self._seq = before
            self._is_unsure = True
            self.store.rollback()
            self._load()
            raise
        return result

    def _load(self) -> None:
        self.active.tip, self.best, self._seq = tip_of(self.store), self.store.best_header(), self.store.last_seq()
        self._prefer_tip()
        self._is_unsure = False


def open_ledger(store: Store, params: Params, *, judge: Judge = nobody, verifier: Verifier = verify) -> Ledger:
    """On a store that is empty, or was used by this chain before; LocalError if by another one."""
    first = store.active(0)
    if first is None:
        write_first(store, params)
    elif first.id != params.genesis_id:
        raise LocalError(
            f"the store holds the chain that begins with {first.id.hex()[:16]}, "
            f"not the one of this network, {params.genesis_id.hex()[:16]}"
        )
    active = Active(store, params, judge, verifier, tip_of(store))
    ledger = Ledger(store, params, active, store.best_header(), store.last_seq())
    ledger._prefer_tip()
    ledger.trust_assumed()
    return ledger
