"""What this node itself published: kept so that it can be published again, also after a restart.

A seq is on disk before it is signed, so neither a crash nor a clock that goes back can make
this node sign two values for one seq.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from overlay.dht.put import Profile
from overlay.errors import BadMessage, LimitError
from overlay.limits import MAX_OWN_RECORDS
from overlay.runtime.journal import Journal
from overlay.wire import cbor

_OWN, _SEQ = b"own/", b"seq/"

#: Types beside the blob (1) and signed record (2) of STORE.
PROVIDER = 3


@attrs.frozen(slots=True, kw_only=True)
class Own:
    key: bytes
    type: int
    #: blob: the value; signed: salt, seq and value are signed anew at each publication; provider: empty.
    value: bytes
    salt: bytes = b""
    seq: int = 0
    #: Wall milliseconds after which it is no longer published; None: as long as this node runs.
    until_ms: int | None = None
    profile: Profile = Profile.SECURE


class OwnRecords:
    """At most MAX_OWN_RECORDS, in the order of their keys."""

    __slots__ = ("_due", "_journal", "_read_back", "_swaps")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        #: key -> mono ns of the next publication; all that is on disk is due at once.
        self._due: dict[bytes, int] = {key[len(_OWN) :]: 0 for key, _ in journal.storage.scan(_OWN)}
        self._read_back: dict[bytes, None] = {}
        #: key -> seq of a compare-and-swap that is under way. It is in no list before it has won.
        self._swaps: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[Own]:
        for key in tuple(self._due):
            own = self.get(key)
            if own is not None:
                yield own

    def get(self, key: bytes) -> Own | None:
        if key not in self._due:
            return None
        raw = self._journal.storage.get(_OWN + key)
        if raw is None:
            return None
        try:
            kind, value, salt, seq, until_ms, profile = cbor.decode(raw)
            return Own(key=key, type=kind, value=value, salt=salt, seq=seq, until_ms=until_ms, profile=Profile(profile))
        except (BadMessage, ValueError, TypeError):
            return None  # written by a version that this one cannot read

    def check_room(self, key: bytes) -> None:
        """Raises LimitError at the cap: forget one first."""
        if key not in self._due and len(self._due) + len(self._swaps) >= MAX_OWN_RECORDS:
            raise LimitError(f"this node publishes {MAX_OWN_RECORDS} records already; withdraw one (dht forget)")

    def remember(self, own: Own, due_ns: int) -> None:
        """Raises LimitError at the cap, or if the disk takes nothing."""
        self.check_room(own.key)
        fields = [own.type, own.value, own.salt, own.seq, own.until_ms, str(own.profile)]
        self._journal.storage.put(_OWN + own.key, cbor.encode(fields))
        self._due[own.key] = due_ns

    def forget(self, key: bytes) -> None:
        """Raises LimitError if the disk takes nothing: it stays in the list then."""
        if key in self._due:
            self._journal.storage.delete(_OWN + key)
            del self._due[key]

    def undo(self, mine: Own, before: Own | None, due_ns: int) -> None:
        """What was remembered is to be as if it never was: whoever asked for it is told that it failed.

        Not if another publication has replaced it since.
        """
        if self.get(mine.key) != mine:
            return
        try:
            if before is None:
                self.forget(mine.key)
            else:
                self.remember(before, due_ns)
        except LimitError:  # the disk takes nothing: at least this life does not publish it
            self._due.pop(mine.key, None)

    def postpone(self, key: bytes, due_ns: int) -> None:
        if key in self._due:
            self._due[key] = due_ns

    def hasten(self, due_ns: int) -> None:
        """Have everything published at `due_ns`, if it is not due before."""
        for key, planned_ns in self._due.items():
            self._due[key] = min(planned_ns, due_ns)

    def due(self, now_ns: int) -> bytes | None:
        """A record whose time has come; the longest waiting first."""
        key = min(self._due, key=self._due.__getitem__, default=None)
        return key if key is not None and self._due[key] <= now_ns else None

    # --- compare-and-swap -------------------------------------------------------------------

    def begin_swap(self, key: bytes, seq: int) -> None:
        """Keeps a place for it, so that there is room once it has won. Raises LimitError at the cap."""
        self.check_room(key)
        self._swaps[key] = seq

    def end_swap(self, key: bytes, seq: int) -> None:
        if self._swaps.get(key) == seq:
            del self._swaps[key]

    def swapping(self, key: bytes) -> int:
        """The seq of the one that is under way, 0 if there is none."""
        return self._swaps.get(key, 0)

    # --- sequence numbers -----------------------------------------------------------------

    def stored_seq(self, salt: bytes) -> int:
        raw = self._journal.storage.get(_SEQ + salt)
        return int.from_bytes(raw, "big") if raw else 0

    def is_last(self, salt: bytes, seq: int) -> bool:
        """Has this node signed nothing since? Else what is newer may be its own next put, which is to stay so."""
        return self.stored_seq(salt) == seq

    def needs_read_back(self, salt: bytes) -> bool:
        """Has this life not yet asked the network for its newest record under `salt`?"""
        return salt not in self._read_back

    def was_read_back(self, salt: bytes) -> None:
        if len(self._read_back) >= MAX_OWN_RECORDS:
            del self._read_back[next(iter(self._read_back))]
        self._read_back[salt] = None

    def raise_seq(self, salt: bytes, seq: int) -> None:
        """A record of ours with this seq was found in the network: the next is above it."""
        if seq > self.stored_seq(salt):
            self._journal.storage.put(_SEQ + salt, seq.to_bytes(8, "big"))

    async def next_seq(self, salt: bytes, wall_ms: int, *, above: int = 0) -> int:
        """Above all that was used, at least the clock, and synced to disk when this returns."""
        seq = max(self.stored_seq(salt) + 1, above + 1, wall_ms)
        self._journal.storage.put(_SEQ + salt, seq.to_bytes(8, "big"))
        await self._journal.synced()
        return seq
