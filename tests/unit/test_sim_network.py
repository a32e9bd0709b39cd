"""simulations.network: who is reached from where, and what happens on the way."""

from __future__ import annotations

from itertools import groupby

import pytest

from overlay.errors import LocalError
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND
from simulations.network import LAN, MILLION, Arrival, Link, Network
from simulations.pipe import Pipe
from simulations.profiles import link_of
from simulations.regions import NAMES, ROUND_TRIP_MS
from simulations.scenario import LinkSpec

EXACT = Link(latency_ns=(5, 5))
A = parse_address("20.0.0.1:1000")
B = parse_address("30.0.0.1:2000")


def at(text: str) -> Address:
    return parse_address(text)


def pair(link: Link = EXACT) -> Network:
    network = Network(link)
    network.attach(0, [A])
    network.attach(1, [B])
    return network


def test_arrives_with_the_delay_and_the_source_of_the_sender() -> None:
    assert pair().send(0, B, 100, Rng(0)) == (Arrival(5, 1, A),)


def test_delays_are_uniform_in_the_range() -> None:
    network, rng = pair(Link(latency_ns=(10, 13))), Rng(1)
    delays = [network.send(0, B, 1, rng, now_ns=now_ns)[0].delay_ns for now_ns in range(400)]
    assert set(delays) == {10, 11, 12, 13}
    assert min(delays.count(delay) for delay in range(10, 14)) > 60


def test_what_is_sent_at_one_instant_stays_in_order_unless_it_is_held_back() -> None:
    network, rng = pair(Link(latency_ns=(10, 1000))), Rng(1)
    at_once = [network.send(0, B, 1, rng, now_ns=7)[0].delay_ns for _ in range(20)]
    assert at_once == sorted(at_once)
    assert network.send(0, B, 1, rng, now_ns=8)[0].delay_ns < at_once[-1]
    held = pair(Link(latency_ns=(10, 1000), reorder_ppm=500_000))
    at_once = [held.send(0, B, 1, rng, now_ns=7)[0].delay_ns for _ in range(20)]
    assert at_once != sorted(at_once)


def test_nobody_there_other_port_or_own_family_missing() -> None:
    network = pair()
    network.attach(2, [at("[2001:4860::1]:3000")])
    for to in ("30.0.0.2:2000", "30.0.0.1:2001", "[2001:4860::1]:3000"):
        assert network.send(0, at(to), 1, Rng(0)) == ()
    assert network.lost == {"unreachable": 3}


def test_private_addresses_are_reached_within_their_site_only() -> None:
    network = Network(EXACT)
    private = [at("10.0.0.1:1"), at("10.0.0.2:1")]
    network.attach(0, [private[0]], site=1)
    network.attach(1, [private[1]], site=1)
    network.attach(2, [private[1]], site=2)  # the same address on another LAN
    network.attach(3, [B])
    [arrival] = network.send(0, private[1], 1, Rng(0))
    assert (arrival.node, arrival.source) == (1, private[0])
    assert network.send(2, private[0], 1, Rng(0)) == ()
    assert network.send(0, B, 1, Rng(0)) == (), "there is no NAT"
    assert network.send(3, private[0], 1, Rng(0)) == ()


def test_a_node_with_many_addresses_sends_from_the_fitting_one() -> None:
    network = Network(EXACT)
    home = [at("10.0.0.1:1"), at("20.0.0.1:1"), at("[2001:4860::1]:1"), at("[fe80::1%2]:1"), at("127.0.0.1:1")]
    away = [at("10.0.0.2:1"), at("30.0.0.1:1"), at("[2001:4860::2]:1"), at("[fe80::2%7]:1"), at("127.0.0.1:1")]
    network.attach(0, home)
    network.attach(1, away)
    for mine, theirs in zip(home[:4], away[:4], strict=True):
        assert network.send(0, theirs, 1, Rng(0)) == (Arrival(5, 1, mine),)
    assert network.send(0, at("127.0.0.1:1"), 1, Rng(0)) == (Arrival(5, 0, home[4]),), "loopback is oneself"
    assert network.send(0, at("127.0.0.1:2"), 1, Rng(0)) == ()


def test_global_and_private_addresses_of_one_site_reach_each_other() -> None:
    network = Network(EXACT)
    network.attach(0, [at("10.0.0.1:1")])
    network.attach(1, [A])
    assert network.send(1, at("10.0.0.1:1"), 1, Rng(0)) == (Arrival(5, 0, A),)


def test_moving_gives_up_the_old_addresses() -> None:
    network = pair()
    network.attach(1, [at("40.0.0.1:1")])
    assert network.send(0, B, 1, Rng(0)) == ()
    assert network.send(0, at("40.0.0.1:1"), 1, Rng(0))[0].node == 1
    network.attach(0, [B])
    assert network.addresses(0) == (B,)


def test_an_address_belongs_to_one_node() -> None:
    network = pair()
    with pytest.raises(LocalError, match="node 0 has"):
        network.attach(1, [A])
    assert network.send(0, B, 1, Rng(0)) != (), "the refused change changed nothing"


def test_loss_duplication_and_reordering_happen_about_as_often_as_told() -> None:
    link = Link(latency_ns=(1, 1), loss_ppm=200_000, duplicate_ppm=100_000, reorder_ppm=300_000, reorder_ns=(100, 200))
    network, rng = pair(link), Rng(3)
    arrivals = [network.send(0, B, 1, rng) for _ in range(5000)]
    assert 850 < sum(not one for one in arrivals) < 1150
    assert network.lost["loss"] == sum(not one for one in arrivals)
    assert 320 < sum(len(one) == 2 for one in arrivals) < 480
    late = [arrival.delay_ns for one in arrivals for arrival in one if arrival.delay_ns > 1]
    assert 1150 < len(late) < 1500
    assert min(late) >= 101
    assert max(late) <= 201


def test_certain_loss_and_none() -> None:
    assert all(not pair(Link(loss_ppm=MILLION)).send(0, B, 1, Rng(seed)) for seed in range(50))
    assert all(pair(LAN).send(0, B, 1, Rng(seed)) for seed in range(50))


def test_longer_than_the_mtu_is_lost() -> None:
    network = pair(Link(mtu=100))
    assert network.send(0, B, 100, Rng(0))
    assert not network.send(0, B, 101, Rng(0))
    assert network.lost == {"mtu": 1}


def test_an_unplugged_node_neither_sends_nor_receives() -> None:
    network = pair()
    network.unplug(1)
    assert not network.send(0, B, 1, Rng(0))
    assert not network.send(1, A, 1, Rng(0))
    network.plug(1)
    assert network.send(0, B, 1, Rng(0))


def test_partitions_separate_until_healed() -> None:
    network = Network(EXACT)
    addresses = [at(f"20.0.0.{i + 1}:1") for i in range(5)]
    for node, address in enumerate(addresses):
        network.attach(node, [address])

    def reached(sender: int) -> list[int]:
        return [node for node in range(5) if node != sender and network.send(sender, addresses[node], 1, Rng(0))]

    network.partition([0, 1], [2])
    assert [reached(node) for node in range(5)] == [[1], [0], [], [4], [3]]
    network.partition([0, 4])
    assert [reached(node) for node in range(5)] == [[4], [2, 3], [1, 3], [1, 2], [0]]
    network.heal()
    assert [len(reached(node)) for node in range(5)] == [4] * 5


def test_the_same_seed_gives_the_same_fate() -> None:
    def fates() -> list[object]:
        network, rng = pair(Link(loss_ppm=300_000, duplicate_ppm=300_000, reorder_ppm=300_000)), Rng(9)
        return [network.send(0, B, 1, rng) for _ in range(100)]

    assert fates() == fates()


def test_impossible_links_are_refused() -> None:
    with pytest.raises(LocalError, match="loss_ppm"):
        Link(loss_ppm=MILLION + 1)
    with pytest.raises(LocalError, match="latency_ns"):
        Link(latency_ns=(5, 4))


def test_a_cut_is_one_way() -> None:
    network = pair()
    network.cut([0], [1])
    assert not network.send(0, B, 1, Rng(0))
    assert network.send(1, A, 1, Rng(0))
    assert network.lost == {"cut": 1}
    network.heal()
    assert network.send(0, B, 1, Rng(0))


def test_bursts_lose_the_share_they_should_in_runs_as_long_as_they_should() -> None:
    network, rng = pair(link_of(LinkSpec(profile="lan", loss=0.2, burst=8))), Rng(5)
    fates = [bool(network.send(0, B, 1, rng)) for _ in range(40_000)]
    assert 0.18 < fates.count(False) / len(fates) < 0.22
    runs = [len(list(run)) for arrived, run in groupby(fates) if not arrived]
    assert 7 < sum(runs) / len(runs) < 9


def test_a_line_passes_so_many_bytes_a_second_and_queues_no_longer_than_told() -> None:
    """1,000 bytes a second; datagrams of 72 + 28 bytes take 100 ms each."""
    network = pair()
    network.set_pipes(0, up=Pipe(1000, 250 * MS), down=None)
    delays = [network.send(0, B, 72, Rng(0), now_ns=0) for _ in range(5)]
    assert [one[0].delay_ns if one else None for one in delays] == [*(n * 100 * MS + 5 for n in (1, 2, 3)), None, None]
    assert network.lost == {"queue": 2}
    assert network.send(0, B, 72, Rng(0), now_ns=SECOND)[0].delay_ns == 100 * MS + 5, "it is empty again"
    assert network.send(1, A, 72, Rng(0), now_ns=0)[0].delay_ns == 5, "the other direction is another line"


def test_the_delay_between_regions_is_that_of_the_table() -> None:
    network = pair(link_of(LinkSpec(profile="wan")))
    network.set_region(0, NAMES.index("Europe"))
    network.set_region(1, NAMES.index("Australia"))
    delays = [network.send(0, B, 1, Rng(seed))[0].delay_ns // MS for seed in range(50)]
    assert 251 // 2 + 4 <= min(delays) < max(delays) <= 126 + 20


def test_the_table_of_regions_is_symmetric_and_home_is_nearest() -> None:
    for i, row in enumerate(ROUND_TRIP_MS):
        assert len(row) == len(ROUND_TRIP_MS) == len(NAMES)
        assert [other[i] for other in ROUND_TRIP_MS] == list(row)
        assert min(row) == row[i]
