"""A swarm: a scenario brought to life, node by node, and run to its end in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import attrs

from overlay.app import App
from overlay.events import Event
from overlay.identity.network import Network as Realm
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND, Core, Entropy, Outcome, Storage
from simulations.apps import AppError, AppErrors, SwarmApps, count_events, factory
from simulations.arrivals import Arrivals
from simulations.engine import Engine, OnReport
from simulations.garbage import seldom_collected
from simulations.host import MakePeer, seed_of
from simulations.invariants import MAX_BROKEN, Broken, Invariant, checked
from simulations.measures import Measures
from simulations.network import Network
from simulations.outcome import Verdict, judge
from simulations.places import Places
from simulations.population import Codec, Population
from simulations.profiles import link_of
from simulations.samples import SAMPLERS, Sampler
from simulations.scenario import BadScenario, Scenario, TooMany
from simulations.schedule import late

#: What is under way at the end may take this long to end: every lookup has a deadline far below it.
_GRACE_S = 120


@attrs.frozen(slots=True)
class Asked:
    """A command of the scenario that ended."""

    node: int
    name: str
    args: dict[str, Any]
    began_ns: int
    outcome: Outcome


OnEnded = Callable[[Asked], object]


@attrs.frozen(slots=True)
class RunEnd:
    """How a run ended."""

    scenario: str
    seed: int
    nodes: int
    virtual_s: float
    wall_s: float
    events: int
    rpcs: int
    trace_hash: str
    verdicts: tuple[Verdict, ...]
    broken: tuple[Broken, ...]
    measures: dict[str, float]
    interrupted: bool = False
    #: What the scenario has and this run came to no more: it was made shorter, or stopped.
    not_run: tuple[str, ...] = ()
    #: The first error of each sort of each application.
    app_errors: tuple[AppError, ...] = ()

    @property
    def ok(self) -> bool:
        return all(verdict.ok for verdict in self.verdicts) and not self.broken and not self.interrupted


class Swarm:
    """`Swarm(scenario, seed=1).run()`. Parts of the scenario use the methods below to do their work."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int = 0,
        codec: Codec = Codec.FAST,
        apps: Callable[[int], Sequence[App]] | None = None,
        on_report: OnReport | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.measures = Measures()
        #: Node -> name of the adversary that it is; all others are honest.
        self.adversaries: dict[int, str] = {}
        #: In which the applications of the scenario live.
        self.worlds = factory(scenario.population.apps)
        running = SwarmApps(apps if apps is not None else self.worlds)
        self.population = Population(
            seed, Realm("swarm", puzzle_bits=scenario.population.puzzle_bits), codec,
            Places(seed, scenario.population), apps=running,
        )  # fmt: skip
        self.network = Network(link_of(scenario.link))
        self.engine = Engine(
            self._make_peer, seed=seed, network=self.network, on_report=self._on_report, traced=True,
            functions=running.functions, operations=running.operations, on_power_loss=self.worlds.power_lost,
            on_cannot_start=lambda _node: self.measures.count("failed_starts"),
        )  # fmt: skip
        #: What went wrong in applications.
        self.app_errors = AppErrors(self.adversaries)
        self.watchers: list[OnReport] = [count_events(self.measures.count), self.app_errors.watch]
        self.watchers += [on_report] if on_report is not None else []
        self._arrivals = Arrivals(self)
        #: Called every `sample_s`: who adds one measures something over time (simulations.samples).
        self.samplers: list[Sampler] = [*SAMPLERS, self._arrivals.look]
        self._stopped = False
        self._makers: dict[int, MakePeer] = {}
        #: Commands of the workload that have not ended.
        self.under_way = 0
        #: Hear of every command of the scenario that ended.
        self.ended: list[OnEnded] = []
        self._invariants: list[Invariant] = checked(self)
        self.broken: list[Broken] = []
        for _ in range(scenario.population.nodes):
            self.add()
        for i, adversary in enumerate(scenario.adversaries):
            try:
                adversary.begin(self)
            except TooMany as error:
                raise BadScenario(f"adversaries[{i}].{error.key}", str(error)) from None
        for part in (*([scenario.churn] if scenario.churn else ()), *scenario.timeline, *scenario.workload):
            part.begin(self)
        self._arrivals.begin()
        self.every(scenario.sample_s, self._sample)

    # --- for parts: nodes -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.engine)

    def rng(self, *purpose: object) -> Rng:
        """A generator of its own for each purpose: one more part of a scenario does not move the others."""
        return Rng(seed_of(self.seed, *purpose))

    def add(self, *, make_peer: MakePeer | None = None) -> int:
        """One more node, switched off; its index."""
        index = len(self.engine)
        if make_peer is not None:
            self._makers[index] = make_peer
        who = self.population
        self.engine.add([who.address(index)], interfaces=who.interfaces(index), site=who.site(index))
        who.places.settle(self.network, index)
        return index

    def corrupt(self, node: int, name: str, make_peer: MakePeer) -> None:
        """From its next start on the node is an adversary of that name."""
        self.adversaries[node] = name
        self._makers[node] = make_peer

    @property
    def corruptible(self) -> list[int]:
        """Nodes that are honest so far and not those through which others join."""
        first = self.scenario.population.bootstraps
        return [node for node in range(first, len(self)) if node not in self.adversaries]

    def honest(self) -> list[int]:
        """Honest nodes that are switched on and neither sleep nor stand still."""
        return [node for node in range(len(self)) if self.engine.awake(node) and node not in self.adversaries]

    def servers(self) -> list[int]:
        """Honest nodes that strangers can reach: the others are clients, which no lookup is to find."""
        return [node for node in self.honest() if self.network.nat_of(node) is None]

    def move(self, node: int) -> None:
        """To another address, as places has it; it is told."""
        who = self.population
        who.places.move(node)
        self.engine.move(node, [who.address(node)], interfaces=who.interfaces(node), site=who.site(node))
        who.places.settle(self.network, node)

    def start(self, node: int) -> None:
        """Switch it on and have it join."""
        self.engine.start(node)
        self._arrivals.join(node)

    def kill(self, node: int, *, power_loss: bool = False) -> None:
        self.engine.kill(node, power_loss=power_loss)

    def mark(self, text: str) -> None:
        """Note on every plot: this happened now."""
        self.measures.mark(self.engine.now_ns, text)

    def id_text(self, node: int) -> str:
        return self.population.id_text(node)

    def number(self, node: int) -> int:
        """Its id as a number, for XOR distances."""
        return self.population.number(node)

    # --- for parts: time --------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        return self.engine.now_ns / SECOND

    @property
    def end_ns(self) -> int:
        return round(self.scenario.duration_s * SECOND)

    def at(self, seconds: float, fn: Callable[[], object]) -> None:
        """Call `fn()` at that virtual time; not at all if it is after the end."""
        at_ns = round(seconds * SECOND)
        if at_ns <= self.end_ns:
            self.engine.call_at(at_ns, fn)

    def after(self, ns: int, fn: Callable[[], object]) -> None:
        at_ns = self.engine.now_ns + ns
        if at_ns <= self.end_ns:
            self.engine.call_at(at_ns, fn)

    def later(self, seconds: float, fn: Callable[[], object]) -> None:
        """As `after`, in seconds, and even after the end: who sleeps must wake to end what it does."""
        self.engine.call_at(self.engine.now_ns + round(seconds * SECOND), fn)

    def every(self, seconds: float, fn: Callable[[], object], *, begin_s: float = 0.0) -> None:
        """Call `fn()` again and again."""
        step_ns = round(seconds * SECOND)

        def again() -> None:
            fn()
            self.after(step_ns, again)

        self.at(begin_s, again)

    # --- for parts: commands ----------------------------------------------------------------

    def ask(self, node: int, name: str, args: dict[str, Any], on_end: Callable[[Outcome, int], object]) -> None:
        """Give a node a command; `on_end(outcome, ns it took)`. The run does not end before it has."""
        began_ns = self.engine.now_ns
        self.under_way += 1

        def ended(outcome: Outcome) -> None:
            self.under_way -= 1
            for listener in self.ended:
                listener(Asked(node, name, args, began_ns, outcome))
            on_end(outcome, self.engine.now_ns - began_ns)

        self.engine.command(node, name, args, ended)

    # --- the run ----------------------------------------------------------------------------

    def run(
        self, on_progress: Callable[[float], object] | None = None, *, stop_at_ns: int | None = None
    ) -> RunEnd:
        """To the end of the scenario, or until `stop` or Ctrl-C, or as if stopped at that time; all events of the time
        at which it is stopped have happened then, so the same time makes the same run. `on_progress(virtual s)` is
        called often."""
        begin = perf_counter()
        try:
            self.run_until(self.end_ns, on_progress, stop_at_ns=stop_at_ns)
            self._run_out(stop_at_ns)
        except KeyboardInterrupt:
            self.stop()
        interrupted = self._stopped
        if not interrupted:  # else what is under way had no time to end
            self._check([broken for invariant in self._invariants for broken in invariant.at_end(self)])
        self.measures.counts["unfinished"] = self.under_way
        figures = self.figures()
        return RunEnd(
            self.scenario.name, self.seed, len(self), round(self.now_s, 3), round(perf_counter() - begin, 3),
            self.engine.events, self.engine.requests, self.engine.trace(), judge(self.scenario.claims, figures),
            tuple(self.broken), figures, interrupted,
            tuple(part.what for part in late(self.scenario, self.now_s if interrupted else self.scenario.duration_s)),
            self.app_errors.found(),
        )  # fmt: skip

    def run_until(
        self, time_ns: int, on_progress: Callable[[float], object] | None = None, *, stop_at_ns: int | None = None
    ) -> None:
        """In steps of a tenth of a virtual second, so that a bar can move; not further once it is stopped."""
        with seldom_collected():
            while self.engine.now_ns < time_ns and not self._stopped:
                self.engine.run_until(self._step_ns(time_ns, stop_at_ns))
                self._stop_if_due(stop_at_ns)
                if on_progress is not None:
                    on_progress(self.now_s)

    def _run_out(self, stop_at_ns: int | None) -> None:
        """What is under way at the end may end."""
        grace_ns = self.end_ns + _GRACE_S * SECOND
        while self.under_way > 0 and not self._stopped and self.engine.now_ns < grace_ns:
            self.engine.run_while(lambda: self.under_way > 0, until_ns=self._step_ns(grace_ns, stop_at_ns))
            self._stop_if_due(stop_at_ns)

    def _step_ns(self, time_ns: int, stop_at_ns: int | None) -> int:
        """Where the next step ends on the way to `time_ns`."""
        step_ns = min(time_ns, self.engine.now_ns + 100 * MS)
        return step_ns if stop_at_ns is None else min(step_ns, stop_at_ns)

    def _stop_if_due(self, stop_at_ns: int | None) -> None:
        if stop_at_ns is not None and self.engine.now_ns >= stop_at_ns:
            self.stop()

    def stop(self) -> None:
        """End `run` at the next step, between two events: what ran can still be looked at. For handlers of signals."""
        self._stopped = True

    def figures(self) -> dict[str, float]:
        network = self.network
        out = self.measures.figures()
        out |= {"datagrams": network.sent, "bytes": network.sent_bytes, "rpcs": self.engine.requests}
        out |= {f"lost_{reason}": count for reason, count in sorted(network.lost.items())}
        return out

    # --- inside -----------------------------------------------------------------------------

    def _make_peer(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Core:
        return self._makers.get(index, self.population.peer)(index, storage, rng, entropy)

    def _on_report(self, node: int, at_ns: int, event: Event) -> None:
        for watcher in self.watchers:
            watcher(node, at_ns, event)

    def _sample(self) -> None:
        for sampler in self.samplers:
            sampler(self)
        self._check([broken for invariant in self._invariants for broken in invariant.sample(self)])

    def _check(self, broken: list[Broken]) -> None:
        """Told once each, and a run that breaks everywhere tells the first."""
        for one in broken:
            if len(self.broken) < MAX_BROKEN and all(
                (one.invariant, one.node) != (other.invariant, other.node) for other in self.broken
            ):
                self.broken.append(one)
