"""Swarms in networks and on machines that are not well: NATs, sites, sleep, clocks, disks, cuts, slow lines."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.peer import Peer
from overlay.runtime.address import Scope
from overlay.runtime.ports import SECOND
from overlay.wire.registry import Role
from simulations import spec
from simulations.nat import Nat
from simulations.population import Codec
from simulations.swarm import RunEnd, Swarm

QUIET: dict[str, Any] = {"link": {"profile": "lan"}, "duration_s": 60.0, "without": []}


def swarm(**table: Any) -> Swarm:
    table = QUIET | table
    table["population"] = {"nodes": 12, "arrive_s": 2.0, **table.get("population", {})}
    return Swarm(spec.scenario_of("test", table), seed=1, codec=Codec.OBJECTS)


def tables(world: Swarm) -> list[int]:
    return [len(peer_of(world, node).table) for node in range(len(world))]


def peer_of(world: Swarm, node: int) -> Peer:
    peer = world.engine.peer(node)
    assert isinstance(peer, Peer)
    return peer


def good(end: RunEnd) -> RunEnd:
    assert end.ok, (end.verdicts, end.broken)
    return end


def test_behind_a_nat_a_node_is_a_client_and_in_no_table() -> None:
    world = swarm(
        population={
            "nodes": 34, "bootstraps": 26, "arrive_s": 40.0, "nat": {"port_restricted": 0.5, "symmetric": 0.5}
        },
        # Those whom it asked when it joined reach it through that for a while, and look again after more than a minute.
        duration_s=240.0, workload=[{"kind": "census"}, {"kind": "put-get", "values": 8, "gets": 30, "from_s": 60.0}],
    )  # fmt: skip
    figures = good(world.run()).measures
    assert {world.network.nat_of(node) for node in range(26, 34)} == {Nat.PORT_RESTRICTED, Nat.SYMMETRIC}
    assert (figures["behind_nat"], figures["behind_nat_full"], figures["behind_nat_listed"]) == (8, 0, 0)
    assert (figures["clients"], figures["full"]) == (8, 26)
    assert figures["get_success"] == 1.0
    assert figures["lost_filtered"] > 0


def test_a_full_cone_lets_strangers_in_and_so_its_node_serves() -> None:
    world = swarm(
        population={"nodes": 30, "bootstraps": 26, "arrive_s": 40.0, "nat": {"full_cone": 1.0}},
        duration_s=150.0, workload=[{"kind": "census"}],
    )  # fmt: skip
    good(world.run())
    # Whoever was asked to dial may have been contacted already, which proves nothing; so not all know it by now.
    full = [node for node in range(26, 30) if peer_of(world, node).reach.role == Role.FULL]
    assert full
    for node in full:
        assert sum(world.population.keys(node).key in peer_of(world, other).table for other in range(26)) >= 10


def test_members_of_a_site_meet_there_and_reach_others_by_those_on_the_internet() -> None:
    world = swarm(
        population={"nodes": 15, "bootstraps": 3, "place": "sites", "sites": 2},
        workload=[{"kind": "put-get", "values": 8, "gets": 40, "from_s": 20.0}],
    )
    assert good(world.run()).measures["get_success"] == 1.0
    for node in range(3, 15):
        contacts = peer_of(world, node).table.contacts()
        private = [contact for contact in contacts if contact.address.scope is Scope.PRIVATE]
        assert len(private) == 5, "the other five of its site"


def test_nodes_of_one_24_are_one_party() -> None:
    world = swarm(population={"nodes": 12, "per_24": 4})
    assert len({world.population.address(node).ip[:3] for node in range(12)}) == 3
    assert len({world.population.address(node) for node in range(12)}) == 12


def test_who_slept_is_back_at_another_address() -> None:
    world = swarm(
        timeline=[{"action": "sleep", "at_s": 20.0, "share": 0.5, "for_s": 20.0, "within_s": 2.0, "move": True}],
        duration_s=100.0,
    )
    before = [world.population.address(node) for node in range(12)]
    good(world.run())
    moved = [node for node in range(12) if world.population.address(node) != before[node]]
    assert len(moved) == round(0.5 * 9)
    assert world.network.lost["asleep"] > 0
    assert tables(world) == [11] * 12
    assert all(world.engine.now_of(node).mono_ns == world.engine.now_ns - 20 * SECOND for node in moved)


@pytest.mark.parametrize(
    "action",
    [
        {"action": "freeze", "share": 0.4, "for_s": 15.0},
        {"action": "unplug", "share": 0.4, "for_s": 15.0},
        {"action": "move", "share": 0.4, "within_s": 5.0},
        {"action": "clock", "share": 0.5, "step_s": -20.0, "spread": True, "drift_ppm": 200},
        {"action": "disk", "share": 0.4, "trouble": "error", "after_writes": 2, "for_s": 10.0},
    ],
    ids=lambda action: str(action["action"]),
)
def test_a_trouble_that_ends_leaves_nothing_behind(action: dict[str, Any]) -> None:
    world = swarm(
        timeline=[{"at_s": 20.0, **action}], duration_s=100.0,
        workload=[
            {"kind": "put-get", "values": 6, "gets": 30, "from_s": 5.0, "get_from_s": 70.0},
            {"kind": "lookup", "count": 30, "from_s": 75.0},
        ],
    )  # fmt: skip
    figures = good(world.run()).measures
    assert (figures["get_success"], figures["lookup_success"]) == (1.0, 1.0)
    assert tables(world) == [11] * 12


@pytest.mark.parametrize(
    "pause", [{"action": "sleep", "counted": True}, {"action": "freeze"}], ids=["a sleep that counts", "a freeze"]
)
def test_a_request_that_waited_for_its_own_machine_is_not_one_that_never_ends(pause: dict[str, Any]) -> None:
    """All stand still for a minute with requests under way, and are looked at as they go on."""
    world = swarm(
        timeline=[{"at_s": 20.5, "share": 1.0, "for_s": 60.0, **pause}], duration_s=120.0, sample_s=0.1,
        link={"profile": "wan"},
        workload=[{"kind": "lookup", "count": 400, "from_s": 18.0, "to_s": 24.0}],
    )  # fmt: skip
    assert good(world.run()).measures["lookup_count"] > 0


def test_a_node_that_starts_on_a_full_disk_ends_and_the_swarm_goes_on() -> None:
    """Those that were not bootstraps die amid it; churn has them try until they are back."""
    full = {"action": "disk", "at_s": 20.0, "share": 1.0, "trouble": "full", "for_s": 30.0}
    killed = {"action": "kill", "at_s": 25.0, "share": 1.0, "restart_after_s": 2.0}
    lookups = {"kind": "lookup", "count": 30, "from_s": 5.0}
    world = swarm(timeline=[full, killed], workload=[lookups])
    figures = good(world.run()).measures
    started = sum(world.engine.alive(node) for node in range(len(world)))
    assert figures["failed_starts"] == len(world) - started > 0

    churn = {"model": "exponential", "session_s": 40.0, "offline_s": 5.0, "from_s": 10.0}
    world = swarm(timeline=[full], workload=[lookups], churn=churn, duration_s=100.0)
    figures = good(world.run()).measures
    assert figures["failed_starts"] > 0
    assert figures["returns"] > figures["failed_starts"]


def test_a_pause_of_an_earlier_life_wakes_nobody() -> None:
    """Frozen until 40 s, killed and started again meanwhile, asleep from 32 s on: it sleeps until 62 s."""
    world = swarm(
        timeline=[
            {"action": "freeze", "at_s": 20.0, "share": 1.0, "for_s": 20.0},
            {"action": "sleep", "at_s": 32.0, "share": 1.0, "for_s": 30.0, "move": True},
        ],
        duration_s=70.0,
    )

    def again() -> None:
        for node in range(3, 12):
            world.kill(node)
            world.start(node)

    world.at(25, again)
    world.run_until(31 * SECOND)
    assert len(world.honest()) == 12
    before = [world.population.address(node) for node in range(12)]
    world.run_until(60 * SECOND)
    assert world.honest() == [0, 1, 2]
    assert [world.population.address(node) for node in range(12)] == before
    world.run_until(63 * SECOND)
    assert len(world.honest()) == 12


def test_the_timeline_tells_of_the_end_of_a_pause() -> None:
    """Of those who were in it until then."""
    world = swarm(
        timeline=[
            {"action": "freeze", "at_s": 20.0, "share": 1.0, "for_s": 10.0},
            {"action": "sleep", "at_s": 40.0, "share": 0.5, "for_s": 8.0, "within_s": 6.0},
        ]
    )

    def kill_one() -> None:
        world.kill(next(node for node in range(12) if world.engine.alive(node) and not world.engine.awake(node)))

    world.at(25.0, kill_one)
    world.at(41.0, kill_one)
    good(world.run())
    assert world.measures.marks == [
        (20.0, "9 nodes stand still"), (30.0, "8 nodes go on"),
        (40.0, "4 machines go to sleep"), (52.5, "3 machines are awake again"),
    ]  # fmt: skip


def test_a_drift_can_be_ended() -> None:
    world = swarm(
        timeline=[
            {"action": "clock", "at_s": 10.0, "share": 1.0, "drift_ppm": 100_000},
            {"action": "clock", "at_s": 20.0, "share": 1.0, "step_s": 1.0},
            {"action": "clock", "at_s": 30.0, "share": 1.0, "drift_ppm": 0},
        ],
        duration_s=50.0,
    )

    def ahead_ms(at_s: int) -> int:
        world.run_until(at_s * SECOND)
        return world.engine.now_of(11).wall_ms - world.engine.now_of(0).wall_ms

    assert [ahead_ms(at_s) for at_s in (9, 25, 30, 45)] == [0, 2500, 3000, 3000]


def test_a_cut_makes_some_unheard_until_it_is_healed() -> None:
    world = swarm(
        # A quiet network says nothing for half a minute.
        timeline=[{"action": "cut", "at_s": 20.0, "share": 0.4}, {"action": "heal", "at_s": 100.0}], duration_s=210.0,
        workload=[{"kind": "lookup", "count": 20, "from_s": 180.0}],
    )  # fmt: skip
    assert good(world.run()).measures["lookup_success"] == 1.0
    assert world.network.lost["cut"] > 0


def test_slow_lines_lose_what_is_too_much_for_them() -> None:
    lines = {"up_mbit": 0.016, "down_mbit": 0.1, "queue_ms": 100.0}
    figures = swarm(population={"access": lines}, without=["lookups-exact"]).run().measures
    assert figures["lost_queue"] > 0


def test_the_same_seed_gives_the_same_course_with_everything_in_it() -> None:
    def course() -> str:
        return swarm(
            population={"nat": {"symmetric": 0.3, "restricted": 0.3}, "access": {"share": 0.5, "up_mbit": 0.1}},
            link={"profile": "wan", "loss": 0.1, "burst": 3.0},
            timeline=[{"action": "sleep", "at_s": 10.0, "for_s": 5.0}, {"action": "move", "at_s": 20.0}],
            duration_s=30.0,
        ).run().trace_hash  # fmt: skip

    assert course() == course()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"population": {"nat": {"symmetric": 0.6, "restricted": 0.6}}}, "population.nat: the shares are more than 1"),
        ({"population": {"place": "moon"}}, "population.place: expected one of internet, lan, sites"),
        ({"population": {"access": {"up_mbit": 0}}}, "population.access.up_mbit: expected 0.001 to 100000"),
        ({"timeline": [{"action": "disk", "at_s": 1, "trouble": "fire"}]}, r"timeline\[0\].trouble: expected one of"),
    ],
)
def test_mistakes_are_told_with_their_path(table: dict[str, Any], message: str) -> None:
    with pytest.raises(spec.BadScenario, match=message):
        spec.scenario_of("test", table)
