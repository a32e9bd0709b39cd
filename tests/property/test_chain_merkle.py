"""Trees over transactions against the definition of RFC 6962, as slow as it is written there."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core import merkle


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def audit(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*audit(index, leaves[:k]), mth(leaves[k:])]
    return [*audit(index - k, leaves[k:]), mth(leaves[:k])]


counts = st.integers(1, 40)


def data_of(count: int) -> list[bytes]:
    return [b"tx %d" % i for i in range(count)]


@given(st.integers(0, 70))
def test_the_root_is_that_of_the_rfc(count: int) -> None:
    data = data_of(count)
    assert merkle.root_of([merkle.leaf_of(d) for d in data]) == mth(data)


@given(counts, st.data())
def test_the_path_of_every_leaf_proves_it_and_no_changed_one_does(count: int, data: st.DataObject) -> None:
    raws = data_of(count)
    leaves = [merkle.leaf_of(raw) for raw in raws]
    index = data.draw(st.integers(0, count - 1))
    root, path, leaf = mth(raws), merkle.path_of(leaves, index), leaves[index]
    assert list(path) == audit(index, raws)
    assert merkle.proves(root, count, index, leaf, path)
    assert not merkle.proves(root, count, index, leaf, [*path, bytes(32)])
    assert not merkle.proves(root, count, index, leaf, [bytes(32), *path])
    if path:
        assert not merkle.proves(root, count, index, leaf, path[:-1])
        step, at, bit = (
            data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 31)), data.draw(st.integers(0, 7)),
        )  # fmt: skip
        flipped = path[step][:at] + bytes([path[step][at] ^ 1 << bit]) + path[step][at + 1 :]
        assert not merkle.proves(root, count, index, leaf, [*path[:step], flipped, *path[step + 1 :]])
    at = data.draw(st.integers(0, 31))
    assert not merkle.proves(root, count, index, leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :], path)
    others = [i for i in range(-1, count + 1) if i != index]
    assert not any(merkle.proves(root, count, other, leaf, path) for other in others)


def test_a_node_is_no_leaf_and_nothing_is_counted_twice() -> None:
    a, b, c = (merkle.leaf_of(d) for d in (b"a", b"b", b"c"))
    inner = merkle.root_of([a, b])
    assert merkle.root_of([a, b, c]) != merkle.root_of([a, b, c, c])
    assert merkle.leaf_of(a + b) != inner
    # A path that ends at an inner node has the wrong length for the number of leaves.
    assert merkle.proves(merkle.root_of([a, b, c]), 3, 2, c, [inner])
    assert not merkle.proves(merkle.root_of([a, b, c]), 3, 0, inner, [c])
    with pytest.raises(IndexError):
        merkle.path_of([a], 1)
