"""What this node remembers of each peer it talked to: round-trip time, token, failures.

Round-trip estimation follows RFC 6298 (section 2) with datagram-sized bounds. A peer that is
not known yet gets the estimate of the network as a whole, so that on a fast LAN a dead
newcomer costs tens of milliseconds, not a second.
"""

from __future__ import annotations

import attrs

from overlay.limits import INITIAL_RTO_MS, MAX_PEERS_REMEMBERED, MAX_RTO_MS, MIN_RTO_MS, TOKEN_ROTATION_S
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address
from overlay.runtime.ports import MS, SECOND

#: Whoever gave a token takes it at least for as long (tokens.py).
_TOKEN_NS = TOKEN_ROTATION_S * SECOND


@attrs.define(slots=True)
class Rtt:
    """Smoothed round-trip time and its variation, ns."""

    smoothed: int = 0
    variation: int = 0

    def measured(self, sample_ns: int) -> None:
        if not self.smoothed:
            self.smoothed, self.variation = sample_ns, sample_ns // 2
            return
        self.variation += (abs(self.smoothed - sample_ns) - self.variation) // 4
        self.smoothed += (sample_ns - self.smoothed) // 8

    @property
    def timeout_ns(self) -> int:
        if not self.smoothed:
            return INITIAL_RTO_MS * MS
        return min(max(self.smoothed + 4 * self.variation, MIN_RTO_MS * MS), MAX_RTO_MS * MS)


@attrs.define(slots=True)
class PeerState:
    rtt: Rtt
    token: bytes | None = None
    #: When it gave us this token.
    token_ns: int = 0
    #: When it last answered us at this address with its signature; 0 never.
    answered_ns: int = 0
    #: Requests in a row that got no answer.
    failures: int = 0
    failed_ns: int = 0
    #: 0 client, 1 full, 2 super, as it says itself; None before it said.
    role: int | None = None

    def learn_token(self, token: bytes, now_ns: int) -> None:
        self.token, self.token_ns = token, now_ns


class PeerBook:
    """Bounded: the peer that was used least recently is forgotten first."""

    __slots__ = ("network_rtt", "states")

    def __init__(self) -> None:
        #: Others read it only; they are spared a call for each contact that an answer names.
        self.states: dict[Contact, PeerState] = {}
        self.network_rtt = Rtt()

    def get(self, contact: Contact) -> PeerState | None:
        return self.states.get(contact)

    def touch(self, contact: Contact) -> PeerState:
        state = self.states.pop(contact, None)
        if state is None:
            if len(self.states) >= MAX_PEERS_REMEMBERED:
                del self.states[next(iter(self.states))]
            state = PeerState(Rtt())
        self.states[contact] = state
        return state

    def addresses_of(self, node_id: bytes) -> list[Address]:
        """Where a peer has answered: where it is silent now last, else the latest first."""
        answered = [
            (state.failures, -state.answered_ns, contact.address)
            for contact, state in self.states.items()
            if contact.id == node_id and state.answered_ns
        ]
        return [address for _, _, address in sorted(answered, key=lambda found: found[:2])]

    def timeout_ns(self, contact: Contact | None) -> int:
        state = self.states.get(contact) if contact is not None else None
        rtt = state.rtt if state is not None and state.rtt.smoothed else self.network_rtt
        return rtt.timeout_ns

    def answered(self, contact: Contact, now_ns: int, rtt_ns: int | None) -> PeerState:
        """`rtt_ns` None: the answer was to a retry, so no sample (Karn's algorithm)."""
        state = self.touch(contact)
        state.answered_ns, state.failures = now_ns, 0
        if rtt_ns is not None:
            state.rtt.measured(rtt_ns)
            self.network_rtt.measured(rtt_ns)
        return state

    def failed(self, contact: Contact, now_ns: int) -> PeerState:
        state = self.touch(contact)
        state.failures += 1
        state.failed_ns = now_ns
        return state

    def learn_token(self, contact: Contact, token: bytes, now_ns: int) -> None:
        self.touch(contact).learn_token(token, now_ns)

    def token(self, contact: Contact, now_ns: int) -> bytes | None:
        state = self.states.get(contact)
        return state.token if state is not None and now_ns - state.token_ns < _TOKEN_NS else None

    def forget(self, contact: Contact) -> None:
        self.states.pop(contact, None)

    def contacts(self) -> tuple[Contact, ...]:
        return tuple(self.states)

    def __len__(self) -> int:
        return len(self.states)
