"""Time-outs by RFC 6298, samples by Karn's rule, and how many peers are remembered."""

from __future__ import annotations

import pytest

from overlay.limits import (
    INITIAL_RTO_MS,
    MAX_DATAGRAMS_PER_ADDRESS_S,
    MAX_PEERS_REMEMBERED,
    MAX_RTO_MS,
    MIN_RTO_MS,
    TOKEN_ROTATION_S,
)
from overlay.rpc.contact import Contact, ContactBook
from overlay.rpc.meter import Meter
from overlay.rpc.peers import PeerBook, Rtt
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import MS, SECOND

BOOK = ContactBook()
#: Contacts live as long as somebody holds them.
HELD: list[Contact] = []


def somebody(i: int) -> Contact:
    contact = BOOK.contact(i.to_bytes(32, "big"), Address(bytes((10, i >> 16 & 255, i >> 8 & 255, i & 255)), 4433))
    HELD.append(contact)
    return contact


def test_before_any_sample_the_time_out_is_the_initial_one() -> None:
    assert Rtt().timeout_ns == INITIAL_RTO_MS * MS


def test_the_first_sample() -> None:
    """RFC 6298 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR."""
    rtt = Rtt()
    rtt.measured(100 * MS)
    assert (rtt.smoothed, rtt.variation, rtt.timeout_ns) == (100 * MS, 50 * MS, 300 * MS)


def test_following_samples() -> None:
    """RFC 6298 2.3: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'| with the old SRTT; SRTT = 7/8 SRTT + 1/8 R'."""
    rtt = Rtt()
    rtt.measured(100 * MS)
    rtt.measured(180 * MS)
    assert rtt.variation == pytest.approx((0.75 * 50 + 0.25 * 80) * MS)
    assert rtt.smoothed == pytest.approx((0.875 * 100 + 0.125 * 180) * MS)


BOUNDS = [(1, MIN_RTO_MS), (5 * MS, MIN_RTO_MS), (5 * SECOND, MAX_RTO_MS)]


@pytest.mark.parametrize(("sample_ns", "timeout_ms"), BOUNDS)
def test_bounds(sample_ns: int, timeout_ms: int) -> None:
    rtt = Rtt()
    rtt.measured(sample_ns)
    assert rtt.timeout_ns == timeout_ms * MS


def test_a_stranger_gets_the_estimate_of_the_network() -> None:
    peers = PeerBook()
    peers.answered(somebody(1), 1, 100 * MS)
    assert peers.timeout_ns(somebody(2)) == peers.timeout_ns(None) == 300 * MS


def test_an_answer_to_a_retry_is_no_sample() -> None:
    peers = PeerBook()
    peers.answered(somebody(1), 1, None)
    assert peers.timeout_ns(somebody(1)) == peers.timeout_ns(None) == INITIAL_RTO_MS * MS


def test_failures_are_counted_in_a_row() -> None:
    peers = PeerBook()
    for failures in (1, 2):
        peers.failed(somebody(1))
        state = peers.get(somebody(1))
        assert state is not None
        assert state.failures == failures
    peers.answered(somebody(1), 3, None)
    state = peers.get(somebody(1))
    assert state is not None
    assert state.failures == 0


def test_a_token_is_used_for_one_rotation() -> None:
    peers = PeerBook()
    peers.learn_token(somebody(1), b"12345678", 10)
    assert peers.token(somebody(1), 10 + TOKEN_ROTATION_S * SECOND - 1) == b"12345678"
    assert peers.token(somebody(1), 10 + TOKEN_ROTATION_S * SECOND) is None


def test_so_many_are_remembered_and_who_has_not_answered_for_longest_goes() -> None:
    peers = PeerBook()
    for i in range(MAX_PEERS_REMEMBERED - 1):
        peers.answered(somebody(i), 1 + i, None)
    silent = somebody(1 << 20)
    peers.failed(silent)
    peers.answered(somebody(0), MAX_PEERS_REMEMBERED, None)
    peers.answered(somebody(MAX_PEERS_REMEMBERED), MAX_PEERS_REMEMBERED, None)
    assert MAX_PEERS_REMEMBERED * 9 // 10 < len(peers) <= MAX_PEERS_REMEMBERED
    assert peers.get(somebody(0)) is not None
    assert peers.get(somebody(MAX_PEERS_REMEMBERED - 2)) is not None
    assert peers.get(somebody(1)) is None
    assert peers.get(silent) is None, "it never answered"


def test_who_gave_a_token_lately_is_not_forgotten_before_who_answered_long_ago() -> None:
    peers = PeerBook()
    fresh = somebody(1 << 20)
    peers.learn_token(fresh, b"12345678", MAX_PEERS_REMEMBERED)
    for i in range(MAX_PEERS_REMEMBERED):
        peers.answered(somebody(i), 1 + i, None)
    assert peers.get(somebody(0)) is None
    assert peers.token(fresh, MAX_PEERS_REMEMBERED) == b"12345678"


def test_who_is_silent_for_ever_is_counted_to_a_bound() -> None:
    peers = PeerBook()
    for _ in range((1 << 16) + 1):
        peers.failed(somebody(1))
    state = peers.get(somebody(1))
    assert state is not None
    assert state.failures == (1 << 16) - 1


# --- the meter -------------------------------------------------------------------------------


def allowed(meter: Meter, source: str, n: int, now_ns: int = 0) -> int:
    return sum(meter.allows(parse_address(source), now_ns) for _ in range(n))


def test_an_address_has_so_many_a_second() -> None:
    meter = Meter()
    assert allowed(meter, "60.1.2.3:1", 3000) == MAX_DATAGRAMS_PER_ADDRESS_S
    assert allowed(meter, "60.1.2.3:2", 1) == 0, "ports are free"
    assert allowed(meter, "60.1.2.4:1", 1) == 1
    assert allowed(meter, "60.1.2.3:1", 1, SECOND) == 1


def test_a_host_has_one_share_for_its_ipv6_net() -> None:
    meter = Meter()
    assert allowed(meter, "[2600:1:2:3::1]:1", 1500) + allowed(meter, "[2600:1:2:3::2]:1", 1500) == (
        MAX_DATAGRAMS_PER_ADDRESS_S
    )
    assert allowed(meter, "[2600:1:2:4::1]:1", 1) == 1


def test_loopback_is_not_counted() -> None:
    assert allowed(Meter(), "127.0.0.1:1", 5000) == 5000


def test_the_meter_remembers_so_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.rpc.meter.MAX_ADDRESSES_METERED", 10)
    meter = Meter()
    assert all(allowed(meter, f"60.1.2.{i}:1", 1) for i in range(100))
    assert len(meter._counts) == 10
    assert allowed(meter, "60.1.2.0:1", 3000) == MAX_DATAGRAMS_PER_ADDRESS_S - 1


def test_where_a_peer_has_answered() -> None:
    """The latest first; where it is silent now last; neither others nor what never answered."""
    book, one = PeerBook(), somebody(1)
    elsewhere = [BOOK.contact(one.key, Address(bytes((10, 9, 9, n)), 4433)) for n in range(4)]
    book.answered(one, 5, None)
    book.answered(elsewhere[0], 9, None)
    book.answered(elsewhere[1], 7, None)
    book.failed(elsewhere[0])
    book.learn_token(elsewhere[2], bytes(8), 8)
    book.answered(somebody(2), 8, None)
    assert book.addresses_of(one.id) == [elsewhere[1].address, one.address, elsewhere[0].address]
    assert book.addresses_of(bytes(32)) == []
