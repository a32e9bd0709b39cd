"""The codec under any input: read back what was written, refuse every other encoding of it."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage
from overlay.wire import cbor

INTS = st.integers(-(1 << 64), (1 << 64) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LEAVES = st.none() | st.booleans() | INTS | st.binary(max_size=30) | TEXT
KEYS = INTS | st.binary(max_size=10) | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
).filter(lambda value: depth(value) <= 8)


def depth(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case _:
            return 0


def same(a: object, b: object) -> bool:
    """Equal, and of the same types: True is not 1."""
    match a, b:
        case list(), list():
            return len(a) == len(b) and all(map(same, a, b))
        case dict(), dict():
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        case _:
            return type(a) is type(b) and a == b


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert same(cbor.decode(cbor.encode(value)), value)


@given(VALUES)
def test_another_library_reads_the_same(value: object) -> None:
    assert cbor2.loads(cbor.encode(value)) == value


@given(st.dictionaries(KEYS, INTS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_insertion_does_not_matter(value: dict[object, int], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)  # type: ignore[attr-defined]

    assert cbor.encode(dict(items)) == cbor.encode(value)


def assert_one_encoding(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except BadMessage:
        return
    assert cbor.encode(value) == data


@given(st.binary(max_size=60))
def test_any_bytes_are_the_one_encoding_or_a_bad_message(data: bytes) -> None:
    assert_one_encoding(data)


@given(VALUES, st.data())
def test_changed_bytes_are_the_one_encoding_or_a_bad_message(value: object, data: st.DataObject) -> None:
    encoded = bytearray(cbor.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded)))
        encoded[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))

    assert_one_encoding(bytes(encoded))


@given(VALUES)
def test_no_beginning_of_an_encoding_is_one(value: object) -> None:
    encoded = cbor.encode(value)

    for size in range(len(encoded)):
        with pytest.raises(BadMessage):
            cbor.decode(encoded[:size])


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 5))
def test_a_longer_form_of_a_head_is_refused(n: int, major: int) -> None:
    """Whatever the head is for: number, length of bytes, text, array, map."""
    shortest = cbor.head(major, n)
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if 1 + size > len(shortest) and n < 1 << 8 * size:
            with pytest.raises(BadMessage, match="shortest"):
                cbor.decode(bytes([major << 5 | info]) + n.to_bytes(size, "big") + bytes(32))


@given(VALUES)
def test_cbor2_agrees_on_what_is_canonical_when_keys_are_of_one_type(value: object) -> None:
    if one_type_of_keys(value):
        assert cbor2.dumps(value, canonical=True) == cbor.encode(value)


def one_type_of_keys(value: object) -> bool:
    match value:
        case list():
            return all(map(one_type_of_keys, value))
        case dict():
            return all(type(key) is str for key in value) and all(map(one_type_of_keys, value.values()))
        case _:
            return True
