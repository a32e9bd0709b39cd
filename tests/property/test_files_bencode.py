"""Bencode: one value, one encoding; whatever else arrives is a BadMessage within the bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import bencode
from overlay.errors import BadMessage, LocalError

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_is_read_back(value: Any) -> None:
    assert bencode.decode(bencode.encode(value), max_depth=64) == value


@given(
    VALUES, st.integers(0, 400), st.sampled_from(b"dlie:0123456789-x\x00\xff"), st.sampled_from(["put", "in", "out"])
)
def test_what_is_accepted_is_the_only_encoding(value: Any, at: int, byte: int, how: str) -> None:
    data = bytearray(bencode.encode(value))
    at %= len(data)
    match how:
        case "put":
            data[at] = byte
        case "in":
            data.insert(at, byte)
        case "out":
            del data[at]
    try:
        read = bencode.decode(bytes(data), max_depth=64)
    except BadMessage:
        return
    assert bencode.encode(read) == data


@given(
    st.lists(st.sampled_from([b"d", b"l", b"e", b"i", b"1:a", b"0:", b"i1e", b"i-0e", b"99:", b"3:abc"]), max_size=30)
)
def test_any_row_of_tokens_is_a_value_or_a_bad_message(tokens: list[bytes]) -> None:
    data = b"".join(tokens)
    try:
        read = bencode.decode(data)
    except BadMessage:
        return
    assert bencode.encode(read) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i",
        b"ie",
        b"i-e",
        b"i-0e",
        b"i01e",
        b"i-01e",
        b"i+1e",
        b"i 1e",
        b"i1",
        b"i1_0e",
        b"i\xd9\xa1e",  # a digit of another alphabet
        b"i18446744073709551616e",
        b"i-9223372036854775809e",
        b"i" + b"1" * 5000 + b"e",  # more than int() converts
        b"01:a",
        b"-1:a",
        b"1:",
        b"2:a",
        b"1",
        b":a",
        b"9" * 5000 + b":a",
        b"99999999999999999999:a",
        b"9999999999:a",
        b"1:ab",
        b"l",
        b"li1e",
        b"d",
        b"d1:a",
        b"d1:ae",
        b"di1ei1ee",
        b"d1:ai1e1:ai1ee",  # twice
        b"d1:bi1e1:ai1ee",  # not in order
        b"d2:aai1e1:bi1e1:abi1ee",
        b"e",
        b"x",
        b"i1ei1e",
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        bencode.decode(data)


def test_the_ends_of_the_numbers_are_read() -> None:
    for number in (0, -1, 2**64 - 1, -(2**63)):
        assert bencode.decode(bencode.encode(number)) == number


def test_bounds_of_size_items_and_depth_hold() -> None:
    three = b"l" * 3 + b"e" * 3
    assert bencode.decode(three, max_bytes=6, max_items=3, max_depth=3) == [[[]]]
    for bound in ({"max_bytes": 5}, {"max_items": 2}, {"max_depth": 2}):
        with pytest.raises(BadMessage):
            bencode.decode(three, **bound)
    # Keys count as well.
    assert bencode.decode(b"d1:a0:e", max_items=3) == {b"a": b""}
    with pytest.raises(BadMessage):
        bencode.decode(b"d1:a0:e", max_items=2)
    # As deep as a stack of Python would not go.
    with pytest.raises(BadMessage):
        bencode.decode(b"l" * 60_000, max_items=10**6)


def test_a_prefix_tells_where_it_ends() -> None:
    assert bencode.decode_prefix(b"d8:msg_typei1ee\x00raw") == ({b"msg_type": 1}, 15)


@pytest.mark.parametrize("value", [None, True, "text", 1.5, 2**64, -(2**63) - 1, {1: 2}, [{"a": 1}], bytearray(b"a")])
def test_what_has_no_encoding_is_a_local_error(value: object) -> None:
    with pytest.raises(LocalError):
        bencode.encode(value)
