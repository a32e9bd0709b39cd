"""Local service discovery: announces as bytes, how often each is said, and what of all that is heard counts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core.limits import (
    LSD_AGAIN_S,
    LSD_EVERY_S,
    LSD_FOUND_AGAIN_S,
    LSD_FOUND_PER_MINUTE,
    MAX_LSD_BYTES,
    MAX_LSD_COOKIE,
    MAX_LSD_HASHES,
    MAX_LSD_HEARD,
)
from apps.files.core.lsd import GROUPS, Hearing, Search, Timetable, decode_search, encode_search
from overlay.errors import BadMessage, LocalError
from overlay.runtime.address import parse_address
from overlay.runtime.ports import SECOND, Interface

HASH = bytes(range(20))
NEAR = parse_address("192.168.1.9:6771")
#: As libtorrent 2 sends it.
OTHERS = (
    b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n"
    b"Infohash: 000102030405060708090a0b0c0d0e0f10111213\r\ncookie: 29dbe9d2\r\n\r\n\r\n"
)
hashes = st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=MAX_LSD_HASHES, unique=True).map(tuple)
cookies = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=MAX_LSD_COOKIE).map(str.encode)
searches = st.builds(Search, st.integers(1, 65_535), hashes, cookie=cookies)


def numbered(number: int) -> bytes:
    return number.to_bytes(20, "big")


# --- bytes ---


@given(searches, st.sampled_from(GROUPS))
def test_an_announce_is_read_back_and_is_no_longer_than_it_may_be(search: Search, group: object) -> None:
    data = encode_search(search, group)  # type: ignore[arg-type]
    assert len(data) <= MAX_LSD_BYTES
    assert decode_search(data) == search


def test_the_longest_announce_fits() -> None:
    longest = Search(65_535, tuple(map(numbered, range(MAX_LSD_HASHES))), cookie=b"x" * MAX_LSD_COOKIE)
    assert MAX_LSD_BYTES - 52 < len(encode_search(longest, GROUPS[1])) <= MAX_LSD_BYTES


def test_announces_are_those_of_others() -> None:
    search = Search(6881, (HASH,), cookie=b"29dbe9d2")
    assert decode_search(OTHERS) == search
    assert encode_search(search, GROUPS[0]) == OTHERS
    assert b"Host: [ff15::efc0:988f]:6771\r\n" in encode_search(search, GROUPS[1])


def test_case_order_and_unknown_headers_make_no_difference() -> None:
    other = (
        b"BT-SEARCH * HTTP/1.1\r\nINFOHASH:%s\r\nX-New: thing\r\ninfohash: %s\r\nport:\t6881 \r\n\r\n"
        % (HASH.hex().upper().encode(), HASH.hex().encode())
    )  # fmt: skip
    assert decode_search(other) == Search(6881, (HASH,))


@given(st.binary(max_size=300) | searches.map(lambda search: encode_search(search, GROUPS[0])), st.data())
def test_any_bytes_are_an_announce_or_none(data: bytes, more: st.DataObject) -> None:
    at = more.draw(st.integers(0, len(data)))
    damaged = data[:at] + more.draw(st.binary(max_size=3)) + data[at + more.draw(st.integers(0, 3)) :]
    try:
        search = decode_search(damaged)
    except BadMessage:
        return
    assert decode_search(encode_search(search, GROUPS[0])) == search


@pytest.mark.parametrize(
    "damaged",
    [
        OTHERS.replace(b"BT-SEARCH", b"M-SEARCH"), OTHERS.replace(b"Port: 6881\r\n", b""),
        OTHERS.replace(b"Port", b"Port: 1\r\nPort"), OTHERS.replace(b"6881", b"0"), OTHERS.replace(b"6881", b"65536"),
        OTHERS.replace(b"6881", b"+688"), OTHERS.replace(b"0001", b"00g1"), OTHERS.replace(b"0001", b"001"),
        OTHERS.replace(b"cookie: 2", b"cookie: \x00"), OTHERS.replace(b"cookie: ", b"cookie: 1\r\ncookie: "),
        OTHERS.replace(b"\r\n\r\n\r\n", b"\r\n"), OTHERS + b"more", OTHERS.replace(b"cookie: 2", b"cookie"),
        OTHERS.replace(b"Infohash", b"Other"), OTHERS + b"\r\n" * MAX_LSD_BYTES,
        OTHERS.replace(b"\r\n\r\n\r\n", b"\r\nA:" * 100 + b"\r\n\r\n"),
    ],
)  # fmt: skip
def test_what_no_client_sends_is_refused(damaged: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_search(damaged)


@pytest.mark.parametrize(
    ("port", "named", "cookie"),
    [(0, (HASH,), b""), (1, (), b""), (1, (HASH, HASH), b""), (1, (b"short",), b""), (1, (HASH,), b"a b"),
     (1, tuple(map(numbered, range(MAX_LSD_HASHES + 1))), b"")],
)  # fmt: skip
def test_what_is_no_announce_is_not_made(port: int, named: tuple[bytes, ...], cookie: bytes) -> None:
    with pytest.raises(LocalError):
        Search(port, named, cookie=cookie)


# --- how often ---


@given(st.integers(0, 150), st.lists(st.integers(1, 90), min_size=20, max_size=60))
def test_an_announce_a_minute_each_hash_every_five_and_nobody_is_left_out(count: int, steps: list[int]) -> None:
    table, now_s = Timetable(), 0
    shares, turns = list(map(numbered, range(count))), list[tuple[int, tuple[bytes, ...]]]()
    for step in steps:
        turn = table.due(now_s * SECOND, shares)
        assert len(turn) <= MAX_LSD_HASHES
        if turn:
            table.said(now_s * SECOND, turn)
            turns.append((now_s, turn))
        now_s += step
    assert all(later - earlier >= LSD_AGAIN_S for (earlier, _), (later, _) in itertools.pairwise(turns))
    for one in shares:
        at = [index for index, (_, turn) in enumerate(turns) if one in turn]
        for first, second in itertools.pairwise(at):
            assert turns[second][0] - turns[first][0] >= LSD_EVERY_S
            between = [other for _, turn in turns[first + 1 : second] for other in turn]
            assert len(set(between)) == len(between), "somebody had two turns before its next"
        assert at or len(turns) * MAX_LSD_HASHES < count


def test_what_is_new_need_not_wait_for_the_others() -> None:
    table, old = Timetable(), [numbered(number) for number in range(200)]
    for minute in range(20):
        table.said(minute * 60 * SECOND, table.due(minute * 60 * SECOND, old))
    assert table.due(1_200 * SECOND, [*old, HASH])[0] == HASH


def test_what_was_not_sent_is_due_at_once() -> None:
    table = Timetable()
    assert table.due(0, [HASH]) == table.due(SECOND, [HASH]) == (HASH,)
    table.said(SECOND, (HASH,))
    assert table.due(2 * SECOND, [HASH]) == ()
    assert table.due((1 + LSD_EVERY_S) * SECOND, [HASH]) == (HASH,)


def test_what_is_shared_no_more_is_forgotten() -> None:
    table = Timetable()
    for minute in range(100):
        now_ns = minute * 60 * SECOND
        table.said(now_ns, table.due(now_ns, [numbered(minute)]))
    assert len(table._said_ns) <= 1 + LSD_EVERY_S // LSD_AGAIN_S


# --- what is heard ---


def hearing() -> Hearing:
    made = Hearing(b"own")
    made.attach([Interface(bytes((20, 0, 0, 1)), 24, 2)])
    return made


@pytest.mark.parametrize(
    ("source", "near"),
    [
        ("192.168.1.9:6771", True), ("127.0.0.1:6771", True), ("169.254.7.7:6771", True), ("[fe80::7%2]:6771", True),
        ("20.0.0.77:6771", True), ("20.0.1.77:6771", False), ("8.8.8.8:6771", False), ("[2600::1]:6771", False),
        ("224.0.0.1:6771", False),
    ],
)  # fmt: skip
def test_only_senders_of_this_site_count(source: str, near: bool) -> None:
    address = parse_address(source)
    found = hearing().take(0, address, Search(7000, (HASH,)), {HASH})
    assert [str(where) for _, where in found] == ([str(address).replace(":6771", ":7000")] if near else [])


def test_our_own_and_what_is_none_of_ours_and_ports_of_others_services_count_for_nothing() -> None:
    for search in (Search(7000, (HASH,), cookie=b"own"), Search(7000, (numbered(7),)), Search(25, (HASH,))):
        assert hearing().take(0, NEAR, search, {HASH}) == []
    assert len(hearing().take(0, NEAR, Search(7000, (HASH, numbered(1)), cookie=b"other"), {HASH, numbered(1)})) == 2


def test_who_announces_all_the_time_is_found_once_a_minute() -> None:
    ear = hearing()
    times = [second for second in range(200) if ear.take(second * SECOND, NEAR, Search(7000, (HASH,)), {HASH})]
    assert times == [0, LSD_FOUND_AGAIN_S, 2 * LSD_FOUND_AGAIN_S, 3 * LSD_FOUND_AGAIN_S]


def test_a_flood_in_the_names_of_many_finds_a_bounded_number() -> None:
    ear, found = hearing(), 0
    for number in range(20_000):
        source = parse_address(f"10.0.{number // 250}.{1 + number % 250}:6771")
        found += len(ear.take(number * SECOND // 100, source, Search(7000, (HASH,)), {HASH}))
        assert len(ear._found_ns) <= MAX_LSD_HEARD
    assert found == LSD_FOUND_PER_MINUTE * 4
