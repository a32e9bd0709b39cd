"""The store under any history, clock jumps and restarts, against a dictionary."""

from __future__ import annotations

import hashlib

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from overlay.dht.store import PutOutcome, RecordStore
from overlay.identity.node_id import node_id_of
from overlay.limits import MAX_RECORD_TTL_MS, MAX_SEQ_AHEAD_MS
from overlay.wire.records import SignedRecord, blob_key
from simulations.storage import MemoryStorage

DAY = 24 * 3600 * 1000
TOTAL, PER_AUTHOR, PER_GROUP = 5, 2, 3
AUTHORS = [bytes((i,)) * 32 for i in range(4)]
GROUPS = [b"", b"g1", b"g2"]
START = 1_800_000_000_000
ttls = st.sampled_from([0, 1, 60, 80_000, 200_000])


@attrs.define
class Row:
    seq: int
    value: bytes
    expires_ms: int
    author: bytes
    group: bytes
    signed: bool


class Store(RuleBasedStateMachine):
    @initialize(own=st.integers(0, 2**256 - 1))
    def start(self, own: int) -> None:
        self.own = own
        self.wall = START
        self.swept = -1
        self.storage = MemoryStorage()
        self.rows: dict[bytes, Row] = {}
        self.others: dict[bytes, bytes] = {}
        self.open()

    def open(self) -> None:
        self.store = RecordStore(
            self.storage, self.own, secret=b"s" * 16, total=TOTAL, per_author=PER_AUTHOR, per_group=PER_GROUP
        )

    @rule()
    def reopen(self) -> None:
        self.open()
        self.swept = -1

    @rule(ms=st.sampled_from([1, 1000, 61_000, DAY // 2, -1000, -61_000, -DAY]) | st.integers(-2 * DAY, 2 * DAY))
    def clock_moves(self, ms: int) -> None:
        self.wall += ms

    @rule()
    def expire(self) -> None:
        if self.swept < 0 or self.wall < self.swept - 60_000:
            for row in self.rows.values():
                row.expires_ms = min(row.expires_ms, self.wall + MAX_RECORD_TTL_MS)
        self.swept = self.wall
        over = [key for key, row in self.rows.items() if row.expires_ms <= self.wall]
        assert self.store.expire(self.wall) == len(over)
        for key in over:
            del self.rows[key]
            self.others.pop(key, None)

    @rule(n=st.integers(0, 7), ttl_s=ttls, author=st.sampled_from(AUTHORS), group=st.sampled_from(GROUPS))
    def put_blob(self, n: int, ttl_s: int, author: bytes, group: bytes) -> None:
        value = b"blob %d" % n
        key = blob_key(value)
        outcome = self.store.put_blob(key, value, wall_ms=self.wall, ttl_s=ttl_s, author=author, group=group)
        expires_ms = self.wall + min(ttl_s * 1000, MAX_RECORD_TTL_MS)
        held = self.live(key)
        if ttl_s == 0:
            assert outcome is PutOutcome.INVALID
        elif held is not None:
            assert outcome is PutOutcome.STORED
            held.expires_ms = max(held.expires_ms, expires_ms)
        else:
            self.insert(outcome, key, Row(0, value, expires_ms, author, group, signed=False))

    @rule(
        author=st.sampled_from(AUTHORS), salt=st.sampled_from([b"a", b"b"]), ahead=st.integers(-2, 3),
        value=st.sampled_from([b"x", b"y", b"z"]), life_ms=st.sampled_from([-1, 1, 60_000, DAY, 2 * DAY]), ttl_s=ttls,
        group=st.sampled_from(GROUPS), cas=st.none() | st.integers(-2, 3),
    )  # fmt: skip
    def put_signed(
        self,
        author: bytes,
        salt: bytes,
        ahead: int,
        value: bytes,
        life_ms: int,
        ttl_s: int,
        group: bytes,
        cas: int | None,
    ) -> None:
        seq = START + ahead
        expect = None if cas is None else START + cas
        record = SignedRecord(author, salt, seq, self.wall + life_ms, value, b"raw" + bytes((ahead + 2,)) + value)
        outcome = self.store.put_signed(record, wall_ms=self.wall, ttl_s=ttl_s, group=group, cas=expect)
        key = record.key
        expires_ms = self.wall + min(life_ms, ttl_s * 1000, MAX_RECORD_TTL_MS)
        held = self.live(key)
        if expires_ms <= self.wall or seq > self.wall + MAX_SEQ_AHEAD_MS:
            assert outcome is PutOutcome.INVALID
        elif held is None:
            self.insert(outcome, key, Row(seq, value, expires_ms, node_id_of(author), group, signed=True))
        elif (held.seq, held.value) == (seq, value):
            assert outcome is PutOutcome.STORED
            held.expires_ms = max(held.expires_ms, expires_ms)
        elif expect is not None and held.seq != expect:
            assert outcome is PutOutcome.CAS_MISMATCH
        elif seq < held.seq:
            assert outcome is PutOutcome.OLDER
        elif seq > held.seq:
            assert outcome is PutOutcome.STORED
            self.rows[key] = attrs.evolve(held, seq=seq, value=value, expires_ms=expires_ms)
            self.others.pop(key, None)
        else:
            wins = hashlib.sha256(value).digest() < hashlib.sha256(held.value).digest()
            first = key not in self.others
            if first:
                assert outcome is PutOutcome.EQUIVOCAL
            else:
                assert outcome is (PutOutcome.STORED if wins else PutOutcome.OLDER)
            if wins:
                self.others[key] = held.value
                self.rows[key] = attrs.evolve(held, value=value, expires_ms=expires_ms)
            elif first:
                self.others[key] = value

    @rule(n=st.integers(0, 7))
    def remove(self, n: int) -> None:
        key = blob_key(b"blob %d" % n)
        self.store.remove(key)
        self.rows.pop(key, None)

    def live(self, key: bytes) -> Row | None:
        row = self.rows.get(key)
        return row if row is not None and row.expires_ms > self.wall else None

    def distance(self, key: bytes) -> int:
        return int.from_bytes(key, "big") ^ self.own

    def insert(self, outcome: PutOutcome, key: bytes, row: Row) -> None:
        """Each full quota gives up its farthest, the narrowest first; nothing goes for one that is farther."""
        self.rows.pop(key, None)  # over
        self.others.pop(key, None)
        left = dict(self.rows)
        quotas = (("group", PER_GROUP), ("author", PER_AUTHOR), ("", TOTAL))
        for field, most in quotas if row.group else quotas[1:]:
            members = [k for k, r in left.items() if not field or getattr(r, field) == getattr(row, field)]
            if len(members) >= most:
                farthest = max(members, key=self.distance)
                if self.distance(farthest) < self.distance(key):
                    assert outcome is PutOutcome.QUOTA
                    return
                del left[farthest]
        assert outcome is PutOutcome.STORED
        self.others = {k: v for k, v in self.others.items() if k in left}
        self.rows = left
        self.rows[key] = row

    @invariant()
    def holds_what_it_should(self) -> None:
        assert len(self.store) == len(self.rows)
        assert self.store.keys_near(bytes(32), 0, limit=99) == sorted(self.rows)
        for key, row in self.rows.items():
            held = self.store.get(key, self.wall)
            if row.expires_ms <= self.wall:
                assert held is None
                continue
            assert held is not None
            assert (held.seq, held.expires_ms, held.author, held.group) == (
                row.seq, row.expires_ms, row.author, row.group
            )  # fmt: skip
            assert held.inner.endswith(row.value)
            assert (self.store.signed(key, self.wall) is not None) is row.signed
            other = self.store.other(key, self.wall)
            assert (other is None) is (key not in self.others)
            assert other is None or other.inner.endswith(self.others[key])

    @invariant()
    def leaves_no_rows_behind(self) -> None:
        stored = [at for at, _ in self.storage.scan(b"") if at[:4] in (b"rec/", b"eqv/")]
        assert len(stored) == len(self.rows) + len(self.others)


Store.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestStore = Store.TestCase
