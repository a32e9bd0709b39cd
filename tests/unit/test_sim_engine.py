"""simulations.engine with toy peers: order, time, effects, lives."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.errors import LocalError, NotFound
from overlay.events import Event
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND, Entropy, Failed, Interface, Now, Ok, Outcome, Report, Storage
from simulations.engine import WALL_START_MS, Delays, Engine
from simulations.network import Link, Network
from tests.support.toy_peer import ToyPeer

EXACT = Link(latency_ns=(5, 5))


def address(node: int) -> Address:
    return Address(bytes((20, 0, 0, node + 1)), 4433)


class World:
    """An engine with toy peers, and what they were given."""

    def __init__(self, n: int = 2, *, link: Link = EXACT, seed: int = 0, **options: Any) -> None:
        self.given: list[tuple[int, Storage, Rng, Entropy]] = []
        self.reports: list[tuple[int, int, Event]] = []
        self.engine = Engine(
            self.make, seed=seed, network=Network(link),
            on_report=lambda node, at_ns, event: self.reports.append((node, at_ns, event)), **options,
        )  # fmt: skip
        for node in range(n):
            self.engine.add([address(node)])
            self.engine.start(node)

    def make(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> ToyPeer:
        self.given.append((index, storage, rng, entropy))
        return ToyPeer()

    def toy(self, node: int) -> ToyPeer:
        peer = self.engine.peer(node)
        assert isinstance(peer, ToyPeer)
        return peer

    def ask(self, node: int, name: str, **args: Any) -> list[tuple[int, Outcome]]:
        """Fills with (time, outcome)."""
        done: list[tuple[int, Outcome]] = []
        self.engine.command(node, name, args, lambda outcome: done.append((self.engine.now_ns, outcome)))
        return done


class TestInputs:
    def test_a_peer_is_started_told_its_interfaces_and_heard(self) -> None:
        world = World(1)
        assert world.toy(0).seen == [("start",), ("network", (Interface(address(0).ip, 24),))]
        assert [(node, at_ns) for node, at_ns, _ in world.reports] == [(0, 0)]

    def test_commands_are_answered_once_with_their_outcome(self) -> None:
        world = World(1)
        assert world.ask(0, "echo", value=7) == [(0, Ok(7))]
        assert world.ask(0, "fail") == [(0, Failed("not_found", "nobody has it"))]
        never = world.ask(0, "wait")
        assert never == []

    def test_a_cancelled_command_is_told_to_the_peer_and_gets_no_result(self) -> None:
        world = World(1)
        done: list[Outcome] = []
        waiting = world.engine.command(0, "wait", {}, done.append)
        world.engine.cancel(0, waiting)
        world.engine.cancel(0, waiting)
        assert world.toy(0).seen.count(("cancel", waiting)) == 1
        world.ask(0, "late", earlier=waiting)
        assert done == []

    def test_datagrams_go_back_and_forth_in_virtual_time(self) -> None:
        world = World(2)
        world.ask(0, "send", to=address(1), data=b"x")
        world.engine.run_until(4)
        assert ("datagram", address(0), b"x") not in world.toy(1).seen
        world.engine.run_until(5)
        assert world.toy(1).seen[-1] == ("datagram", address(0), b"x")
        world.engine.run_until(10)
        assert world.toy(0).seen[-1] == ("datagram", address(1), b"x")
        assert world.engine.now_ns == 10

    def test_what_a_peer_raises_says_who_and_when(self) -> None:
        world = World(2, seed=42)
        world.ask(0, "send", to=address(1), data=b"bug")
        with pytest.raises(ZeroDivisionError) as caught:
            world.engine.run_until(SECOND)
        assert caught.value.__notes__ == ["in handle_datagram of node 1 at 0.000000 s, seed 42"]

    def test_moving_is_told(self) -> None:
        world = World(2)
        moved = Address(bytes((30, 0, 0, 1)), 1)
        world.engine.move(1, [moved])
        assert world.toy(1).seen[-1] == ("network", (Interface(moved.ip, 24),))
        world.ask(0, "send", to=moved, data=b"x")
        world.engine.run_until(5)
        assert world.toy(1).seen[-1] == ("datagram", address(0), b"x")


class TestTime:
    def test_timers_fire_at_their_deadline(self) -> None:
        world = World(2)
        world.ask(0, "alarm", at=70)
        world.ask(1, "alarm", at=50)
        world.engine.run_until(SECOND)
        assert ("timer", 70) in world.toy(0).seen
        assert ("timer", 50) in world.toy(1).seen

    def test_a_timer_that_moved_fires_once_at_its_last_deadline(self) -> None:
        world = World(1)
        for at in (500, 20, 300, None, 400, 100, 200):
            world.ask(0, "alarm", at=at)
        world.engine.run_until(SECOND)
        assert [seen for seen in world.toy(0).seen if seen[0] == "timer"] == [("timer", 200)]

    def test_a_deadline_in_the_past_fires_now(self) -> None:
        world = World(1)
        world.engine.run_until(100)
        world.ask(0, "alarm", at=5)
        world.engine.run_until(100)
        assert world.toy(0).seen[-1] == ("timer", 100)

    def test_timers_that_come_and_go_do_not_fill_the_heap(self) -> None:
        """A far deadline behind many near ones must not be pushed again after each of them."""
        world = World(1)
        for round_number in range(200):
            now_ns = world.engine.now_ns
            world.ask(0, "alarm", at=now_ns + 10)
            world.engine.run_until(now_ns + 10)
            assert world.toy(0).seen[-1] == ("timer", now_ns + 10), round_number
            world.ask(0, "alarm", at=1_000_000)
        assert len(world.engine._heap) <= 2

    def test_a_peer_that_wants_its_timer_for_ever_is_reported(self) -> None:
        class Whirl(ToyPeer):
            __slots__ = ()

            def next_deadline(self) -> int | None:
                return 5

        engine = Engine(lambda *given: Whirl())
        engine.add([address(0)])
        engine.start(0)
        with pytest.raises(LocalError, match="again and again"):
            engine.run_until(10)

    def test_clocks(self) -> None:
        world = World(2)
        world.engine.machines.clock(1).skew_ms = -5000
        world.engine.run_until(3 * SECOND)
        assert world.engine.now_of(0) == Now(3 * SECOND, WALL_START_MS + 3000)
        assert world.engine.now_of(1) == Now(3 * SECOND, WALL_START_MS - 2000)

    def test_at_one_instant_the_outside_comes_first_then_nodes_by_number(self) -> None:
        order: list[str] = []

        class Noting(ToyPeer):
            __slots__ = ("index",)

            def handle_timer(self, now: Now) -> None:
                ToyPeer.handle_timer(self, now)
                order.append(f"node {self.index}")

        def make(index: int, *given: object) -> ToyPeer:
            peer = Noting()
            peer.index = index
            return peer

        engine = Engine(make)
        for node in range(3):
            engine.add([address(node)])
            engine.start(node)
        for node in (2, 0, 1):
            engine.command(node, "alarm", {"at": 100}, lambda outcome: None)
        engine.call_at(100, lambda: order.append("outside"))
        engine.run_until(100)
        assert order == ["outside", "node 0", "node 1", "node 2"]

    def test_run_while_stops_at_the_condition_or_at_the_end(self) -> None:
        world = World(1)
        done = world.ask(0, "commit")
        assert world.engine.run_while(lambda: not done, until_ns=SECOND)
        assert world.engine.now_ns == 2 * MS
        assert not world.engine.run_while(lambda: True, until_ns=SECOND)
        assert world.engine.now_ns == SECOND

    def test_the_outside_may_call_in(self) -> None:
        world = World(1)
        seen: list[int] = []
        world.engine.call_at(50, lambda: seen.append(world.engine.now_ns))
        world.engine.run_until(49)
        assert seen == []
        world.engine.run_until(50)
        assert seen == [50]


class TestEffects:
    def test_commit_and_sync_take_their_time_and_cover_what_was_put_before(self) -> None:
        world = World(1, delays=Delays(commit_ns=10, sync_ns=30))
        storage = world.engine.storage(0)
        storage.put(b"a", b"1")
        committed, synced = world.ask(0, "commit"), world.ask(0, "sync")
        storage.put(b"b", b"2")
        world.engine.run_until(100)
        assert committed == [(10, Ok())]
        assert synced == [(30, Ok())]
        world.engine.kill(0)
        assert dict(world.engine.storage(0).scan(b"")) == {b"a": b"1"}

    def test_compute_runs_on_two_virtual_workers(self) -> None:
        delays = Delays(compute_ns=lambda function, args: args[0])
        world = World(1, delays=delays, functions={"double": lambda n: 2 * n})
        done = [world.ask(0, "compute", function="double", args=(cost,)) for cost in (100, 30, 50, 5)]
        assert done == [[], [], [], []], "a result never comes within the call that asked for it"
        world.engine.run_until(SECOND)
        assert done == [[(100, Ok(200))], [(30, Ok(60))], [(80, Ok(100))], [(85, Ok(10))]]

    def test_operate_knows_its_node_and_may_fail(self) -> None:
        def read(node: int, name: str) -> str:
            if name == "none":
                raise NotFound("no such file")
            return f"{node}:{name}"

        world = World(2, delays=Delays(operate_ns=7), operations={"read": read})
        good = world.ask(1, "operate", operation="read", args=("x",))
        bad = world.ask(1, "operate", operation="read", args=("none",))
        world.engine.run_until(SECOND)
        assert good == [(7, Ok("1:x"))]
        assert bad == [(7, Failed("failed", "no such file"))]

    def test_work_that_nobody_registered_is_a_bug(self) -> None:
        with pytest.raises(LocalError, match="'none'"):
            World(1).ask(0, "compute", function="none", args=())


class TestLives:
    def test_a_killed_node_hears_nothing_and_its_commands_end(self) -> None:
        world = World(2)
        waiting = world.ask(1, "wait")
        world.ask(0, "send", to=address(1), data=b"x")
        toy = world.toy(1)
        world.engine.kill(1)
        world.engine.kill(1)
        assert isinstance(waiting[0][1], Failed)
        world.engine.run_until(SECOND)
        assert toy.seen[-1] == ("command", "wait")
        assert not world.engine.alive(1)
        with pytest.raises(LocalError, match="switched off"):
            world.engine.peer(1)

    def test_what_an_earlier_life_began_is_void_but_datagrams_arrive(self) -> None:
        world = World(2, delays=Delays(commit_ns=3))
        committed = world.ask(1, "commit")
        world.ask(1, "alarm", at=4)
        world.ask(0, "send", to=address(1), data=b"x")
        world.engine.restart(1)
        world.engine.run_until(9)  # toy peers echo for ever
        assert len(committed) == 1
        assert isinstance(committed[0][1], Failed)
        assert [seen[0] for seen in world.toy(1).seen] == ["start", "network", "datagram"]

    @pytest.mark.parametrize(("power_loss", "kept"), [(False, [b"commit", b"sync"]), (True, [b"sync"])])
    def test_a_restart_finds_what_was_promised(self, power_loss: bool, kept: list[bytes]) -> None:
        world = World(1)
        for promise in ("sync", "commit"):
            world.engine.storage(0).put(promise.encode(), b"")
            world.ask(0, promise)
            world.engine.run_until(world.engine.now_ns + SECOND)
        world.engine.storage(0).put(b"neither", b"")
        world.engine.restart(0, power_loss=power_loss)
        _, storage, _, _ = world.given[-1]
        assert [key for key, _ in storage.scan(b"")] == kept

    def test_a_promise_under_way_at_the_crash_was_not_kept(self) -> None:
        world = World(1)
        world.engine.storage(0).put(b"a", b"")
        world.ask(0, "commit")
        world.engine.run_until(MS)
        world.engine.restart(0)
        assert world.engine.storage(0).get(b"a") is None

    def test_a_dead_peer_reaches_neither_storage_nor_entropy_of_its_successor(self) -> None:
        world = World(1)
        _, old_storage, _, old_entropy = world.given[0]
        old_entropy(8)
        world.engine.kill(0)
        assert old_entropy(8) == bytes(8)
        world.engine.start(0)
        _, _, _, entropy = world.given[1]
        old_storage.put(b"ghost", b"")
        assert old_entropy(8) == bytes(8)
        twin = World(1)
        twin.given[0][3](8)
        twin.engine.restart(0)
        assert entropy(8) == twin.given[1][3](8)
        assert world.engine.storage(0).get(b"ghost") is None

    def test_chance_differs_by_seed_node_and_life_and_entropy_never_repeats(self) -> None:
        drawn = []
        for seed in (1, 2):
            world = World(2, seed=seed)
            world.engine.restart(1)
            drawn += [(rng.u64(), entropy(16), entropy(100)) for _, _, rng, entropy in world.given[1:]]
            drawn.append((world.given[0][2].u64(), world.given[0][3](16), world.given[0][3](100)))
        assert len({rng for rng, _, _ in drawn}) == len(drawn)
        live = [secret for _, secret, _ in drawn if any(secret)]
        assert len(set(live)) == len(live) == 4
        assert all(len(long) == 100 for _, _, long in drawn)

    def test_started_twice_is_an_error(self) -> None:
        with pytest.raises(LocalError, match="runs already"):
            World(1).engine.start(0)

    def test_a_peer_killed_by_who_hears_of_its_event_is_left_alone(self) -> None:
        world = World(1)
        done: list[Outcome] = []
        world.engine.command(0, "echo", {"value": 1}, lambda outcome: (done.append(outcome), world.engine.kill(0)))
        assert done == [Ok(1)]
        assert not world.engine.alive(0)


class TestTrace:
    def run(self, seed: int) -> str:
        link = Link(latency_ns=(1, 1000), loss_ppm=100_000, duplicate_ppm=100_000)
        world = World(5, link=link, seed=seed, traced=True)
        for node in range(5):
            world.ask(node, "send", to=address((node + 1) % 5), data=bytes([node]))
            world.ask(node, "alarm", at=100 * node)
        world.engine.run_until(20_000)
        return world.engine.trace()

    def test_the_same_seed_gives_the_same_course(self) -> None:
        assert self.run(7) == self.run(7)
        assert self.run(7) != self.run(8)

    def test_is_kept_on_demand_only(self) -> None:
        with pytest.raises(LocalError, match="traced=True"):
            World(1).engine.trace()


def test_reports_carry_node_and_time() -> None:
    world = World(2)
    world.engine.run_until(30)
    world.ask(1, "report", count=2)
    assert [(node, at_ns) for node, at_ns, _ in world.reports[2:]] == [(1, 30), (1, 30)]
    assert Report(world.reports[2][2])
