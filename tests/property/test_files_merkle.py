"""Trees of BEP 52 against a slow plain reference that hashes the whole padded tree."""

from __future__ import annotations

import hashlib
import itertools
import random
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apps.files.core import merkle
from apps.files.core.limits import LEAF_BYTES
from overlay.errors import BadMessage

SIZES = [1, 16383, 16384, 16385, 32768, 32769, 49152, 65536, 65537, 100_000, 262_144, 262_145, 700_001, 1_310_720]


@cache
def content(length: int) -> bytes:
    return hashlib.shake_128(length.to_bytes(8, "big")).digest(length)


@cache
def reference(length: int) -> tuple[tuple[bytes, ...], ...]:
    """All levels with all padding, as the text of BEP 52 has it."""
    data = content(length)
    level = [hashlib.sha256(data[i : i + 16384]).digest() for i in range(0, length, 16384)]
    while len(level) & len(level) - 1:
        level.append(bytes(32))
    levels = [tuple(level)]
    while len(level) > 1:
        level = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
        levels.append(tuple(level))
    return tuple(levels)


def layer(length: int, height: int) -> bytes:
    size = LEAF_BYTES << height
    data = content(length)
    return b"".join(merkle.hash_unit(data[i : i + size], height) for i in range(0, length, size))


sizes = st.sampled_from(SIZES) | st.integers(1, 40 * LEAF_BYTES)


@given(sizes, st.integers(0, 6))
def test_every_node_is_that_of_the_reference(length: int, base: int) -> None:
    base = min(base, merkle.tree_height(length))
    levels = reference(length)
    tree = merkle.make_tree(layer(length, base), length, base)
    assert tree.root == levels[-1][0] == merkle.root_of_layer(layer(length, base), length, base)
    assert tree.height == len(levels) - 1
    for height in range(base, tree.height + 1):
        assert tuple(tree.node(height, i) for i in range(len(levels[height]))) == levels[height]
    assert merkle.hash_units(content(length), base) == layer(length, base)


@given(sizes, st.integers(0, 5))
def test_zeros_are_known_without_being_looked_at(length: int, height: int) -> None:
    assert merkle.zero_units(length, height) == merkle.hash_units(bytes(length), height)
    assert merkle.ZERO[height] == merkle.hash_unit(bytes(LEAF_BYTES << height), height)


@given(st.integers(1, 20_000), st.integers(0, 4), st.lists(st.integers(0, 9_000), max_size=4), st.integers(0, 2**32))
@settings(max_examples=30)
def test_a_root_is_the_same_of_a_layer_that_comes_bit_by_bit(
    count: int, height: int, cuts: list[int], seed: int
) -> None:
    nodes, length = random.Random(seed).randbytes(32 * count), count * (LEAF_BYTES << height)
    root, ends = merkle.Root(length, height), sorted(32 * min(cut, count) for cut in cuts)
    for start, end in itertools.pairwise([0, *ends, len(nodes)]):
        root.add(nodes[start:end])
    assert root.root() == merkle.root_of_layer(nodes, length, height)
    root.add(bytes(32))
    with pytest.raises(BadMessage):
        root.root()


@given(sizes, st.integers(0, 4), st.integers(0, 2**32), st.data())
def test_a_proof_proves_its_unit_and_nothing_else(length: int, base: int, index: int, data: st.DataObject) -> None:
    base = min(base, merkle.tree_height(length))
    count = merkle.nodes_at(length, base)
    index %= count
    tree = merkle.make_tree(layer(length, base), length, base)
    size = LEAF_BYTES << base
    unit, uncles = content(length)[index * size : (index + 1) * size], tree.uncles(base, index)
    assert merkle.unit_is_good(unit, tree.root, length, base, index, uncles)

    flipped = bytearray(unit)
    flipped[data.draw(st.integers(0, len(unit) - 1))] ^= 1
    assert not merkle.unit_is_good(bytes(flipped), tree.root, length, base, index, uncles)
    assert not merkle.unit_is_good(unit[:-1], tree.root, length, base, index, uncles)
    assert not merkle.unit_is_good(unit + b"\0", tree.root, length, base, index, uncles)
    assert not merkle.unit_is_good(unit, bytes(32), length, base, index, uncles)
    assert not merkle.unit_is_good(unit, tree.root, length, base, index, uncles + bytes(32))
    for other in (-1, index + 1, index - 1, index + count, index ^ 1 << 40):
        assert not merkle.unit_is_good(unit, tree.root, length, base, other, uncles)
    if uncles:
        assert not merkle.unit_is_good(unit, tree.root, length, base, index, uncles[:-1])
        assert not merkle.unit_is_good(unit, tree.root, length, base, index, uncles[:-32])
        torn = bytearray(uncles)
        torn[data.draw(st.integers(0, len(uncles) - 1))] ^= 0x80
        assert not merkle.unit_is_good(unit, tree.root, length, base, index, bytes(torn))


def test_the_last_leaf_is_not_filled_up_and_missing_leaves_are_zeros() -> None:
    data = bytes(LEAF_BYTES + 1)
    left, right = hashlib.sha256(bytes(LEAF_BYTES)).digest(), hashlib.sha256(b"\0").digest()
    assert merkle.hash_unit(data, 1) == hashlib.sha256(left + right).digest()
    padding = hashlib.sha256(bytes(64)).digest()
    assert merkle.hash_unit(data, 2) == hashlib.sha256(hashlib.sha256(left + right).digest() + padding).digest()
    assert merkle.PAD[1] == padding


def test_the_root_of_one_leaf_is_its_hash() -> None:
    assert merkle.hash_unit(b"abc", merkle.tree_height(3)) == hashlib.sha256(b"abc").digest()


def test_two_nodes_of_64_bytes_are_no_file_of_another_length() -> None:
    """BEP 52 does not tell leaves from nodes: these 64 bytes have the root of a file of two leaves."""
    length = LEAF_BYTES + 1
    left, right = reference(length)[0]
    root = reference(length)[-1][0]
    assert merkle.hash_unit(left + right, 0) == root
    assert not merkle.unit_is_good(left + right, root, length, 0, 0, b"")
    assert not merkle.unit_is_good(left + right, root, length, 1, 0, b"")
    # With its own length it is another file of the same root, which is why ids hold the length.
    assert merkle.unit_is_good(left + right, root, 64, 0, 0, b"")


def test_a_layer_of_another_length_is_refused() -> None:
    good = layer(700_001, 2)
    for bad in (b"", good[:-1], good[:-32], good + bytes(32)):
        with pytest.raises(BadMessage):
            merkle.root_of_layer(bad, 700_001, 2)
        with pytest.raises(BadMessage):
            merkle.make_tree(bad, 700_001, 2)
    for length, height in ((0, 0), (-1, 0), (1, 1)):
        with pytest.raises(BadMessage):
            merkle.root_of_layer(bytes(32), length, height)


# --- hash requests -------------------------------------------------------------------------


@given(sizes, st.integers(0, 3), st.integers(0, 7), st.integers(0, 80), st.data())
def test_an_answer_to_a_hash_request_is_what_the_bep_says(
    length: int, base: int, above: int, start: int, data: st.DataObject
) -> None:
    height = merkle.tree_height(length)
    base = min(base, height)
    tree = merkle.make_tree(layer(length, base), length, base)
    count = 1 << min(above, height - base)
    index = start % merkle.nodes_at(length, base) // count * count
    proofs = data.draw(st.integers(0, max(height - base - 1, 0)))

    answer = merkle.answer_hashes(tree, base, index, count, proofs)
    if base == height:
        assert answer is None
        return
    levels = reference(length)
    expected = list(levels[base][index : index + count])
    expected += [levels[base + h][(index >> h) ^ 1] for h in range(count.bit_length() - 1, proofs + 1)]
    assert answer == b"".join(expected)

    whole = merkle.answer_hashes(tree, base, index, count, height - base - 1)
    assert whole is not None
    real = levels[base][index : min(index + count, merkle.nodes_at(length, base))]
    assert merkle.decode_hashes(tree.root, length, base, index, count, whole) == b"".join(real)
    at = data.draw(st.integers(0, len(whole) - 1))
    torn = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for bad in (torn, whole[:-1], whole[:-32], whole + bytes(32)):
        with pytest.raises(BadMessage):
            merkle.decode_hashes(tree.root, length, base, index, count, bad)


@given(*[st.integers(-3, 70) for _ in range(4)], sizes)
def test_no_hash_request_does_harm(base: int, index: int, count: int, proofs: int, length: int) -> None:
    tree = merkle.make_tree(layer(length, 0), length, 0)
    answer = merkle.answer_hashes(tree, base, index, count, proofs)
    assert answer is None or len(answer) <= 32 * (count + proofs + 1)


def test_a_single_last_hash_comes_with_uncles_from_its_own_level() -> None:
    """libtorrent asks for it where a layer has an odd number, and waits for ever without its uncles."""
    tree = merkle.make_tree(layer(16384 * 5, 0), 16384 * 5, 0)
    answer = merkle.answer_hashes(tree, 0, 4, 1, 2)
    assert answer is not None
    assert [answer[i : i + 32] for i in range(0, len(answer), 32)] == [
        tree.node(0, 4), tree.node(0, 5), tree.node(1, 3), tree.node(2, 0)
    ]  # fmt: skip


@given(st.binary(max_size=200), sizes, st.integers(-1, 8), st.integers(-1, 20), st.integers(-1, 20))
def test_any_bytes_as_hashes_are_a_bad_message(data: bytes, length: int, base: int, index: int, count: int) -> None:
    assume(len(data) % 32 or count)
    with pytest.raises(BadMessage):
        merkle.decode_hashes(bytes(32), length, base, index, count, data)
