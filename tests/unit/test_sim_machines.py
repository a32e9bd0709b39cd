"""simulations.machines with toy peers: pauses, clocks, slow lines, failing disks."""

from __future__ import annotations

import pytest

from overlay.runtime.ports import MS, SECOND, Failed, Now, Ok
from simulations.clock import WALL_START_MS, Clock
from simulations.engine import Delays
from simulations.pause import SOCKET_BUFFER
from simulations.pipe import Pipe
from simulations.work import BYTE_NS, Disk, bytes_in, compute_cost
from tests.unit.test_sim_engine import World, address


def heard(world: World, node: int) -> list[bytes]:
    return [seen[2] for seen in world.toy(node).seen if seen[0] == "datagram"]


class TestFrozen:
    def test_handles_nothing_and_then_all_in_order(self) -> None:
        world = World(2)
        world.engine.machines.freeze(1)
        world.ask(1, "alarm", at=20)
        for data in (b"a", b"b"):
            world.ask(0, "send", to=address(1), data=data)
        done = world.ask(1, "echo", value=1)
        world.engine.run_until(SECOND)
        assert world.toy(1).seen == [("start",), ("network", world.engine.hosts[1].interfaces)]
        assert done == []
        assert not world.engine.awake(1)
        world.engine.machines.resume(1)
        world.engine.machines.resume(1)
        assert [seen[0] for seen in world.toy(1).seen[2:]] == ["command", "command", "datagram", "datagram"]
        assert heard(world, 1) == [b"a", b"b"]
        assert done == [(SECOND, Ok(1))]
        world.engine.run_until(SECOND)
        assert world.toy(1).seen[-1] == ("timer", SECOND), "late"

    def test_its_socket_holds_no_more_than_a_buffer(self) -> None:
        world = World(2)
        world.engine.machines.freeze(1)
        for _ in range(300):
            world.ask(0, "send", to=address(1), data=bytes(1000))
        world.engine.run_until(SECOND)
        world.engine.machines.resume(1)
        assert SOCKET_BUFFER // 2000 < len(heard(world, 1)) < SOCKET_BUFFER // 1000
        assert world.engine.network.lost["socket buffer"] == 300 - len(heard(world, 1))

    def test_killed_it_is_gone_and_starts_awake(self) -> None:
        world = World(2)
        world.engine.machines.freeze(1)
        world.ask(0, "send", to=address(1), data=b"x")
        world.engine.run_until(10)
        world.engine.restart(1)
        world.engine.machines.resume(1)
        assert heard(world, 1) == []
        assert world.engine.awake(1)


class TestAsleep:
    def test_hears_nothing_and_its_timers_wait_for_its_own_clock(self) -> None:
        world = World(2)
        world.ask(1, "alarm", at=10 * SECOND)
        world.engine.run_until(4 * SECOND)
        world.engine.machines.sleep(1)
        world.ask(0, "send", to=address(1), data=b"x")
        world.engine.run_until(104 * SECOND)
        world.engine.machines.resume(1)
        world.engine.run_until(200 * SECOND)
        assert heard(world, 1) == []
        assert world.engine.network.lost == {"asleep": 1}
        assert world.toy(1).seen[-1] == ("timer", 10 * SECOND)
        assert world.engine.now_of(1) == Now(100 * SECOND, WALL_START_MS + 200_000)

    def test_a_clock_that_counts_the_sleep_makes_timers_late(self) -> None:
        world = World(2)
        world.ask(1, "alarm", at=10 * SECOND)
        world.engine.machines.sleep(1, counted=True)
        world.engine.run_until(50 * SECOND)
        assert ("timer", 10 * SECOND) not in world.toy(1).seen
        world.engine.machines.resume(1)
        world.engine.run_until(50 * SECOND)
        assert world.toy(1).seen[-1] == ("timer", 50 * SECOND)

    def test_what_the_disk_did_meanwhile_is_told_after(self) -> None:
        world = World(1, delays=Delays(commit_ns=5))
        done = world.ask(0, "commit")
        world.engine.machines.sleep(0)
        world.engine.run_until(100)
        assert done == []
        world.engine.machines.resume(0)
        assert done == [(100, Ok())]


def test_a_wall_clock_drifts_and_jumps_while_the_other_goes_on() -> None:
    clock = Clock()
    clock.drift(0, 100)
    assert clock.now(1000 * SECOND) == Now(1000 * SECOND, WALL_START_MS + 1_000_000 + 100)
    clock.drift(1000 * SECOND, -100)
    clock.skew_ms -= 5000
    assert clock.now(2000 * SECOND) == Now(2000 * SECOND, WALL_START_MS + 2_000_000 + 100 - 100 - 5000)


def test_what_comes_through_a_slow_line_queues_there_in_the_order_of_arrival() -> None:
    """72 + 28 bytes at 1,000 a second take 100 ms each; two may wait."""
    world = World(2)
    world.engine.network.set_pipes(1, up=None, down=Pipe(1000, 150 * MS))
    for data in (b"a", b"b", b"c", b"d"):
        world.ask(0, "send", to=address(1), data=data * 72)
    world.engine.run_until(100 * MS + 4)
    assert heard(world, 1) == []
    world.engine.run_until(100 * MS + 5)
    assert heard(world, 1) == [b"a" * 72]
    world.engine.run_until(200 * MS + 5)
    assert heard(world, 1)[:2] == [b"a" * 72, b"b" * 72]
    assert world.engine.network.lost == {"queue": 2}


class TestDisk:
    def test_a_full_one_fails_until_there_is_room_and_then_covers_all(self) -> None:
        world = World(1)
        world.engine.machines.set_disk(0, Disk("the disk is full"))
        world.engine.storage(0).put(b"a", b"1")
        failed = world.ask(0, "commit")
        world.engine.run_until(SECOND)
        assert failed == [(2 * MS, Failed("failed", "the store could not write: the disk is full"))]
        world.engine.machines.set_disk(0, None)
        world.ask(0, "sync")
        world.engine.run_until(2 * SECOND)
        world.engine.kill(0, power_loss=True)
        assert world.engine.storage(0).get(b"a") == b"1"

    def test_an_error_at_the_third_write_and_what_it_would_have_covered(self) -> None:
        world = World(1)
        world.engine.machines.set_disk(0, Disk("input/output error", good=2, bad=1))
        outcomes = []
        for key in (b"a", b"b", b"c"):
            world.engine.storage(0).put(key, b"")
            done = world.ask(0, "commit")
            world.engine.run_until(world.engine.now_ns + SECOND)
            outcomes.append(isinstance(done[0][1], Ok))
        assert outcomes == [True, True, False]
        fourth = world.ask(0, "commit")
        world.engine.storage(0).put(b"d", b"")
        world.engine.run_until(world.engine.now_ns + SECOND)
        assert isinstance(fourth[0][1], Ok)
        world.engine.kill(0)
        assert [key for key, _ in world.engine.storage(0).scan(b"")] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(("value", "size"), [(b"abc", 3), ((b"a", [b"bc", 7, "text"]), 3), (None, 0)])
def test_work_costs_by_its_bytes(value: object, size: int) -> None:
    assert bytes_in(value) == size
    assert compute_cost("hash", (value,)) == compute_cost("other", ()) + BYTE_NS * size
