"""Edges of the store that the model (tests/property/test_dht_store_model.py) does not reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.dht.diversity import Diversity
from overlay.dht.store import PutOutcome, RecordStore
from overlay.limits import MAX_PROVIDERS_PER_KEY, MAX_RECORD_TTL_MS
from overlay.runtime.address import parse_address
from overlay.runtime.chance import Rng
from overlay.wire.records import ProviderRecord, SignedRecord, blob_key
from simulations.storage import MemoryStorage

NOW = 1_800_000_000_000
HOUR = 3_600_000
ADDRESS = parse_address("10.0.0.1:4433")


def store(storage: MemoryStorage | None = None, **limits: int) -> RecordStore:
    return RecordStore(MemoryStorage() if storage is None else storage, 0, secret=b"s" * 16, **limits)


def put(s: RecordStore, value: bytes, *, now: int = NOW, ttl_s: int = 3600, author: bytes = bytes(32)) -> bytes:
    key = blob_key(value)
    assert s.put_blob(key, value, wall_ms=now, ttl_s=ttl_s, author=author, group=b"g") is PutOutcome.STORED
    return key


def provider(key: bytes, i: int, *, seq: int = NOW, expires_ms: int = NOW + HOUR) -> ProviderRecord:
    return ProviderRecord(i.to_bytes(32, "big"), key, seq, expires_ms, b"provider %d seq %d" % (i, seq))


def everybody(s: RecordStore, key: bytes, *, now: int = NOW, limit: int = 5) -> list[bytes]:
    """All pages."""
    found: list[bytes] = []
    after = None
    for _ in range(100):
        page, after = s.providers(key, after, limit, now)
        found += [raw for raw, _ in page]
        assert len(page) <= limit
        if after is None:
            return found
        assert len(after) == 8
    raise AssertionError("pages without end")


def test_a_record_lives_no_longer_than_a_day_whatever_is_asked() -> None:
    s = store()
    key = put(s, b"v", ttl_s=10**9)
    held = s.get(key, NOW)
    assert held is not None
    assert held.expires_ms == NOW + MAX_RECORD_TTL_MS
    assert s.get(key, NOW + MAX_RECORD_TTL_MS) is None


def test_a_seq_may_be_a_day_ahead_and_no_more() -> None:
    s = store()
    day = 24 * HOUR
    ahead = SignedRecord(bytes(32), b"", NOW + day + 1, NOW + HOUR, b"v", b"raw")
    assert s.put_signed(ahead, wall_ms=NOW, ttl_s=60, group=b"") is PutOutcome.INVALID
    assert s.put_signed(ahead, wall_ms=NOW + 1, ttl_s=60, group=b"") is PutOutcome.STORED


def test_a_huge_expiry_or_seq_fits_into_a_row() -> None:
    s = store()
    record = SignedRecord(bytes(32), b"", 2**64 - 1, 2**64 - 1, b"v", b"raw")
    assert s.put_signed(record, wall_ms=NOW, ttl_s=2**63, group=b"") is PutOutcome.INVALID
    record = SignedRecord(bytes(32), b"", 0, 2**64 - 1, b"v", b"raw")
    assert s.put_signed(record, wall_ms=NOW, ttl_s=2**63, group=b"") is PutOutcome.STORED


def test_a_clock_that_was_a_year_ahead_leaves_nothing_for_a_year() -> None:
    storage = MemoryStorage()
    s = store(storage)
    year = 365 * 24 * HOUR
    s.expire(NOW + year)
    key = put(s, b"v", now=NOW + year)
    s.put_provider(provider(key, 1, expires_ms=NOW + 2 * year), ADDRESS, wall_ms=NOW + year)
    assert s.expire(NOW) == 0
    assert s.get(key, NOW) is not None
    again = store(storage)
    assert again.expire(NOW + 24 * HOUR) == 2
    assert len(again) == again.provider_count == 0
    assert [at for at, _ in storage.scan(b"")] == [b"shelf-secret"]


def test_expiry_does_a_bounded_amount_of_work_at_a_time() -> None:
    s = store()
    for i in range(10):
        put(s, b"%d" % i)
    assert [s.expire(NOW + HOUR, limit=4) for _ in range(4)] == [4, 4, 2, 0]
    assert s.counters.expired == 10


def test_renewing_for_ever_does_not_grow_the_index() -> None:
    s = store()
    for i in range(1000):
        key = put(s, b"v", now=NOW + i)
        s.put_provider(provider(key, 1, seq=NOW + i), ADDRESS, wall_ms=NOW)
    assert len(s._expiry) < 100
    assert len(s._shelf._expiry) < 100


def test_rows_of_another_version_are_dropped_at_start() -> None:
    storage = MemoryStorage()
    key = put(store(storage), b"v")
    storage.put(b"rec/" + bytes(32), b"\x09what is this")
    storage.put(b"rec/" + bytes((1,)) * 32, b"")
    storage.put(b"prv/" + bytes(40), b"short")
    s = store(storage)
    assert s.keys_near(bytes(32), 0, limit=9) == [key]
    assert s.provider_count == 0
    assert sum(at.startswith((b"rec/", b"prv/")) for at, _ in storage.scan(b"")) == 1


def test_lowered_limits_keep_the_nearest_at_the_next_start() -> None:
    storage = MemoryStorage()
    s = store(storage)
    keys = sorted(put(s, b"%d" % i, author=bytes((i,)) * 32) for i in range(20))
    assert store(storage, total=5).keys_near(bytes(32), 0, limit=99) == keys[:5]


@given(seed=st.integers(0, 2**32), bits=st.integers(0, 24), limit=st.integers(1, 7))
def test_keys_near(seed: int, bits: int, limit: int) -> None:
    s = store()
    keys = sorted(put(s, b"%d %d" % (seed, i)) for i in range(40))
    near = Rng(seed).choice(keys)
    want = [k for k in keys if (int.from_bytes(k, "big") ^ int.from_bytes(near, "big")) >> (256 - bits) == 0]
    found: list[bytes] = []
    while page := s.keys_near(near, bits, after=found[-1] if found else None, limit=limit):
        assert len(page) <= limit
        found += page
    assert found == want


def test_keys_near_reads_no_row_below_the_prefix() -> None:
    """FIND_KEYS costs its sender one datagram: it must not cost us a walk over all that we hold."""
    read: list[bytes] = []

    class Counting(MemoryStorage):
        def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
            for at, value in super().scan(prefix, after=after):
                read.append(at)
                yield at, value

    s = store(Counting())
    for i in range(500):
        put(s, b"%d" % i, author=i.to_bytes(32, "big"))
    read.clear()
    found = s.keys_near(b"\xff" * 32, 3, limit=500)
    assert found
    assert len(read) == len(found)


# --- providers --------------------------------------------------------------------------------


def test_pages_show_everybody_once_at_the_address_that_proved_itself() -> None:
    s = store()
    key = bytes(32)
    for i in range(23):
        assert s.put_provider(provider(key, i), ADDRESS, wall_ms=NOW) is PutOutcome.STORED
    assert sorted(everybody(s, key)) == sorted(provider(key, i).raw for i in range(23))
    assert s.providers(key, None, 1, NOW)[0][0][1] == ADDRESS.packed
    assert s.providers(bytes((9,)) * 32, None, 5, NOW) == ([], None)
    assert s.providers(key, b"\xff" * 8, 5, NOW) == ([], None)


def test_a_page_that_is_exactly_full_has_no_next() -> None:
    s = store()
    for i in range(5):
        s.put_provider(provider(bytes(32), i), ADDRESS, wall_ms=NOW)
    assert s.providers(bytes(32), None, 5, NOW)[1] is None


def test_a_provider_is_replaced_by_its_newer_record_only() -> None:
    s = store()
    key = bytes(32)
    new, old = provider(key, 1, seq=NOW), provider(key, 1, seq=NOW - 1)
    moved = parse_address("10.0.0.2:1")
    s.put_provider(new, ADDRESS, wall_ms=NOW)
    assert s.put_provider(old, moved, wall_ms=NOW) is PutOutcome.OLDER
    assert s.providers(key, None, 5, NOW)[0] == [(new.raw, ADDRESS.packed)]
    assert s.put_provider(new, moved, wall_ms=NOW) is PutOutcome.STORED
    assert s.providers(key, None, 5, NOW)[0] == [(new.raw, moved.packed)]
    assert s.put_provider(provider(key, 2, expires_ms=NOW), moved, wall_ms=NOW) is PutOutcome.INVALID


@given(st.permutations(range(MAX_PROVIDERS_PER_KEY + 30)))
def test_who_stays_at_the_cap_does_not_depend_on_who_came_first(order: list[int]) -> None:
    s, in_order = store(), store()
    key = bytes(32)
    for i in order:
        s.put_provider(provider(key, i), ADDRESS, wall_ms=NOW)
    for i in sorted(order):
        in_order.put_provider(provider(key, i), ADDRESS, wall_ms=NOW)
    stay = everybody(s, key)
    assert len(stay) == s.provider_count == MAX_PROVIDERS_PER_KEY
    assert stay == everybody(in_order, key)


def test_who_stays_cannot_be_predicted_without_the_secret() -> None:
    one, other = store(), RecordStore(MemoryStorage(), 0, secret=b"t" * 16)
    for i in range(MAX_PROVIDERS_PER_KEY + 30):
        for s in (one, other):
            s.put_provider(provider(bytes(32), i), ADDRESS, wall_ms=NOW)
    assert set(everybody(one, bytes(32))) != set(everybody(other, bytes(32)))


def test_the_order_survives_a_restart_so_that_cursors_stay_valid() -> None:
    storage = MemoryStorage()
    s = store(storage)
    for i in range(20):
        s.put_provider(provider(bytes(32), i), ADDRESS, wall_ms=NOW)
    before = everybody(s, bytes(32))
    again = RecordStore(storage, 0, secret=b"another one 1234")
    assert again.provider_count == 20
    assert again.put_provider(provider(bytes(32), 3, seq=NOW - 1), ADDRESS, wall_ms=NOW) is PutOutcome.OLDER
    assert everybody(again, bytes(32)) == before


def test_providers_expire() -> None:
    s = store()
    for i in range(6):
        s.put_provider(provider(bytes(32), i, expires_ms=NOW + (i + 1) * HOUR), ADDRESS, wall_ms=NOW)
    assert len(everybody(s, bytes(32), now=NOW + 2 * HOUR)) == 4, "not served, though not swept yet"
    assert s.expire(NOW + 2 * HOUR) == 2
    assert s.provider_count == 4
    assert s.expire(NOW + 30 * HOUR) == 4
    assert s.providers(bytes(32), None, 5, NOW) == ([], None)


@pytest.mark.parametrize("who", ["author", "group"])
def test_one_provider_or_subnet_cannot_fill_the_shelf(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.dht.shelf.MAX_RECORDS_PER_AUTHOR", 10)
    monkeypatch.setattr("overlay.dht.shelf.MAX_RECORDS_PER_GROUP", 10)
    s, groups = store(), Diversity()
    for i in range(30):
        key = bytes((i,)) * 32
        name, at = (1, f"10.0.0.{i}:1") if who == "author" else (i, f"50.1.2.{i}:1")
        s.put_provider(provider(key, name), parse_address(at), wall_ms=NOW, groups=groups)
    assert s.provider_count == 10
    assert all(everybody(s, bytes((i,)) * 32) for i in range(10)), "the nearest to us (id 0) stay"
