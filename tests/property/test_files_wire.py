"""Messages of "/files/1": what is encoded is read back, and nothing but a message is taken."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import codec, wire
from apps.files.core.limits import (
    MAX_ASKED_UNITS,
    MAX_CHANNEL,
    MAX_CONTROL_MESSAGE,
    MAX_HAVE_UNITS,
    MAX_HEADER,
    MAX_UNITS,
    UNIT_BYTES,
)
from overlay.errors import BadMessage, LocalError
from overlay.runtime.address import address_of
from overlay.wire import cbor

channels = st.integers(0, MAX_CHANNEL)
units = st.integers(0, MAX_UNITS - 1)
ids = st.binary(min_size=32, max_size=32)
holdings = st.booleans() | st.binary(max_size=200)
counts = st.integers(0, 4096)
heights = st.integers(0, 64)
runs = st.lists(st.tuples(st.integers(0, MAX_UNITS - 60), st.integers(1, 50)), min_size=1, max_size=20).map(tuple)
peers = st.lists(
    st.tuples(ids, st.builds(address_of, st.binary(min_size=4, max_size=4), st.integers(0, 65535))),
    min_size=1, max_size=50,
).map(tuple)  # fmt: skip

messages = st.one_of(
    st.builds(wire.Open, channels, ids, counts, st.none() | holdings),
    st.builds(wire.Opened, channels, counts, st.none() | holdings),
    st.builds(wire.Refused, channels, st.text(st.characters(codec="utf-8"), max_size=100)),
    st.builds(wire.CloseShare, channels),
    st.builds(wire.GetInfo, channels, st.integers(0, 256)),
    st.builds(wire.InfoPart, channels, st.integers(0, 256), st.binary(max_size=300)),
    st.builds(wire.GetHashes, channels, ids, heights, st.integers(0, 1 << 49), counts, heights),
    st.builds(wire.Hashes, channels, ids, heights, st.integers(0, 1 << 49), counts, st.binary(max_size=300)),
    st.builds(wire.Hold, channels, counts, holdings, units),
    st.builds(wire.Have, channels, st.lists(units, min_size=1, max_size=MAX_HAVE_UNITS).map(tuple)),
    st.builds(wire.Interest, channels, st.booleans()),
    st.builds(wire.Choke, channels, st.booleans()),
    st.builds(wire.Request, channels, runs),
    st.builds(wire.Reject, channels, runs),
    st.builds(wire.Cancel, channels, runs),
    st.builds(wire.Peers, channels, peers),
    st.builds(
        wire.Piece,
        channels,
        units,
        st.just(0),
        st.binary(min_size=1, max_size=300),
        header=st.binary(max_size=MAX_HEADER),
    ),
)


@given(messages)
def test_every_message_is_read_back(message: wire.Message) -> None:
    assert codec.decode(codec.encode(message)) == message


@given(messages, st.data())
def test_a_changed_message_is_another_one_or_none(message: wire.Message, data: Any) -> None:
    raw = bytearray(codec.encode(message))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = codec.decode(bytes(raw))
    except BadMessage:
        return
    assert changed != message


@given(st.binary(max_size=300) | st.builds(lambda kind, body: bytes([kind]) + body, st.integers(0, 40), st.binary()))
def test_noise_is_refused_or_is_a_message(raw: bytes) -> None:
    try:
        message = codec.decode(raw)
    except BadMessage:
        return
    if message is not None and not isinstance(message, wire.Piece):
        assert codec.decode(codec.encode(message)) == message


@given(messages, st.lists(st.integers(0, 9) | st.binary(max_size=9), max_size=3))
def test_what_later_versions_append_is_ignored(message: wire.Message, more: list[Any]) -> None:
    if isinstance(message, wire.Piece):
        return
    raw = codec.encode(message)
    assert codec.decode(raw[:1] + cbor.encode([*cbor.decode(raw[1:]), *more])) == message


@given(st.sets(st.integers(0, 300)))
def test_ranges_are_the_units(numbers: set[int]) -> None:
    ranges = wire.runs_of(numbers)
    assert list(wire.units_in(ranges)) == sorted(numbers)
    assert all(first + count < following for (first, count), (following, _) in itertools.pairwise(ranges))


def test_types_of_later_versions_are_ignored() -> None:
    assert codec.decode(b"\x63anything") is None


def test_bounds() -> None:
    unit = codec.encode(wire.Piece(1, 2, 0, bytes(UNIT_BYTES)))
    signed = codec.encode(wire.Piece(1, 2, 0, bytes(UNIT_BYTES), header=bytes(MAX_HEADER)))
    assert len(signed) <= MAX_CONTROL_MESSAGE
    for bad in (
        signed + b"\0",
        signed[: codec.PIECE_HEAD_BYTES + MAX_HEADER],
        codec.encode(wire.Piece(1, 2, 0, b"?", header=bytes(MAX_HEADER + 1))),
        b"",
        unit + b"\0",
        unit[: codec.PIECE_HEAD_BYTES],
        b"\x0a" + cbor.encode([1, []]),
        b"\x0a" + cbor.encode([1, [MAX_UNITS]]),
        b"\x0d" + cbor.encode([1, [[MAX_UNITS - 1, 2]]]),
        b"\x0d" + cbor.encode([1, [[True, 1]]]),
        b"\x0d" + cbor.encode([1, [[0, MAX_ASKED_UNITS], [0, 1]]]),
        b"\x0d" + cbor.encode([1, [[0, 0]]]),
        b"\x0b" + cbor.encode([1, 1]),
        b"\x10" + cbor.encode([1, [[bytes(32), bytes(7)]]]),
        b"\x63" + bytes(MAX_CONTROL_MESSAGE),
    ):
        with pytest.raises(BadMessage):
            codec.decode(bad)
    with pytest.raises(LocalError):
        codec.encode(wire.InfoPart(1, 0, bytes(MAX_CONTROL_MESSAGE)))
