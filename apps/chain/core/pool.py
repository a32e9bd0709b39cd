"""Transactions that wait for a block.

Of each account there is a line without gaps, from the nonce that comes next; what is behind a gap waits aside. Lines
are checked by the rules of a block (working.py) at the next height, each account by itself: what others may pay it does
not count yet. Who pays most for a byte is taken first; a full pool drops the end of a line, the one that pays least.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping

import attrs

from apps.chain.core.admission import Admission, Entry, full_of_better, rate_of
from apps.chain.core.amounts import credits_text
from apps.chain.core.gaps import Gaps
from apps.chain.core.judge import Judge, nobody
from apps.chain.core.limits import (
    FLOOR_HALF_LIFE_S,
    HEAD_BYTES,
    MAX_BLOCK_TXS,
    MAX_NONCE_AHEAD,
    MAX_POOL_PER_ACCOUNT,
    REPLACE_DENOMINATOR,
    REPLACE_NUMERATOR,
    ROOM_FOR_TXS,
)
from apps.chain.core.lines import Line, Lines
from apps.chain.core.outcome import Outcome
from apps.chain.core.params import Params
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.store import View
from apps.chain.core.tx import Tx, decode_tx
from apps.chain.core.working import Snapshot, Working
from overlay.identity.keys import Verifier, verify


@attrs.define(slots=True, eq=False)
class Pool:
    view: View
    params: Params
    judge: Judge = nobody
    verifier: Verifier = verify
    _lines: Lines = attrs.Factory(Lines)
    _gaps: Gaps = attrs.Factory(Gaps)
    #: What a full pool asked for last, and when.
    _floor: float = 0.0
    _floor_ms: int = 0

    def __len__(self) -> int:
        """Those in line."""
        return len(self._lines)

    def __iter__(self) -> Iterator[Tx]:
        return iter(self._lines.by_id.values())

    @property
    def size(self) -> int:
        """Bytes of those in line."""
        return self._lines.size

    @property
    def known(self) -> Mapping[bytes, Tx]:
        """For a ledger: bytes -> transaction ..."""
        return self._lines.by_raw

    @property
    def checked(self) -> Mapping[bytes, Tx]:
        """... and leaf -> transaction, all with good signatures."""
        return self._lines.by_leaf

    def get(self, txid: bytes) -> Tx | None:
        return self._lines.by_id.get(txid) or self._gaps.get(txid)

    def of(self, sender: bytes) -> tuple[Tx, ...]:
        line = self._lines.get(sender)
        return tuple(line.txs) if line else ()

    def next_nonce(self, sender: bytes) -> int:
        """Of what an account sends next."""
        return self._settled(sender).nonce(sender)

    def floor(self, now_ms: int) -> float:
        """Units for a byte that are asked for at least, beside what the rules ask for."""
        # A clock that was set back raises nothing: what was asked for last falls from then on.
        self._floor_ms = min(self._floor_ms, now_ms)
        return self._floor * 0.5 ** ((now_ms - self._floor_ms) / (1000 * FLOOR_HALF_LIFE_S)) if self._floor else 0.0

    def template(self) -> list[Tx]:
        """What the next block should hold, in this order: of all lines the head that pays most, again and again."""
        working = self._next_height()
        working.load(self)
        # No two ids are equal, so lines are never compared.
        heads = [(-rate_of(line.txs[0]), line.txs[0].txid, line, 0) for line in self._lines]
        heapq.heapify(heads)
        found: list[Tx] = []
        room = ROOM_FOR_TXS
        while heads and len(found) < MAX_BLOCK_TXS:
            _, _, line, at = heapq.heappop(heads)
            tx = line.txs[at]
            room -= len(tx.raw) + HEAD_BYTES
            if room < 0:
                room += len(tx.raw) + HEAD_BYTES
                continue
            try:
                # Each line is possible by itself; two may want one name, or record the same evidence.
                working.apply(tx, len(found))
            except Invalid:
                room += len(tx.raw) + HEAD_BYTES
                continue
            found.append(tx)
            for behind in line.txs[at + 1 : at + 2]:
                heapq.heappush(heads, (-rate_of(behind), behind.txid, line, at + 1))
        return found

    # --- one comes ---

    def add(self, raw: bytes | Tx, now_ms: int, *, signed: bool = False) -> Admission:
        """`signed`: its signature was found good elsewhere. Never raises, whatever the bytes."""
        txid = b""
        try:
            tx = decode_tx(raw, self.params.chain_id) if isinstance(raw, bytes) else raw
            txid = tx.txid
            return self._add(tx, now_ms, signed)
        except Invalid as error:
            return Admission(Entry.INVALID, txid, rule=error.rule, why=error.why)

    def _add(self, tx: Tx, now_ms: int, signed: bool) -> Admission:
        if self.get(tx.txid) is not None:
            return Admission(Entry.KNOWN, tx.txid)
        if rate_of(tx) < (floor := self.floor(now_ms)):
            asked = credits_text(math.ceil(floor * len(tx.raw)))
            why = f"a fee of {credits_text(tx.fee)} credits, asked are {asked} now"
            return Admission(Entry.REFUSED, tx.txid, why=why)
        working = self._settled(tx.sender)
        line = self._lines.get(tx.sender) or Line([], working)
        if tx.nonce > working.nonce(tx.sender):
            return self._add_gap(tx, working, signed)
        if line.txs and tx.nonce >= line.txs[0].nonce and tx.nonce < working.nonce(tx.sender):
            return self._replace(line, tx, now_ms, signed)
        if tx.nonce < working.nonce(tx.sender):
            raise Invalid(Rule.S2, f"nonce {tx.nonce} != {working.nonce(tx.sender)}")
        if len(line.txs) >= MAX_POOL_PER_ACCOUNT:
            return Admission(Entry.REFUSED, tx.txid, why=f"{len(line.txs)} of this account wait already")
        worst = self._lines.room(tx)
        if worst is None:
            return full_of_better(tx)
        working.load((tx,))
        self._check(tx, signed)
        working.apply(tx, 0)
        self._make_room(worst, now_ms)
        self._lines.enter(line, tx)
        return Admission(Entry.ADDED, tx.txid, dropped=tuple(worst), promoted=self._promote(tx.sender, now_ms))

    def _check(self, tx: Tx, signed: bool) -> None:
        if not signed and not self.verifier(tx.sender, tx.signed, tx.signature):
            raise Invalid(Rule.X7, "its sender did not sign it")

    def _replace(self, line: Line, tx: Tx, now_ms: int, signed: bool) -> Admission:
        at = tx.nonce - line.txs[0].nonce
        old = line.txs[at]
        least = old.fee * REPLACE_NUMERATOR // REPLACE_DENOMINATOR + 1
        if tx.fee < least:
            why = f"a fee of {credits_text(tx.fee)} credits, in place of another one at least {credits_text(least)}"
            return Admission(Entry.REFUSED, tx.txid, why=why)
        worst = self._lines.room(tx, old=old)
        if worst is None:
            return full_of_better(tx)
        self._check(tx, signed)
        # Those behind it may not be possible any more.
        working = self._next_height()
        kept = self._applied(working, [*line.txs[:at], tx])
        if len(kept) == at:
            working.apply(tx, 0)  # raises what is wrong with it
        behind = line.txs[at + 1 :]
        working.load(behind)
        dropped = [old, *self._append(working, kept, behind), *worst]
        self._make_room(worst, now_ms)
        self._lines.forget(tx.sender)
        line = Line([], working)
        for one in kept:
            self._lines.enter(line, one)
        return Admission(Entry.ADDED, tx.txid, dropped=tuple(dropped))

    def _add_gap(self, tx: Tx, working: Working, signed: bool) -> Admission:
        """`working`: the next height with the line of its account applied. A place aside costs nothing: it is for who
        has now what all of his there spend."""
        expected = working.nonce(tx.sender)
        if tx.nonce > expected + MAX_NONCE_AHEAD:
            raise Invalid(Rule.S2, f"nonce {tx.nonce}, {expected} comes next")
        if tx.last < working.height:
            raise Invalid(Rule.S1, f"valid from {tx.first} to {tx.last}, not at {working.height}")
        before = self._gaps.at(tx.sender, tx.nonce)
        if before is not None and tx.fee <= before.fee:
            return Admission(Entry.REFUSED, tx.txid, why="another one with this nonce waits and pays as much")
        has = working.balance(tx.sender) - self._gaps.spent(tx.sender) + (before.spent if before else 0)
        if tx.spent > has:
            raise Invalid(Rule.S3, f"spends {credits_text(tx.spent)} credits of {credits_text(max(has, 0))}")
        worst = self._gaps.in_the_way(tx)
        if worst is not None and rate_of(worst) >= rate_of(tx):
            return full_of_better(tx)
        self._check(tx, signed)
        return Admission(Entry.GAP, tx.txid, dropped=self._gaps.add(tx))

    def _promote(self, sender: bytes, now_ms: int) -> tuple[Tx, ...]:
        """What waited behind the gap that has just been filled."""
        promoted: list[Tx] = []
        while (tx := self._gaps.at(sender, self._settled(sender).nonce(sender))) is not None:
            self._gaps.drop(tx)
            admission = self.add(tx, now_ms, signed=True)
            if admission.entry is not Entry.ADDED:
                break
            promoted += (tx, *admission.promoted)
        return tuple(promoted)

    # --- the chain moves ---

    def update(self, outcome: Outcome, now_ms: int) -> list[Tx]:
        """After a ledger took something in: what is no longer possible is returned and gone. Transactions of blocks
        that were taken back wait again (F4)."""
        changes = [one for one in (outcome, *outcome.then) if one.connected or one.disconnected]
        if not changes:
            return []
        confirmed: set[bytes] = set()
        back: dict[bytes, Tx] = {}
        for one in changes:
            for step in one.disconnected:
                confirmed.difference_update(tx.txid for tx in step.txs)
                back.update({tx.txid: tx for tx in step.txs})
            for step in one.connected:
                confirmed.update(tx.txid for tx in step.txs)
        before = list(self)
        self._settle([*before, *(tx for txid, tx in back.items() if txid not in confirmed)])
        for tx in self._gaps.all():
            if self._gaps.get(tx.txid) is None:
                continue  # one before it brought it into line
            settled = self._settled(tx.sender)
            is_due = tx.nonce <= settled.nonce(tx.sender) or tx.last <= self.view.tip().height
            if is_due or self._gaps.spent(tx.sender) > settled.balance(tx.sender):
                self._gaps.drop(tx)
                self.add(tx, now_ms, signed=True)
        return [tx for tx in before if tx.txid not in self._lines.by_id and tx.txid not in confirmed]

    def _settle(self, txs: list[Tx]) -> None:
        """Makes all lines anew, of as many of these as are possible; of two with one nonce the first."""
        self._lines.clear()
        lines: dict[bytes, dict[int, Tx]] = {}
        for tx in txs:
            lines.setdefault(tx.sender, {}).setdefault(tx.nonce, tx)
        snapshot = Snapshot.of(self.view, txs)
        accounts = snapshot.accounts(lines.keys())
        height = self.view.tip().height + 1
        for sender, by_nonce in lines.items():
            nonce = accounts[sender].nonce if sender in accounts else 0
            working = Working(snapshot, self.params, height, self.judge)
            possible = [by_nonce[at] for at in sorted(by_nonce) if at >= nonce][:MAX_POOL_PER_ACCOUNT]
            line = Line([], working)
            for tx in self._applied(working, possible):
                self._lines.enter(line, tx)
        self._lines.drop_excess()  # blocks that were taken back may bring more than there is room for

    def _applied(self, working: Working, txs: list[Tx]) -> list[Tx]:
        """Applies as many of them as are possible, which are returned."""
        working.load(txs)
        kept: list[Tx] = []
        self._append(working, kept, txs)
        return kept

    def _append(self, working: Working, kept: list[Tx], txs: list[Tx]) -> list[Tx]:
        """Applies one after another until one is not possible; that and all behind it are returned."""
        for at, tx in enumerate(txs):
            try:
                working.apply(tx, 0)
            except Invalid:
                return txs[at:]
            kept.append(tx)
        return []

    def _settled(self, sender: bytes) -> Working:
        """The next height with the line of this account applied."""
        line = self._lines.get(sender)
        if line is None:
            working = self._next_height()
            working.load((), keys=(sender,))
            return working
        if line.working is None:
            line.working = self._next_height()
            self._applied(line.working, line.txs)
        return line.working

    def _next_height(self) -> Working:
        return Working(self.view, self.params, self.view.tip().height + 1, self.judge)

    def _make_room(self, worst: list[Tx], now_ms: int) -> None:
        for one in worst:
            self._lines.drop_end(one)
            self._floor, self._floor_ms = rate_of(one), now_ms
