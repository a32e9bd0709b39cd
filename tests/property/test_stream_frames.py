"""Frames: however the bytes are cut, the same messages come out, and nothing is kept that is not needed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage
from overlay.limits import MAX_END_TEXT, MAX_STREAM_MESSAGE
from overlay.streams.frames import HEAD_BYTES, End, FrameReader, Kind, decode_end, encode_end, encode_frame

FRAMES = st.lists(
    st.tuples(st.sampled_from([Kind.DATA]), st.binary(max_size=200))
    | st.tuples(st.sampled_from([Kind.PING, Kind.PONG]), st.binary(max_size=8))
    | st.tuples(st.sampled_from([Kind.END]), st.binary(min_size=1, max_size=101)),
    max_size=20,
)
#: Frames of kinds that a later version may have, between ours.
UNKNOWN = st.lists(st.tuples(st.integers(4, 255), st.binary(max_size=100)), max_size=20)


def read_all(data: bytes, cuts: list[int]) -> tuple[list[tuple[Kind, bytes]], FrameReader]:
    reader, found = FrameReader(), []
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(places):
        reader.feed(data[start:end])
        while (frame := reader.next()) is not None:
            found.append(frame)
    return found, reader


@given(frames=FRAMES, unknown=UNKNOWN, cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_any_cutting_gives_the_same_frames(
    frames: list[tuple[Kind, bytes]], unknown: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data, skipped = b"", 0
    for number, (kind, payload) in enumerate(frames):
        data += encode_frame(kind, payload)
        if number < len(unknown):
            other, junk = unknown[number]
            data += bytes((other,)) + len(junk).to_bytes(3, "big") + junk
            skipped += HEAD_BYTES + len(junk)
    found, reader = read_all(data, cuts)
    assert found == frames
    assert reader.skipped == skipped
    assert reader.next() is None


@given(cuts=st.lists(st.integers(0, MAX_STREAM_MESSAGE + 4), max_size=12))
def test_the_longest_message_passes(cuts: list[int]) -> None:
    message = bytes(range(256)) * 1028
    assert len(message) == MAX_STREAM_MESSAGE
    found, _ = read_all(encode_frame(Kind.DATA, message), cuts)
    assert found == [(Kind.DATA, message)]


@pytest.mark.parametrize(
    ("kind", "length"),
    [(0, MAX_STREAM_MESSAGE + 1), (1, 9), (2, 9), (3, 102), (4, MAX_STREAM_MESSAGE + 1), (255, 2**24 - 1)],
)
def test_no_frame_is_longer_than_its_kind_allows(kind: int, length: int) -> None:
    reader = FrameReader()
    reader.feed(bytes((kind,)) + length.to_bytes(3, "big"))
    with pytest.raises(BadMessage, match="at most"):
        reader.next()


def test_what_is_unknown_is_not_kept() -> None:
    reader = FrameReader()
    reader.feed(b"\x09" + (200_000).to_bytes(3, "big"))
    for _ in range(200):
        assert reader.next() is None
        reader.feed(bytes(1000))
        assert reader.next() is None
        assert not reader._chunks._chunks
    reader.feed(encode_frame(Kind.DATA, b"x"))
    assert reader.next() == (Kind.DATA, b"x")


@given(end=st.sampled_from(End), text=st.text(max_size=150))
def test_an_end_is_told_in_at_most_a_hundred_bytes(end: End, text: str) -> None:
    payload = encode_end(end, text)
    assert len(payload) <= 1 + MAX_END_TEXT
    told, shown = decode_end(payload)
    assert told is end
    assert text.encode(errors="replace").decode().startswith(shown)


def test_an_end_of_a_later_version_is_a_failure() -> None:
    assert decode_end(b"\xc8why") == (End.FAILED, "why")
    for bad in (b"", bytes(102), b"\x00\xff"):
        with pytest.raises(BadMessage):
            decode_end(bad)
