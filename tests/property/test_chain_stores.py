"""The stores in memory and in sqlite3 obey one contract: whatever is written, taken back or reopened, both agree."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import attrs
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apps.chain.core.limits import MAX_DIFFICULTY, MAX_NUMBER
from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import (
    Account,
    ActiveRow,
    AnchorRow,
    EvidenceRow,
    HeaderRow,
    NameRow,
    Reorg,
    Status,
    Touch,
    TxRow,
)
from apps.chain.core.store import Store
from apps.chain.shell.store import open_store
from apps.chain.shell.view import open_view
from tests.support.chain_rows import KEYS, PLACES, answers
from tests.support.failing_vfs import FailingDisk

# Few of each, so that rows meet; among them the ends of every range.
keys = st.sampled_from(KEYS)
#: A row with another name is damage: no rule lets one be claimed.
names = st.sampled_from([key for key in KEYS if key.isascii()])
numbers = st.sampled_from([0, 1, 2, MAX_NUMBER - 1])
heights = st.integers(0, 4)
texts = st.sampled_from(["", "S2: nonce 12 != 13 (transaction 3)", "ä\0\n"])
blobs = st.sampled_from([b"", b"\0", b"x" * 5_000])
anchors = st.builds(AnchorRow, keys, heights, heights, heights, blobs)
touches = st.builds(Touch, keys, heights, heights)
ROWS: dict[str, st.SearchStrategy[Any]] = {
    "put_accounts": st.builds(Account, keys, numbers, numbers),
    "delete_accounts": keys,
    "put_names": st.builds(NameRow, names, keys, blobs, numbers),
    "delete_names": keys,
    "put_anchors": anchors,
    "delete_anchors": anchors,
    "put_evidence": st.builds(EvidenceRow, keys, keys, heights, heights, heights),
    "delete_evidence": keys,
    "put_txs": st.builds(TxRow, keys, heights, heights),
    "delete_txs": keys,
    "put_touches": touches,
    "delete_touches": touches,
}
batches = st.one_of([st.tuples(st.just(name), st.lists(rows, max_size=6)) for name, rows in ROWS.items()])
headers = st.builds(
    lambda key, *rest, **more: HeaderRow(key, *PLACES[key], *rest, **more),
    keys, st.sampled_from([0, 1, 255, 256, 1 << 255]), numbers, numbers, st.sampled_from([256, MAX_DIFFICULTY]),
    numbers, keys, blobs, st.sampled_from(Status), numbers, numbers, trusted=st.booleans(), why=texts,
)  # fmt: skip
reorgs = st.builds(Reorg, numbers, heights, keys, heights, keys, heights)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="chain-"))
        self.disk = FailingDisk()
        self.disk.__enter__()
        self.file = self.folder / "chain.db"
        self.sqlite = open_store(self.file)
        self.memory = MemoryStore()
        self.both: tuple[Store, Store] = self.memory, self.sqlite
        #: Answers before the transaction and at the savepoint.
        self.before: dict[str, Any] | None = None
        self.saved: dict[str, Any] | None = None

    def teardown(self) -> None:
        self.sqlite.close()
        self.disk.__exit__()
        shutil.rmtree(self.folder)

    def is_open(self) -> bool:
        return self.before is not None

    def is_saved(self) -> bool:
        return self.saved is not None

    # --- transactions ---

    @precondition(lambda self: not self.is_open())
    @rule()
    def begin(self) -> None:
        self.before = answers(self.memory)
        for store in self.both:
            store.begin()

    @precondition(is_open)
    @rule()
    def commit(self) -> None:
        for store in self.both:
            store.commit()
        self.before = self.saved = None

    @precondition(is_open)
    @rule()
    def rollback(self) -> None:
        for store in self.both:
            store.rollback()
        assert answers(self.sqlite) == self.before
        self.before = self.saved = None

    @precondition(lambda self: self.is_open() and not self.is_saved())
    @rule()
    def savepoint(self) -> None:
        for store in self.both:
            store.savepoint()
        self.saved = answers(self.memory)

    @precondition(is_saved)
    @rule()
    def rollback_to(self) -> None:
        for store in self.both:
            store.rollback_to()
        assert answers(self.sqlite) == self.saved

    @precondition(is_saved)
    @rule()
    def release(self) -> None:
        for store in self.both:
            store.release()
        self.saved = None

    # --- writes ---

    @precondition(is_open)
    @rule(batch=batches)
    def write(self, batch: tuple[str, list[Any]]) -> None:
        for store in self.both:
            getattr(store, batch[0])(batch[1])

    @precondition(is_open)
    @rule(rows=st.lists(headers, max_size=3))
    def put_headers(self, rows: list[HeaderRow]) -> None:
        for store in self.both:
            store.put_headers(rows)

    @precondition(is_open)
    @rule(status=st.sampled_from(Status), why=texts, number=st.integers(0, 5))
    def set_status(self, status: Status, why: str, number: int) -> None:
        for store in self.both:
            store.set_status(self.memory.ids(b"", limit=number), status, why=why)

    @precondition(is_open)
    @rule(key=keys, raw=blobs, is_undo=st.booleans())
    def put_body(self, key: bytes, raw: bytes, is_undo: bool) -> None:
        if self.memory.header(key) is not None:
            for store in self.both:
                (store.put_undo if is_undo else store.put_block)(key, raw)

    @precondition(is_open)
    @rule(blocks=st.lists(keys, max_size=3))
    def delete_bodies(self, blocks: list[bytes]) -> None:
        for store in self.both:
            store.delete_bodies(blocks)

    @precondition(is_open)
    @rule(height=heights)
    def forget_below(self, height: int) -> None:
        height = max(height, self.memory.kept_from())
        for store in self.both:
            store.forget_below(height)

    @precondition(is_open)
    @rule(reorg=reorgs, times=st.sampled_from([1, 999]))
    def add_reorg(self, reorg: Reorg, times: int) -> None:
        for at in range(times):
            for store in self.both:
                store.add_reorg(attrs.evolve(reorg, fork=at))

    @precondition(is_open)
    @rule(key=keys, number=numbers, difficulty=st.sampled_from([256, MAX_DIFFICULTY]))
    def push_active(self, key: bytes, number: int, difficulty: int) -> None:
        height = len(self.memory.actives(0, 100))
        row = ActiveRow(height, key, number, difficulty, key, number, number, number, number)
        for store in self.both:
            store.push_active(row)

    @precondition(is_open)
    @rule()
    def pop_active(self) -> None:
        for store in self.both:
            store.pop_active()

    # --- what other processes see, and what is left ---

    @rule()
    def look_from_outside(self) -> None:
        with open_view(self.file) as view:
            assert answers(view) == (answers(self.memory) if self.before is None else self.before)

    @precondition(lambda self: not self.is_open())
    @rule(each=st.sampled_from([1, 64]))
    def reopen(self, each: int) -> None:
        self.sqlite.close()
        self.sqlite = open_store(self.file)
        self.sqlite.sync_each(each)
        self.both = self.memory, self.sqlite

    @precondition(lambda self: not self.is_open())
    @rule()
    def crash(self) -> None:
        """What is on the disk now, opened elsewhere."""
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{self.file}{suffix}", f"{folder}/chain.db{suffix}")
            copy = open_store(Path(folder) / "chain.db")
            found = answers(copy)
            copy.close()
        assert found == answers(self.memory)

    @invariant()
    def both_agree(self) -> None:
        assert answers(self.sqlite) == answers(self.memory)


TestStores = StoreMachine.TestCase
# Not made smaller: each step asks everything twice, and would take minutes.
TestStores.settings = settings(max_examples=20, stateful_step_count=40, phases=[Phase.explicit, Phase.generate])
