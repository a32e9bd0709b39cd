"""Units, pieces and files against a plain list of them; sets of units; selections by pattern."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import bits
from apps.files.core.info import File, make_info
from apps.files.core.layout import layout_of
from apps.files.core.limits import LEAF_BYTES, MAX_UNITS, UNIT_BYTES
from apps.files.core.merkle import unit_height
from apps.files.core.selection import select
from overlay.errors import BadMessage, LimitError, LocalError

EDGES = [0, 0, 1, LEAF_BYTES, LEAF_BYTES + 1, UNIT_BYTES - 1, UNIT_BYTES, UNIT_BYTES + 1, 5 * UNIT_BYTES + 7]
lengths_of_files = st.lists(st.sampled_from(EDGES) | st.integers(0, 6 * UNIT_BYTES), min_size=1, max_size=12)


@given(lengths_of_files, st.sampled_from([LEAF_BYTES, 4 * LEAF_BYTES, UNIT_BYTES, 4 * UNIT_BYTES]), st.data())
def test_a_layout_is_that_of_a_plain_list(lengths: list[int], piece: int, data: st.DataObject) -> None:
    files = [File((b"%03d" % i,), length, bytes(32) if length else None) for i, length in enumerate(lengths)]
    layout = layout_of(make_info(b"N", files, piece_length=piece))
    size = min(piece, UNIT_BYTES)

    plain = [(i, at, min(size, length - at)) for i, length in enumerate(lengths) for at in range(0, length, size)]
    pieces = [(i, at) for i, length in enumerate(lengths) for at in range(0, length, piece)]
    assert (layout.units, layout.pieces, layout.unit_bytes) == (len(plain), len(pieces), size)
    for number, (file, offset, length) in enumerate(plain):
        unit = layout.unit(number)
        assert layout.length(number) == unit.length
        assert (unit.file, unit.offset, unit.length, unit.index) == (file, offset, length, offset // size)
        assert unit.height == unit_height(lengths[file], unit_bytes=size)
        holding = layout.piece_of_unit(number)
        assert pieces[holding] == (file, offset // piece * piece)
        assert number in layout.units_of_piece(holding)
    for file in range(len(lengths)):
        assert [n for n, unit in enumerate(plain) if unit[0] == file] == list(layout.units_of(file))
        assert [n for n, place in enumerate(pieces) if place[0] == file] == list(layout.pieces_of(file))
        start, count = data.draw(st.integers(0, 6 * UNIT_BYTES)), data.draw(st.integers(0, 3 * UNIT_BYTES))
        wanted = [
            n for n, (f, at, length) in enumerate(plain) if f == file and at < start + count and start < at + length
        ]
        assert list(layout.units_at(file, start, count)) == (wanted if count else [])
    for outside in (-1, len(plain)):
        with pytest.raises(IndexError):
            layout.unit(outside)
    for outside in (-1, len(pieces)):
        with pytest.raises(IndexError):
            layout.units_of_piece(outside)

    chosen = data.draw(st.sets(st.integers(0, len(lengths) - 1)))
    units = layout.set_of(sorted(chosen))
    assert list(bits.first_from(units, 0)) == [n for n, unit in enumerate(plain) if unit[0] in chosen]
    assert layout.bytes_of(units) == sum(lengths[file] for file in chosen)


def test_a_share_that_claims_too_much_is_refused_before_anything_is_counted() -> None:
    huge = make_info(b"N", [File((b"N",), 10 * 2**40, bytes(32))], piece_length=UNIT_BYTES)
    with pytest.raises(LimitError, match="at most"):
        layout_of(huge)
    layout = layout_of(make_info(b"N", [File((b"N",), MAX_UNITS * UNIT_BYTES, bytes(32))], piece_length=UNIT_BYTES))
    assert layout.unit(MAX_UNITS - 1).length == UNIT_BYTES


# --- sets ----------------------------------------------------------------------------------


@given(st.integers(0, 3000), st.data())
def test_bit_fields_are_read_back(count: int, data: st.DataObject) -> None:
    units = data.draw(st.integers(0, bits.all_of(count)))
    field = bits.to_bitfield(units, count)
    assert bits.decode_bitfield(field, count) == units
    # BEP 3: "the high bit in the first byte corresponds to piece index 0".
    text = "".join(f"{byte:08b}" for byte in field)
    assert text[:count] == "".join(str(units >> n & 1) for n in range(count))
    start = data.draw(st.integers(0, count))
    members = [n for n in range(count) if units >> n & 1]
    assert list(bits.first_from(units, start)) == [n for n in members if n >= start] + [n for n in members if n < start]
    for bad in (field + b"\0", field[:-1]):
        if bad != field:
            with pytest.raises(BadMessage):
                bits.decode_bitfield(bad, count)


def test_spare_bits_must_be_zero() -> None:
    assert bits.decode_bitfield(b"\xf8", 5) == 0b11111
    with pytest.raises(BadMessage):
        bits.decode_bitfield(b"\xfc", 5)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60))))
def test_ranges_make_a_set(pairs: list[tuple[int, int]]) -> None:
    ranges = [range(start, start + length) for start, length in pairs]
    expected = sum(1 << n for n in {n for each in ranges for n in each})
    assert bits.of_ranges(ranges, 260) == expected


# --- selection -----------------------------------------------------------------------------

PATHS = [("Season 1", "one.mkv"), ("Season 1", "extras", "cut.mkv"), ("Season 2", "one.srt"), ("readme.txt",), ("a",)]


@pytest.mark.parametrize(
    ("patterns", "numbers"),
    [
        ([], [0, 1, 2, 3, 4]),
        (["*"], [0, 1, 2, 3, 4]),
        (["**"], [0, 1, 2, 3, 4]),
        (["*.mkv"], [0, 1]),
        (["one.*"], [0, 2]),
        (["Season 1"], [0, 1]),
        (["Season 1/"], [0, 1]),
        (["extras"], [1]),
        (["/extras"], []),
        (["Season 1/*.mkv"], [0]),
        (["Season 1/**/*.mkv"], [0, 1]),
        (["**/*.mkv"], [0, 1]),
        (["Season ?/one.*"], [0, 2]),
        (["*/extras/**"], [1]),
        (["Season 1/extras"], [1]),
        (["season 1"], []),
        (["[ar]*"], [3, 4]),
        (["[!S]*.txt", "a"], [3, 4]),
        (["./a"], [4]),
        (["a/b"], []),
        (["none", "*.srt"], [2]),
    ],
)
def test_patterns_mean_what_a_shell_means(patterns: list[str], numbers: list[int]) -> None:
    # "[ar]*" is the name of a file or of any folder around it.
    assert select(PATHS, patterns) == numbers


@given(st.lists(st.sampled_from(["a", "b", "ab", "*", "?", "**", "a*"]), min_size=2, max_size=5),
       st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=5))  # fmt: skip
def test_paths_from_the_top_against_a_plain_search(parts: list[str], path: list[str]) -> None:
    def plain(left: list[str], names: list[str]) -> bool:
        if not left:
            return True  # this, or a folder around it
        if left[0] == "**":
            return plain(left[1:], names) or (bool(names) and plain(left, names[1:]))
        return bool(names) and fnmatch.fnmatchcase(names[0], left[0]) and plain(left[1:], names[1:])

    assert (select([tuple(path)], ["/".join(parts)]) == [0]) == plain(parts, path)


@pytest.mark.parametrize("pattern", ["", "/", "../x", "a/../b", "x" * 2000])
def test_what_is_no_pattern_is_a_local_error(pattern: str) -> None:
    with pytest.raises(LocalError):
        select(PATHS, [pattern])


def test_a_pattern_made_to_take_long_does_not() -> None:
    assert select([("a" * 255,) * 33], ["*a" * 120 + "b", "/".join(["**", "*a*a*a*a"] * 30) + "/b"]) == []
