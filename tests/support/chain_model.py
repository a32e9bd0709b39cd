"""A chain in plain Python, one state for each block, to compare a ledger with; and histories that know their state.

A generator that guesses transactions hardly ever makes a valid one after a reorg, and misses an undo that forgets the
nonce. Here every block is made from the state of its own parent, on whatever branch that is.
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import attrs
from hypothesis import strategies as st

from apps.chain.core import state
from apps.chain.core.block import Block, decode_txs
from apps.chain.core.ledger import Ledger, open_ledger
from apps.chain.core.limits import CREDIT
from apps.chain.core.memory import MemoryStore
from apps.chain.core.operations import Anchor, Evidence, Operation, SetName
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import simulated
from apps.chain.core.state import digest_of, supply_of
from apps.chain.core.store import Table
from apps.chain.core.tx import decode_tx
from tests.support.chains import NETWORK, Maker, key_of, pay

PARAMS = simulated(NETWORK, maturity=2, name_life=3)
WHO = ("anna", "bert", "carl", "dora", "emil")
NAMES = (b"cam-1", b"lamp")
FAULTS = ("nonce", "funds", "name", "signature")
FEE = 10_000


def judge(evidence: bytes) -> bytes | None:
    """Convicts whoever is named: 32 bytes behind a tag."""
    return evidence[1:33] if evidence[:1] == b"!" else None


@attrs.define
class Model:
    """What is so after a block."""

    height: int = 0
    #: key -> [balance, nonce]
    accounts: dict[bytes, list[int]] = attrs.Factory(dict)
    #: name -> (owner, value, expires)
    names: dict[bytes, tuple[bytes, bytes, int]] = attrs.Factory(dict)
    anchors: set[tuple[Any, ...]] = attrs.Factory(set)
    evidence: set[tuple[Any, ...]] = attrs.Factory(set)
    txs: set[tuple[Any, ...]] = attrs.Factory(set)
    touches: set[tuple[Any, ...]] = attrs.Factory(set)
    #: Whether there is a bad transaction in this block, or in one before it.
    bad: bool = False
    #: (miner, fees) of every height from 1.
    mined: list[tuple[bytes, int]] = attrs.Factory(list)

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        match table:
            case Table.ACCOUNTS:
                return sorted((key, *pair) for key, pair in self.accounts.items())
            case Table.NAMES:
                return sorted((name, *row) for name, row in self.names.items())
        return sorted(getattr(self, table.value))

    def balance(self, key: bytes) -> int:
        return self.accounts.get(key, [0, 0])[0]


#: What somebody wants in a block: who, what, and two numbers for the rest. It is done if it can be.
wishes = st.tuples(st.integers(0, 4), st.sampled_from(["pay", "anchor", "name", "release", "evidence", "both"]),
                   st.integers(0, 5), st.integers(1, 9))  # fmt: skip
steps = st.tuples(
    st.integers(0, 3),  # on which of the newest blocks
    st.integers(0, 4),  # who mines
    st.integers(1, 200),  # after so many seconds
    st.sampled_from([None] * 24 + [*FAULTS]),
    st.lists(wishes, min_size=1, max_size=5),
)
histories = st.lists(steps, min_size=8, max_size=30)
Step = tuple[int, int, int, str | None, list[tuple[int, str, int, int]]]


@attrs.define(slots=True, eq=False)
class History:
    """Blocks on many branches, each with the state behind it; a ledger that they are offered to."""

    make: Maker = attrs.field(factory=lambda: Maker(PARAMS))
    store: MemoryStore = attrs.field(factory=MemoryStore)
    ledger: Ledger = attrs.field(init=False)
    #: id -> state, in the order in which they were made.
    models: dict[bytes, Model] = attrs.field(init=False)
    blocks: list[Block] = attrs.field(factory=list)
    disconnects: int = 0

    def __attrs_post_init__(self) -> None:
        self.ledger = open_ledger(self.store, PARAMS, judge=judge)
        self.models = {PARAMS.genesis_id: Model()}
        for at in range(len(WHO) + PARAMS.maturity):  # so that everybody has something
            self.offer(*self.made(self.blocks[-1].id if at else PARAMS.genesis_id, WHO[at % len(WHO)], 15, None, []))

    def run(self, found: list[Step]) -> None:
        """P2, P4 and P5 after every block, P1 at the end."""
        for back, miner, after_s, fault, wanted in found:
            parent = self.blocks[-1 - min(back, len(self.blocks) - 1)].id
            self.offer(*self.made(parent, WHO[miner], after_s, fault, wanted))
            self.compare()
        assert digest_of(self.store) == self.replayed()

    def made(
        self, parent: bytes, miner: str, after_s: int, fault: str | None, wanted: list[tuple[int, str, int, int]]
    ) -> tuple[Block, Model]:
        """A block, and the state behind it."""
        model = copy.deepcopy(self.models[parent])
        model.height += 1
        txs: list[bytes] = []
        fees = 0
        for who, what, one, two in wanted:
            fees += self._wish(model, txs, WHO[who], what, one, two)
        bad = self._fault(model, fault) if fault else None
        if bad is not None:
            txs.append(bad)
            model.bad = True
        model.mined.append((key_of(miner).key, fees))
        if model.height > PARAMS.maturity:
            key, mature = model.mined[model.height - PARAMS.maturity - 1]
            model.accounts.setdefault(key, [0, 0])[0] += PARAMS.subsidy + mature
        block = self.make.block(parent, txs, miner=miner, after_s=after_s, extra=len(self.blocks).to_bytes(2, "big"))
        return block, model

    def _wish(self, model: Model, txs: list[bytes], who: str, what: str, one: int, two: int) -> int:
        """Appends a transaction if this can be done; its fee."""
        key = key_of(who).key
        fee = FEE + two
        operations: list[Operation] = []
        if what in ("pay", "both"):
            # Somebody new now and then.
            to = WHO[one] if one < len(WHO) else f"new {model.height} {two}"
            operations.append(pay(to, 1_000_000 * two))
        if what in ("anchor", "both"):
            operations.append(Anchor(hashlib.sha256(bytes([one])).digest(), tag=bytes([two])))
        if what == "evidence":
            proof = b"!" + key_of(WHO[one % 5]).key + bytes([two])
            if any(row[0] == hashlib.sha256(proof).digest() for row in model.evidence):
                return 0
            operations.append(Evidence(proof))
        if what in ("name", "release"):
            name = NAMES[one % 2]
            owner, _, expires = model.names.get(name, (b"", b"", 0))
            own, free = owner == key and model.height < expires, model.height >= expires
            if not own and (what == "release" or not free):
                return 0
            operations.append(SetName(name, b"" if what == "release" else bytes([two])))
            fee += 0 if own else CREDIT
        spent = fee + sum(operation.amount for operation in operations if hasattr(operation, "amount"))
        if model.balance(key) < spent:
            return 0
        raw = self.make.tx(who, *operations, nonce=model.accounts[key][1], fee=fee)
        self._apply(model, len(txs), raw, key, operations, spent)
        txs.append(raw)
        return fee

    def _apply(
        self, model: Model, pos: int, raw: bytes, key: bytes, operations: list[Operation], spent: int
    ) -> None:
        height = model.height
        model.accounts[key][0] -= spent
        model.accounts[key][1] += 1
        model.txs.add((decode_tx(raw, PARAMS.chain_id).txid, height, pos))
        model.touches.add((key, height, pos))
        for at, operation in enumerate(operations):
            match operation:
                case Anchor(digest, tag=tag):
                    model.anchors.add((digest, height, pos, at, tag))
                case SetName(name, b""):
                    del model.names[name]
                case SetName(name, value):
                    model.names[name] = (key, value, height + PARAMS.name_life)
                case Evidence(proof):
                    model.evidence.add((hashlib.sha256(proof).digest(), proof[1:33], height, pos, at))
                case _:
                    model.accounts.setdefault(operation.to, [0, 0])[0] += operation.amount
                    model.touches.add((operation.to, height, pos))

    def _fault(self, model: Model, fault: str) -> bytes | None:
        """A transaction that cannot be here, by somebody who could pay for it."""
        rich = next((who for who in WHO if model.balance(key_of(who).key) > 3 * CREDIT), None)
        if rich is None:
            return None
        balance, nonce = model.accounts[key_of(rich).key]
        match fault:
            case "nonce":
                return self.make.tx(rich, pay("anna", 1), nonce=nonce + 1)
            case "funds":
                return self.make.tx(rich, pay("anna", balance - FEE + 1), nonce=nonce)
            case "name":
                return self.make.tx(rich, SetName(b"nobody-s", b""), nonce=nonce, fee=2 * CREDIT)
            case _:
                raw = self.make.tx(rich, pay("anna", 1), nonce=nonce)
                return raw[:-1] + bytes([raw[-1] ^ 1])

    def offer(self, block: Block, model: Model) -> None:
        before = {table: list(self.store.rows(table)) for table in Table}
        outcome = self.ledger.accept_block(block, block.header.time * 1000)
        self.blocks.append(block)
        self.disconnects += len(outcome.disconnected)
        self.models[block.id] = model
        # Of a block that was turned away the ledger keeps no header, so what is built on that has no parent.
        if model.bad:
            assert outcome.verdict in (Verdict.SIDE, Verdict.INVALID, Verdict.ORPHAN), outcome
        else:
            assert outcome.verdict in (Verdict.SIDE, Verdict.TIP), outcome
        if outcome.connected and not outcome.disconnected:
            self.taken_back(block, before)

    def taken_back(self, block: Block, before: dict[Table, list[tuple[Any, ...]]]) -> None:
        """P4."""
        self.store.begin()
        state.disconnect(self.store, decode_txs(block.txs, PARAMS.chain_id))
        assert {table: list(self.store.rows(table)) for table in Table} == before
        self.store.rollback()

    def compare(self) -> None:
        """P2 and P5."""
        tip = self.ledger.tip
        assert self.store.tip().id == tip.id
        model = self.models[tip.id]
        assert not model.bad
        assert tip.work == max(
            row.work for block in self.blocks
            if not self.models[block.id].bad and (row := self.store.header(block.id)) is not None
        )  # fmt: skip
        for table in Table:
            if table is not Table.ACTIVE:
                assert list(self.store.rows(table)) == model.rows(table), table
        balances = sum(pair[0] for pair in model.accounts.values())
        assert balances == supply_of(PARAMS, self.store)
        assert [(row.miner, row.fees) for row in self.store.actives(1, tip.height)] == model.mined

    def replayed(self) -> bytes:
        """P1: the digest of the chain that counts, on an empty store."""
        store = MemoryStore()
        ledger = open_ledger(store, PARAMS, judge=judge)
        for row in self.store.actives(1, self.ledger.tip.height):
            raw = self.store.block(row.id)
            assert raw is not None
            assert ledger.accept_block(raw, row.time * 1000).verdict is Verdict.TIP
        return digest_of(store)

    def delivered(self, order: list[Block]) -> Ledger:
        """P3: a ledger that got the same blocks in another order."""
        ledger = open_ledger(MemoryStore(), PARAMS, judge=judge)
        now_ms = max(block.header.time for block in self.blocks) * 1000
        for block in order:
            ledger.accept_block(block, now_ms)
        return ledger
