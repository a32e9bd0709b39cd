"""The codec of BitTorrent under every cutting, and what pieces, blocks and units have to do with each other."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import bits
from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.grain import Grain
from apps.files.core.bittorrent.handshake import Handshake, decode_handshake, encode_handshake
from apps.files.core.bittorrent.limits import MAX_BITFIELD_BYTES, MAX_BLOCK_BYTES
from apps.files.core.bittorrent.messages import (
    KEEP_ALIVE,
    Block,
    BlockCancel,
    BlockData,
    BlockReject,
    BlockRequest,
    Choking,
    Extended,
    HashAnswer,
    HashRange,
    HashReject,
    HashRequest,
    HavePiece,
    Holds,
    Interested,
    Message,
    MessageReader,
    encode,
)
from apps.files.core.info import File, make_info
from apps.files.core.layout import Layout, layout_of
from apps.files.core.limits import LEAF_BYTES
from overlay.errors import BadMessage

U32 = st.integers(0, 2**32 - 1)
BLOCKS = st.builds(Block, U32, U32, U32)
RANGES = st.builds(HashRange, st.binary(min_size=32, max_size=32), U32, U32, U32, U32)
MESSAGES = st.one_of(
    st.builds(Choking, st.booleans()),
    st.builds(Interested, st.booleans()),
    st.builds(HavePiece, U32),
    st.builds(Holds, st.booleans() | st.binary(max_size=40)),
    st.builds(BlockRequest, BLOCKS),
    st.builds(BlockCancel, BLOCKS),
    st.builds(BlockReject, BLOCKS),
    st.builds(BlockData, U32, U32, st.binary(min_size=1, max_size=60).map(memoryview)),
    st.builds(Extended, st.integers(0, 255), st.binary(max_size=60)),
    st.builds(HashRequest, RANGES),
    st.builds(HashAnswer, RANGES, st.binary(max_size=96)),
    st.builds(HashReject, RANGES),
)
#: What says nothing: a keep-alive, the port of a DHT, a suggestion, a kind that nobody knows.
SILENT = st.sampled_from([KEEP_ALIVE, b"\0\0\0\3\x09\x1a\xe1", b"\0\0\0\5\x0d\0\0\0\1", b"\0\0\0\2\x63?"])


def plain(message: Message) -> Message:
    """Views compare by what they see, and outlive nothing."""
    if isinstance(message, BlockData):
        return BlockData(message.piece, message.begin, memoryview(bytes(message.data)))
    return message


@given(st.lists(MESSAGES.map(encode) | SILENT, max_size=12), st.data())
def test_messages_are_read_wherever_they_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader, heard = MessageReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        heard += [plain(message) for message in reader.read(stream[start:end])]
    whole = [plain(message) for message in MessageReader().read(stream)]
    assert heard == whole
    assert b"".join(map(encode, heard)) == b"".join(part for part in parts if not list(_silent(part)))


def _silent(part: bytes) -> list[bytes]:
    return [part] if not list(MessageReader().read(part)) else []


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_any_bytes_are_messages_or_bad(data: bytes, cuts: list[int]) -> None:
    reader = MessageReader()
    points = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    try:
        for start, end in pairwise(points):
            for message in reader.read(data[start:end]):
                assert encode(message) in data
    except BadMessage:
        pass


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (7, 9 + MAX_BLOCK_BYTES + 1), (6, 14), (6, 12), (4, 4), (5, MAX_BITFIELD_BYTES + 2), (20, 1), (20, 1 << 20),
        (21, 48), (22, 1 << 20), (0, 2), (99, 1025), (7, 2**32 - 1),
    ],
)  # fmt: skip
def test_a_length_that_no_client_sends_is_refused_at_its_fifth_byte(kind: int, length: int) -> None:
    with pytest.raises(BadMessage):
        list(MessageReader().read(length.to_bytes(4, "big") + bytes((kind,))))


@given(
    st.binary(min_size=20, max_size=20), st.binary(min_size=20, max_size=20), st.booleans(), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_a_handshake_says_what_its_sender_can_do(
    share: bytes, peer: bytes, extended: bool, fast: bool, v2: bool
) -> None:
    said = Handshake(share, peer, extended, fast, v2)
    assert decode_handshake(encode_handshake(said)) == said


@pytest.mark.parametrize(
    "read", [decode_handshake, extension.decode_handshake, extension.decode_metadata], ids=lambda one: one.__module__
)
@given(data=st.binary(max_size=90) | st.binary(max_size=60).map(lambda tail: b"d8:msg_typei1e5:piecei0ee" + tail))
def test_readers_raise_nothing_but_bad_message(read: Callable[[bytes], Any], data: bytes) -> None:
    try:
        read(data)
    except BadMessage:
        pass


def test_what_makes_no_sense_in_an_extended_handshake_is_as_if_it_were_not_there() -> None:
    odd = extension.decode_handshake(b"d1:m3:abc13:metadata_sizei-5e4:reqqi0ee")
    assert (odd.ut_metadata, odd.metadata_size, odd.reqq) == (0, 0, extension.BLOCKS_ASKED)
    large = extension.decode_handshake(b"d1:md11:ut_metadatai3ee13:metadata_sizei2000000000e4:reqqi99999ee")
    assert (large.ut_metadata, large.metadata_size, large.reqq) == (3, 0, extension.MAX_BLOCKS_OUT)


# --- pieces and units ----------------------------------------------------------------------


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Files around all bounds, in units of 16 KiB or of 256 KiB in pieces of 1 MiB."""
    piece = draw(st.sampled_from([LEAF_BYTES, 1 << 20]))
    bounds = [n * piece + d for n in range(4) for d in (-LEAF_BYTES, -1, 0, 1, LEAF_BYTES + 1)]
    lengths = draw(st.lists(st.sampled_from([max(bound, 0) for bound in bounds]), min_size=1, max_size=5))
    files = [File((b"%d" % i,), length, bytes(32) if length else None) for i, length in enumerate(lengths)]
    return layout_of(make_info(b"x", files, piece_length=piece))


@given(layouts(), st.randoms(use_true_random=False))
def test_sets_of_pieces_and_of_units_are_one_another(layout: Layout, chance: random.Random) -> None:
    grain = Grain(layout)
    pieces = {piece for piece in range(layout.pieces) if chance.random() < 0.5}
    units = {unit for piece in pieces for unit in layout.units_of_piece(piece)}
    field = bits.to_bitfield(sum(1 << piece for piece in pieces), layout.pieces)
    assert grain.units_in(field) == sum(1 << unit for unit in units)
    more = units | {unit for unit in range(layout.units) if chance.random() < 0.5}
    whole = {piece for piece in range(layout.pieces) if set(layout.units_of_piece(piece)) <= more}
    assert grain.pieces_in(sum(1 << unit for unit in more)) == sum(1 << piece for piece in whole)


@given(layouts(), st.randoms(use_true_random=False))
def test_a_block_is_a_part_of_one_unit_and_zeros_behind_the_file(layout: Layout, chance: random.Random) -> None:
    if not layout.pieces:
        return
    grain = Grain(layout)
    piece = chance.randrange(layout.pieces)
    ends = [layout.unit_bytes - 1, layout.piece_bytes - LEAF_BYTES]
    begin = chance.choice([0, 1, LEAF_BYTES, *ends, chance.randrange(layout.piece_bytes)])
    length = chance.choice([1, LEAF_BYTES, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1])
    within = grain.within(Block(piece, begin, length))
    places = [layout.unit(unit) for unit in layout.units_of_piece(piece)]
    size = sum(place.length for place in places)
    data = range(min(begin, size), min(begin + length, size))
    one = {byte // layout.unit_bytes for byte in data}
    if length > MAX_BLOCK_BYTES or begin + length > layout.piece_bytes or len(one) > 1:
        assert within is None
        return
    assert within is not None
    unit = within.unit - layout.units_of_piece(piece)[0]
    assert within.end - within.start == len(data)
    if data:
        assert (unit, unit * layout.unit_bytes + within.start) == (min(one), data[0])


def test_a_block_across_two_units_is_nowhere() -> None:
    layout = layout_of(make_info(b"x", [File((b"x",), 1 << 20, bytes(32))], piece_length=1 << 20))
    assert layout.unit_bytes == 1 << 18
    grain = Grain(layout)
    assert grain.within(Block(0, (1 << 18) - 1, 2)) is None
    assert grain.within(Block(0, (1 << 18) - 1, 1)) == (0, (1 << 18) - 1, 1 << 18)
    assert grain.within(Block(0, 1 << 18, 2)) == (1, 0, 2)


@given(layouts(), st.integers(0, 40))
def test_the_blocks_of_a_unit_are_all_of_it(layout: Layout, unit: int) -> None:
    if unit >= layout.units:
        return
    grain = Grain(layout)
    blocks = grain.blocks_of(unit)
    assert sum(block.length for block in blocks) == layout.unit(unit).length
    parts = [grain.within(block) for block in blocks]
    assert [(part.unit, part.start) for part in parts if part] == [
        (unit, i * LEAF_BYTES) for i in range(len(blocks))
    ]  # fmt: skip
    assert grain.bytes_of(unit) >= layout.unit(unit).length
