"""A store against a dict: whatever is written, committed, flushed, reopened or copied from under it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p2pnode.store import Store, open_store
from tests.support.store_process import wait_for

# Few letters, among them the ends of the byte range: prefixes meet, and 0xff has no successor.
keys = st.lists(st.sampled_from([0, 1, 0x7F, 0xFE, 0xFF]), min_size=1, max_size=3).map(bytes)
prefixes = st.one_of(st.just(b""), keys)
values = st.one_of(st.binary(max_size=3), st.just(bytes(2000)))


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-"))
        self.file = self.folder / "node.db"
        self.store = self._open()
        self.model: dict[bytes, bytes] = {}
        #: As the last answered commit left it; what came later and was not handed over is not on the disk.
        self.safe: dict[bytes, bytes] = {}
        #: Something was handed over since, and may be half on its way.
        self.is_moving = False

    def _open(self) -> Store:
        return open_store(self.file, checkpoint_pages=4)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(key=keys, value=values)
    def put(self, key: bytes, value: bytes) -> None:
        self.store.put(key, value)
        self.model[key] = value

    @rule(start=st.integers(0, 200))
    def put_many(self, start: int) -> None:
        # More than the first rows that a scan reads at once.
        for n in range(start, start + 80):
            self.put(b"\x01" + n.to_bytes(2, "big"), b"many")

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(prefix=prefixes, number=st.integers(1, 50))
    def delete_while_scanning(self, prefix: bytes, number: int) -> None:
        for n, (key, _) in enumerate(self.store.scan(prefix)):
            self.delete(key)
            if n == number:
                break

    @rule()
    def flush(self) -> None:
        self.store.flush()
        self.is_moving = True

    @rule()
    def commit(self) -> None:
        assert wait_for(self.store.commit) is None
        self.safe, self.is_moving = dict(self.model), False

    @rule()
    def sync(self) -> None:
        assert wait_for(self.store.sync) is None
        self.safe, self.is_moving = dict(self.model), False

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self._open()
        self.safe, self.is_moving = dict(self.model), False

    @rule()
    def crash(self) -> None:
        """What is on the disk now, opened elsewhere, is the last answered commit."""
        if self.is_moving:  # files must stand still to be copied
            self.commit()
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{self.file}{suffix}", f"{folder}/node.db{suffix}")
            copy = open_store(Path(folder) / "node.db")
            found = dict(copy.scan(b""))
            copy.close()
        assert found == self.safe

    @rule(prefix=prefixes, after=st.one_of(st.just(b""), keys))
    def scan(self, prefix: bytes, after: bytes) -> None:
        expected = sorted((k, v) for k, v in self.model.items() if k.startswith(prefix) and k > after)
        assert list(self.store.scan(prefix, after=after)) == expected

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        assert self.store.get(key) == self.model.get(key)

    @invariant()
    def all_is_there_in_order(self) -> None:
        assert list(self.store.scan(b"")) == sorted(self.model.items())


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
