"""Records against another implementation of Noise: what either seals, the other opens, also after a new key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise.connection import NoiseConnection
from noise.state import CipherState

from p2pnode.transport import records
from p2pnode.transport.records import MAX_PLAIN, OVERHEAD, Opener, Sealer
from tests.vectors.text import FOLDER, parse

KEY = bytes(range(32))
NAMES = {1: b"Noise_XX_25519_AESGCM_SHA256", 2: b"Noise_XX_25519_ChaChaPoly_SHA256"}
both = pytest.mark.parametrize("suite", [1, 2], ids=["aesgcm", "chachapoly"])


class Oracle:
    """`noiseprotocol`, which counts and rekeys as it is told."""

    def __init__(self, suite: int) -> None:
        self._state = CipherState(NoiseConnection.from_name(NAMES[suite]).noise_protocol)
        self._state.initialize_key(KEY)
        self._count = 0

    def _turn(self) -> None:
        if self._count and self._count % records.REKEY_AFTER == 0:
            self._state.rekey()
        self._count += 1

    def seal(self, plain: bytes) -> bytes:
        self._turn()
        sealed = bytes(self._state.encrypt_with_ad(b"", plain))
        return len(sealed).to_bytes(2, "big") + sealed

    def open(self, record: bytes) -> bytes:
        self._turn()
        assert int.from_bytes(record[:2], "big") == len(record) - 2
        return bytes(self._state.decrypt_with_ad(b"", record[2:]))


def sealed(sealer: Sealer, plain: bytes) -> bytes:
    room = memoryview(bytearray(len(plain) + OVERHEAD))
    assert sealer.seal(plain, room, 0) == len(room)
    return bytes(room)


def opened(opener: Opener, wire: bytes, most: int = 1 << 20) -> tuple[bytes, int, bool]:
    room = memoryview(bytearray(min(most, len(wire)) + MAX_PLAIN))
    used, end, damaged = opener.take(memoryview(wire), room, 0, most)
    return bytes(room[:end]), used, damaged


@both
def test_what_is_sealed_here_opens_there_and_the_other_way(suite: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "REKEY_AFTER", 3)
    sealer, opener = Sealer(KEY, suite), Opener(KEY, suite)
    there, here = Oracle(suite), Oracle(suite)
    for n in range(1, 11):  # three new keys
        plain = bytes([n]) * (n * 1000)
        assert there.open(sealed(sealer, plain)) == plain
        assert opened(opener, here.seal(plain)) == (plain, len(plain) + OVERHEAD, False)


#: The text "record" as records 2^20 - 1, 2^20 and 2^21 of a direction with KEY, made by `noiseprotocol` alone.
AROUND_NEW_KEYS = {
    1: ["0016396a10da0cc65dc1f6468a425e317a9c126abbb77a66", "0016aa8d10f9c64f92fee67cbac58f9a6507887c461741df",
        "0016acad0d7136ca03c2c2912eb1c707bff6fda21888b10b"],
    2: ["00166d358f468599a89d3f6651b1c7783f12fbe2f2f611da", "00160a33c19761795f312f56b104cdef06fba3dfed65d251",
        "001691231f96635e1083d77a22ca3fe3dcc7567943007cef"],
}  # fmt: skip


@both
def test_the_key_is_a_new_one_after_2_20_records(suite: int) -> None:
    """Both sides must agree on the number, which no record says."""
    sealer, opener = Sealer(KEY, suite), Opener(KEY, suite)
    for number, record in zip((2**20 - 1, 2**20, 2**21), AROUND_NEW_KEYS[suite], strict=True):
        sealer._cipher._number = opener._cipher._number = number
        assert sealed(sealer, b"record").hex() == record
        assert opened(opener, bytes.fromhex(record)) == (b"record", 6 + OVERHEAD, False)


@both
def test_the_longest_record_is_the_longest_message_of_noise(suite: int) -> None:
    record = sealed(Sealer(KEY, suite), bytes(MAX_PLAIN))
    assert record[:2] == b"\xff\xff"
    assert opened(Opener(KEY, suite), record) == (bytes(MAX_PLAIN), 65_537, False)


@both
@given(sizes=st.lists(st.integers(1, 300), max_size=6), most=st.integers(0, 600), cut=st.integers(0, 2000))
def test_whole_records_are_opened_until_there_is_enough(suite: int, sizes: list[int], most: int, cut: int) -> None:
    sealer = Sealer(KEY, suite)
    parts = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    wire = b"".join(sealed(sealer, part) for part in parts)[:cut]
    got, used, damaged = opened(Opener(KEY, suite), wire, most)
    wanted, end = b"", 0
    for part in parts:
        if len(wanted) >= most or end + len(part) + OVERHEAD > cut:
            break
        wanted += part
        end += len(part) + OVERHEAD
    assert (got, used, damaged) == (wanted, end, False)


@both
@given(at=st.integers(0, 117), bit=st.integers(0, 7))
def test_no_changed_bit_is_taken(suite: int, at: int, bit: int) -> None:
    sealer = Sealer(KEY, suite)
    good, bad = sealed(sealer, b"good" * 10), bytearray(sealed(sealer, b"x" * 100))
    bad[at] ^= 1 << bit
    got, used, damaged = opened(Opener(KEY, suite), good + bytes(bad))
    assert got == b"good" * 10
    # A longer length makes it wait for more; then that does not open.
    assert damaged or int.from_bytes(bad[:2], "big") > 116
    assert used == len(good)


@both
@pytest.mark.parametrize("length", [0, 1, 15, 16])
def test_a_record_without_plaintext_is_none(suite: int, length: int) -> None:
    state = CipherState(NoiseConnection.from_name(NAMES[suite]).noise_protocol)
    state.initialize_key(KEY)
    wire = length.to_bytes(2, "big") + bytes(state.encrypt_with_ad(b"", b""))[:length]
    assert opened(Opener(KEY, suite), wire) == (b"", 0, True)


@both
def test_a_record_is_good_once_and_in_its_place(suite: int) -> None:
    sealer, opener = Sealer(KEY, suite), Opener(KEY, suite)
    first, second = sealed(sealer, b"one"), sealed(sealer, b"two")
    assert opened(Opener(KEY, suite), second)[2]
    assert opened(opener, first) == (b"one", len(first), False)
    assert opened(opener, first)[2]


@pytest.mark.parametrize(("name", "suite"), [("stream-public", 1), ("stream-private", 2)])
def test_the_first_records_of_the_golden_handshakes_are_ours(name: str, suite: int) -> None:
    text = (FOLDER / f"{name}.txt").read_text()
    (one,) = re.findall(r"keys: from Alice ([0-9a-f]{64})", text)
    (two,) = re.findall(r"from Bob   ([0-9a-f]{64})", text)
    wire = parse(text)
    for key, frame in ((two, b"ok"), (one, b"/files/1")):  # the last bytes of the file, backwards
        plain = b"\0" + len(frame).to_bytes(3, "big") + frame
        record = sealed(Sealer(bytes.fromhex(key), suite), plain)
        assert wire.endswith(record)
        wire = wire.removesuffix(record)
        assert opened(Opener(bytes.fromhex(key), suite), record) == (plain, len(record), False)
