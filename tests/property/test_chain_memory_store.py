"""What a transaction of the store in memory wrote is taken back whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import Account, ActiveRow, AnchorRow, EvidenceRow, HeaderRow, NameRow, Status, Touch, TxRow
from apps.chain.core.store import Store, Table, View
from overlay.errors import LocalError

small = st.integers(0, 3)
keys = st.sampled_from([b"a", b"b", b"c"])
anchors = st.builds(AnchorRow, keys, small, small, small, keys)
changes = st.one_of(
    st.tuples(st.just("put_accounts"), st.builds(Account, keys, small, small)),
    st.tuples(st.just("delete_accounts"), keys),
    st.tuples(st.just("put_names"), st.builds(NameRow, keys, keys, keys, small)),
    st.tuples(st.just("delete_names"), keys),
    st.tuples(st.sampled_from(["put_anchors", "delete_anchors"]), anchors),
    st.tuples(st.just("put_evidence"), st.builds(EvidenceRow, keys, keys, small, small, small)),
    st.tuples(st.just("delete_evidence"), keys),
    st.tuples(st.just("put_txs"), st.builds(TxRow, keys, small, small)),
    st.tuples(st.just("delete_txs"), keys),
    st.tuples(st.sampled_from(["put_touches", "delete_touches"]), st.builds(Touch, keys, small, small)),
)
some = st.lists(changes, max_size=12)


def apply(store: MemoryStore, found: list[tuple[str, object]]) -> None:
    for name, row in found:
        getattr(store, name)([row])


def content(store: View) -> dict[Table, list[tuple[object, ...]]]:
    return {table: list(store.rows(table)) for table in Table}


@given(some, some, some, some)
def test_rolled_back_is_as_never_written(a: list, b: list, c: list, d: list) -> None:  # type: ignore[type-arg]
    store, never = MemoryStore(), MemoryStore()
    store.begin()
    apply(store, a)
    store.commit()
    after_a = content(store)

    store.begin()
    apply(store, b)
    store.rollback()
    assert content(store) == after_a

    store.begin()
    apply(store, b)
    store.savepoint()
    apply(store, c)
    store.rollback_to()
    apply(store, d)
    store.release()
    store.commit()
    never.begin()
    apply(never, [*a, *b, *d])
    never.commit()
    assert content(store) == content(never)


def header(number: int, parent: int) -> HeaderRow:
    return HeaderRow(
        bytes([number]), number, bytes([parent]), number, 0, 1, 256, 0, b"", b"", Status.HEADER, number, 0
    )


def test_headers_are_found_by_parent_and_height_and_rolled_back() -> None:
    store: Store = MemoryStore()
    store.begin()
    store.put_headers([header(1, 0), header(2, 1)])
    store.commit()
    store.begin()
    store.put_headers([header(3, 2)])
    store.set_status([b"\2"], Status.INVALID, why="S2: why")
    assert [row.id for row in store.children(b"\2")] == [b"\3"]
    assert store.best_header().id == b"\3"
    store.rollback()
    assert store.children(b"\2") == []
    assert store.at_height(3) == []
    assert store.header(b"\2") == header(2, 1)
    assert (store.best_header().id, store.last_seq(), store.ids(b"", limit=1)) == (b"\2", 2, [b"\1"])


def test_touches_come_newest_first_in_pages() -> None:
    store = MemoryStore()
    store.begin()
    store.put_touches([Touch(b"k", height, pos) for height in (1, 2) for pos in (0, 1)])
    assert store.touches(b"k", limit=3) == [Touch(b"k", 2, 1), Touch(b"k", 2, 0), Touch(b"k", 1, 1)]
    assert store.touches(b"k", before=(1, 1), limit=3) == [Touch(b"k", 1, 0)]


def test_nothing_is_written_outside_a_transaction() -> None:
    store = MemoryStore()
    with pytest.raises(LocalError, match="no transaction"):
        store.put_accounts([Account(b"a", 1, 1)])
    store.begin()
    with pytest.raises(LocalError, match="open already"):
        store.begin()
    with pytest.raises(LocalError, match="not the next"):
        store.push_active(ActiveRow(1, b"", 0, 0, b"", 0, 0, 0, 0))
