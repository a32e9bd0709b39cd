"""Recordings under any value, any cut and any bytes; and the storage of a replay beside that of a node."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from overlay.errors import BadMessage
from overlay.wire import cbor
from p2pnode.record import NotARecording, replay
from p2pnode.record.items import Tag, call_of
from p2pnode.record.plain import Unrecordable, decode, pack, unpack
from p2pnode.record.ports import MemoryStore, RecordedStorage, SeededEntropy
from p2pnode.record.tape import MAGIC, Writer, open_reader
from p2pnode.store import open_store
from tests.support.recording import Recorded
from tests.support.store_process import wait_for

LEAVES = (
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False)
    | st.binary(max_size=20) | st.text(st.characters(), max_size=10)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(LEAVES, inner, max_size=4),
    max_leaves=12,
)


def same(a: object, b: object) -> bool:
    """Equal, of the same types, dicts in the same order."""
    if type(a) is not type(b):
        return False
    match a, b:
        case (list(), list()) | (tuple(), tuple()):
            return len(a) == len(b) and all(map(same, a, b))
        case dict(), dict():
            return same([*a.items()], [*b.items()])
        case float(), float():
            return a == b and math.copysign(1, a) == math.copysign(1, b)
    return a == b


def depth(value: object) -> int:
    match value:
        case list() | tuple():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max((max(depth(key), depth(item)) for key, item in value.items()), default=0)
    return 0


@given(VALUES)
def test_a_value_is_read_back_exactly(value: object) -> None:
    try:
        packed = pack(value)
    except Unrecordable:
        assert depth(value) > 6
        return
    # As deep in an item as they ever are.
    assert same(unpack(decode(cbor.encode([Tag.DONE, [0, packed]]))[1][1]), value)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=10))
def test_an_input_is_what_it_was_or_bad(item: object) -> None:
    for tag in range(32):
        args = item if isinstance(item, list) else [item]
        try:
            method, _ = call_of(tag, args)
        except BadMessage:
            continue
        assert method.startswith(("handle_", "start"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("whole") / "a.rec"
    Recorded(file).live().close()
    return file.read_bytes()


def test_a_file_torn_at_any_byte_replays_up_to_there(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "torn.rec"
    file.write_bytes(whole)
    complete = replay(file)
    began = fed = 0
    # Every byte of the end, where inputs are; the store and the header before them are read as one.
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        if length % 13 and length < len(whole) - 250:
            continue
        try:
            verdict = replay(file)
        except NotARecording:
            assert began == 0, "once an input is whole, it can be replayed"
            continue
        began += 1
        assert (verdict.difference, verdict.ended) == (None, None)
        assert fed <= verdict.fed <= complete.fed
        assert (verdict.damage is None) == (length in _ends(whole))
        assert verdict.identical, "a node that was killed leaves that"
        fed = verdict.fed
    assert began > 50
    assert fed == complete.fed


def _ends(whole: bytes) -> set[int]:
    """Where frames end."""
    ends, at = set(), len(MAGIC)
    while at < len(whole):
        at += 8 + int.from_bytes(whole[at : at + 4], "big")
        ends.add(at)
    return ends


@given(st.data())
@settings(max_examples=60)
def test_a_changed_byte_is_noticed(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "changed.rec"
        file.write_bytes(changed)
        try:
            verdict = replay(file)
        except NotARecording:
            return
        assert verdict.damage is not None
        assert not verdict.identical


@given(st.lists(VALUES, max_size=5), st.binary(max_size=40))
def test_whole_items_that_no_recorder_wrote_are_told(items: list[object], tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "odd.rec"
        writer = Writer(file)
        for item in items:
            try:
                writer.append(cbor.encode(pack(item)))
            except Unrecordable:
                continue
        writer.append(tail)
        writer.flush()
        writer.close()
        with pytest.raises(NotARecording):
            replay(file)


@given(st.binary(max_size=80))
def test_a_reader_never_raises(tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "odd.rec"
        file.write_bytes(MAGIC + tail)
        reader = open_reader(file)
        list(reader)
        reader.close()
        assert (reader.damage is None) == (reader.at == len(MAGIC + tail))


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 200), max_size=8))
def test_a_seed_brings_the_same_bytes_back(seed: bytes, sizes: list[int]) -> None:
    one, other = SeededEntropy(seed), SeededEntropy(seed)
    drawn = [one(n) for n in sizes]
    assert [len(data) for data in drawn] == sizes
    assert [other(n) for n in sizes] == drawn
    long = [data for data in drawn if len(data) >= 16]
    assert len(set(long)) == len(long)


keys = st.lists(st.sampled_from([0, 1, 0x7F, 0xFE, 0xFF]), min_size=1, max_size=3).map(bytes)


class Storages(RuleBasedStateMachine):
    """A node's store, which writes to a file when it comes to it, and that of a replay, which has none."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="record-"))
        self.store = open_store(self.folder / "node.db", checkpoint_pages=4)
        self.node = RecordedStorage(self.store, lambda *_: None)
        self.replayed = RecordedStorage(MemoryStore(), lambda *_: None)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(key=keys, value=st.binary(max_size=3))
    def put(self, key: bytes, value: bytes) -> None:
        self.node.put(key, value)
        self.replayed.put(key, value)

    @rule(start=st.integers(0, 200))
    def put_many(self, start: int) -> None:
        # More than the first rows that a scan reads at once.
        for n in range(start, start + 80):
            self.put(b"\x01" + n.to_bytes(2, "big"), b"many")

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.node.delete(key)
        self.replayed.delete(key)

    @rule()
    def commit(self) -> None:
        """What the replay knows nothing of."""
        assert wait_for(self.store.commit) is None

    @rule()
    def flush(self) -> None:
        self.store.flush()

    @rule(prefix=st.just(b"") | keys, after=st.just(b"") | keys)
    def scan(self, prefix: bytes, after: bytes) -> None:
        assert list(self.node.scan(prefix, after=after)) == list(self.replayed.scan(prefix, after=after))

    @rule(
        prefix=st.just(b"") | st.just(b"\x01") | keys,
        writes=st.dictionaries(st.integers(0, 60), st.tuples(keys, st.none() | st.binary(max_size=2)), max_size=6),
        commit_at=st.none() | st.integers(0, 40),
    )
    def write_while_scanning(
        self, prefix: bytes, writes: dict[int, tuple[bytes, bytes | None]], commit_at: int | None
    ) -> None:
        """Both must show the same of what is written meanwhile, wherever the file is with it."""

        def seen(storage: RecordedStorage) -> Iterator[tuple[bytes, bytes]]:
            for number, pair in enumerate(storage.scan(prefix)):
                yield pair
                key, value = writes.get(number, (None, None))
                if key is not None and value is None:
                    storage.delete(key)
                elif key is not None and value is not None:
                    storage.put(key, value)
                if number == commit_at and storage is self.node:
                    wait_for(self.store.commit)

        assert list(seen(self.node)) == list(seen(self.replayed))

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        assert self.node.get(key) == self.replayed.get(key)

    @invariant()
    def same_content(self) -> None:
        assert list(self.node.scan(b"")) == list(self.replayed.scan(b""))


TestStorages = Storages.TestCase
TestStorages.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
