"""What this node remembers of each peer it talked to: round-trip time, token, failures.

Round-trip estimation follows RFC 6298 (section 2) with datagram-sized bounds. A peer that is
not known yet gets the estimate of the network as a whole, so that on a fast LAN a dead
newcomer costs tens of milliseconds, not a second.

Hundreds are remembered, thousands at most, so each is one string of bytes: a quarter of what an object
and its numbers take, and nothing for the garbage collector to walk through.
"""

from __future__ import annotations

from struct import Struct

import attrs

from overlay.limits import INITIAL_RTO_MS, MAX_PEERS_REMEMBERED, MAX_RTO_MS, MIN_RTO_MS, TOKEN_ROTATION_S
from overlay.rpc.contact import Contact
from overlay.rpc.oldest import forget_oldest
from overlay.runtime.address import Address
from overlay.runtime.ports import MS, SECOND

#: Whoever gave a token takes it at least for as long (tokens.py).
_TOKEN_NS = TOKEN_ROTATION_S * SECOND
#: Smoothed round-trip time and its variation, answered, token given (ns), token, failures, role. All of a PeerState.
_RECORD = Struct("<qqqq8sHb")
_pack, _unpack = _RECORD.pack, _RECORD.unpack
_NO_TOKEN = bytes(8)
_LONG_AGO_NS = -(1 << 62)
_UNKNOWN = _pack(0, 0, 0, _LONG_AGO_NS, _NO_TOKEN, 0, -1)
#: Failures are counted no further.
_MOST_FAILURES = 0xFFFF


@attrs.define(slots=True)
class Rtt:
    """Smoothed round-trip time and its variation, ns."""

    smoothed: int = 0
    variation: int = 0

    def measured(self, sample_ns: int) -> None:
        self.smoothed, self.variation = _smoothed(self.smoothed, self.variation, sample_ns)

    @property
    def timeout_ns(self) -> int:
        return _timeout_ns(self.smoothed, self.variation)


def _smoothed(smoothed: int, variation: int, sample_ns: int) -> tuple[int, int]:
    if not smoothed:
        return sample_ns, sample_ns // 2
    return smoothed + (sample_ns - smoothed) // 8, variation + (abs(smoothed - sample_ns) - variation) // 4


def _timeout_ns(smoothed: int, variation: int) -> int:
    if not smoothed:
        return INITIAL_RTO_MS * MS
    return min(max(smoothed + 4 * variation, MIN_RTO_MS * MS), MAX_RTO_MS * MS)


@attrs.frozen(slots=True)
class PeerState:
    """What is remembered of one, as it was when it was asked for."""

    rtt: Rtt
    token: bytes | None
    #: When it last answered us at this address with its signature; 0 never.
    answered_ns: int
    #: Requests in a row that got no answer.
    failures: int
    #: 0 client, 1 full, 2 super, as it says itself; None before it said.
    role: int | None


class PeerBook:
    """Bounded: who has not answered for longest is forgotten first, before it who never did."""

    __slots__ = ("_records", "known", "network_rtt")

    def __init__(self) -> None:
        self._records: dict[Contact, bytes] = {}
        #: Whether a contact is remembered, asked of each of the 20 that an answer names.
        self.known = self._records.__contains__
        self.network_rtt = Rtt()

    def get(self, contact: Contact) -> PeerState | None:
        record = self._records.get(contact)
        if record is None:
            return None
        smoothed, variation, answered_ns, token_ns, token, failures, role = _unpack(record)
        return PeerState(
            Rtt(smoothed, variation), None if token_ns == _LONG_AGO_NS else token, answered_ns, failures,
            None if role < 0 else role,
        )  # fmt: skip

    def answered_ns(self, contact: Contact) -> int | None:
        """When it last answered us at this address; 0 never, None if it is not remembered."""
        record = self._records.get(contact)
        return None if record is None else int.from_bytes(record[16:24], "little")

    def addresses_of(self, node_id: bytes) -> list[Address]:
        """Where a peer has answered: where it is silent now last, else the latest first."""
        states = ((contact, self.get(contact)) for contact in self._records if contact.id == node_id)
        answered = [
            (state.failures, -state.answered_ns, contact.address)
            for contact, state in states
            if state is not None and state.answered_ns
        ]
        return [address for _, _, address in sorted(answered, key=lambda found: found[:2])]

    def timeout_ns(self, contact: Contact | None) -> int:
        record = self._records.get(contact) if contact is not None else None
        if record is not None:
            smoothed, variation, *_ = _unpack(record)
            if smoothed:
                return _timeout_ns(smoothed, variation)
        return self.network_rtt.timeout_ns

    def answered(
        self, contact: Contact, now_ns: int, rtt_ns: int | None, *, token: bytes | None = None, role: int | None = None
    ) -> int | None:
        """`rtt_ns` None: the answer was to a retry, so no sample (Karn's algorithm). `token` and `role`, if it gave
        them. Returns the role that it has, None if it never said."""
        smoothed, variation, _, token_ns, known_token, _, known_role = self._read(contact)
        if rtt_ns is not None:
            smoothed, variation = _smoothed(smoothed, variation, rtt_ns)
            self.network_rtt.measured(rtt_ns)
        if token is None:
            token = known_token
        else:
            token_ns = now_ns
        if role is None:
            role = known_role
        self._records[contact] = _pack(smoothed, variation, now_ns, token_ns, token, 0, role)
        return None if role < 0 else role

    def failed(self, contact: Contact) -> None:
        *known, failures, role = self._read(contact)
        self._records[contact] = _pack(*known, min(failures + 1, _MOST_FAILURES), role)

    def learn_token(self, contact: Contact, token: bytes, now_ns: int) -> None:
        smoothed, variation, answered_ns, _, _, failures, role = self._read(contact)
        self._records[contact] = _pack(smoothed, variation, answered_ns, now_ns, token, failures, role)

    def token(self, contact: Contact, now_ns: int) -> bytes | None:
        record = self._records.get(contact)
        if record is None or now_ns - int.from_bytes(record[24:32], "little", signed=True) >= _TOKEN_NS:
            return None
        return record[32:40]

    def forget(self, contact: Contact) -> None:
        self._records.pop(contact, None)

    def forget_times(self) -> None:
        """As if no round trip had been measured."""
        self.network_rtt = Rtt()
        for contact, record in self._records.items():
            self._records[contact] = _pack(0, 0, *_unpack(record)[2:])

    def contacts(self) -> tuple[Contact, ...]:
        return tuple(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def _read(self, contact: Contact) -> tuple[int, int, int, int, bytes, int, int]:
        """What is remembered, or nothing yet: there is room for it then."""
        record = self._records.get(contact)
        if record is None:
            record = _UNKNOWN
            if len(self._records) >= MAX_PEERS_REMEMBERED:
                forget_oldest(self._records, _used_ns)
        return _unpack(record)


def _used_ns(record: bytes) -> int:
    _, _, answered_ns, token_ns, *_ = _unpack(record)
    used_ns: int = max(answered_ns, token_ns)
    return used_ns
