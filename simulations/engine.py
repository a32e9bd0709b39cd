"""Runs many peers in virtual time: one heap of events, and every effect carried out with a delay.

Events are ordered by (time, source, counter of that source), never by when they were pushed, so the
order does not depend on how the work is arranged. A peer never sees the effects of its own call
within that call, and no disk or processor is infinitely fast: that would hide every race.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Final

from overlay.errors import LocalError, OverlayError
from overlay.events import Event
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import (
    MS,
    Commit,
    Compute,
    Core,
    Effect,
    Failed,
    Interface,
    Now,
    Ok,
    Operate,
    Outcome,
    Report,
    Result,
    SendDatagram,
    Sync,
)
from simulations.datagrams import REQUESTS, kind_of
from simulations.host import WORKERS, Delays, Host, MakePeer, OnResult, seed_of
from simulations.network import Network
from simulations.storage import MemoryStorage
from simulations.tracing import Trace

__all__ = ["Delays", "Engine", "MakePeer"]

#: 2026-01-01 00:00 UTC in ms: where virtual wall clocks begin.
WALL_START_MS: Final = 1_767_225_600_000
#: Source of events that no node caused; comes first at every instant.
_OUTSIDE: Final = -1
#: Calls of handle_timer for one peer at one instant before the engine says that it spins.
_MAX_TIMERS_AT_ONCE: Final = 1000


#: (index of the node, time in ns, event).
OnReport = Callable[[int, int, Event], object]
#: (index of the sender, address it is for, bytes).
OnDatagram = Callable[[int, Address, bytes], object]


class Engine:
    """`add` nodes, `start` them, then `run_until` or `run_while`.

    `functions` and `operations` serve Compute and Operate by name; an operation gets the index of
    its node first. Whatever a peer raises comes out of the running call, with a note of who and when.
    """

    def __init__(
        self,
        make_peer: MakePeer,
        *,
        seed: int = 0,
        network: Network | None = None,
        delays: Delays | None = None,
        functions: dict[str, Callable[..., Any]] | None = None,
        operations: dict[str, Callable[..., Any]] | None = None,
        on_report: OnReport | None = None,
        traced: bool = False,
    ) -> None:
        self.seed = seed
        self.network = network if network is not None else Network()
        self.now_ns = 0
        #: Events that were handled.
        self.events = 0
        self._make_peer = make_peer
        self._delays = delays if delays is not None else Delays()
        self._functions = functions if functions is not None else {}
        self._operations = operations if operations is not None else {}
        self._on_report = on_report
        #: Datagrams that were sent, by kind (overlay.wire.registry).
        self.kinds: dict[int, int] = {}
        #: Hear every datagram that a peer sends, before the network has it.
        self.taps: list[OnDatagram] = []
        self._trace = Trace() if traced else None
        self._hosts: list[Host] = []
        #: (time, source, counter, handler, host, life, a, b).
        self._heap: list[tuple[int, int, int, Callable[..., None], Host | None, int, Any, Any]] = []
        self._outside = 0

    # --- nodes ---

    def add(
        self, addresses: Sequence[Address], *, interfaces: Sequence[Interface] | None = None, site: int = 0
    ) -> int:
        """A node that is switched off; its index. Without `interfaces`, every address is on a /24 or /64."""
        index = len(self._hosts)
        self.network.attach(index, addresses, site=site)
        rng = Rng(seed_of(self.seed, "net", index))
        self._hosts.append(Host(index, MemoryStorage(), rng, _interfaces(addresses, interfaces)))
        return index

    def start(self, node: int) -> None:
        """Switch on: a fresh peer on what the storage kept."""
        host = self._hosts[node]
        if host.peer is not None:
            raise LocalError(f"node {node} runs already")
        host.life += 1
        host.armed_ns.clear()
        host.workers_free_ns = [self.now_ns] * WORKERS
        rng = Rng(seed_of(self.seed, "peer", node, host.life))
        host.peer = peer = self._make_peer(node, host.storage, rng, host.entropy(self.seed))
        self._feed(host, peer.start)
        self._feed(host, peer.handle_network, host.interfaces)

    def kill(self, node: int, *, power_loss: bool = False) -> None:
        """Kill the process, or cut the power, without notice. Commands under way end with Failed."""
        host = self._hosts[node]
        if host.peer is None:
            return
        host.peer = None
        host.life += 1
        if power_loss:
            host.storage.power_loss()
        else:
            host.storage.crash()
        # The garbage collector will close the coroutines of the dead peer, who knows when: cut them off.
        host.storage = host.storage.copy()
        commands, host.commands = host.commands, {}
        for on_result in commands.values():
            on_result(Failed("failed", f"node {node} was killed"))

    def restart(self, node: int, *, power_loss: bool = False) -> None:
        self.kill(node, power_loss=power_loss)
        self.start(node)

    def move(
        self, node: int, addresses: Sequence[Address], *, interfaces: Sequence[Interface] | None = None, site: int = 0
    ) -> None:
        """The node is at other addresses from now on, and is told."""
        host = self._hosts[node]
        self.network.attach(node, addresses, site=site)
        host.interfaces = _interfaces(addresses, interfaces)
        if host.peer is not None:
            self._feed(host, host.peer.handle_network, host.interfaces)

    def skew(self, node: int, ms: int) -> None:
        """Set the wall clock of a node this much beside the common one."""
        self._hosts[node].skew_ms = ms

    def alive(self, node: int) -> bool:
        return self._hosts[node].peer is not None

    def life(self, node: int) -> int:
        """Counts its starts and ends."""
        return self._hosts[node].life

    def peer(self, node: int) -> Core:
        """The core itself, for looking only."""
        peer = self._hosts[node].peer
        if peer is None:
            raise LocalError(f"node {node} is switched off")
        return peer

    def storage(self, node: int) -> MemoryStorage:
        return self._hosts[node].storage

    def replace_storage(self, node: int, storage: MemoryStorage) -> None:
        """Another disk for a node that is switched off: an empty one, or a backup that was restored."""
        host = self._hosts[node]
        if host.peer is not None:
            raise LocalError(f"node {node} runs: its disk cannot be replaced")
        host.storage = storage

    @property
    def requests(self) -> int:
        """Requests that were sent, repetitions included."""
        return sum(count for kind, count in self.kinds.items() if kind in REQUESTS)

    def now_of(self, node: int) -> Now:
        return Now(self.now_ns, WALL_START_MS + self.now_ns // MS + self._hosts[node].skew_ms)

    def __len__(self) -> int:
        return len(self._hosts)

    # --- commands ---

    def command(self, node: int, name: str, args: dict[str, Any], on_result: OnResult) -> int:
        """Ask a peer something; `on_result` is called once. The id is for `cancel`."""
        peer, host = self.peer(node), self._hosts[node]
        host.next_command += 1
        command_id = host.next_command
        host.commands[command_id] = on_result
        self._feed(host, peer.handle_command, command_id, name, args)
        return command_id

    def cancel(self, node: int, command_id: int) -> None:
        """The caller is gone: `on_result` will not be called."""
        host = self._hosts[node]
        if host.commands.pop(command_id, None) is not None and host.peer is not None:
            self._feed(host, host.peer.handle_cancel, command_id)

    def inject(self, node: int, to: Address, data: bytes, *, source: Address | None = None) -> None:
        """Send what no peer made from the machine of a node, by a `source` that it may not own. Taps do not hear it."""
        host = self._hosts[node]
        for arrival in self.network.send(node, to, len(data), host.rng):
            at_ns, target = self.now_ns + arrival.delay_ns, self._hosts[arrival.node]
            self._push(host, at_ns, self._deliver, target, source or arrival.source, data, any_life=True)

    # --- time ---

    def call_at(self, time_ns: int, fn: Callable[[], object]) -> None:
        """Have `fn()` called by the run that reaches `time_ns`, before what nodes do at that instant."""
        self._outside += 1
        heappush(self._heap, (max(time_ns, self.now_ns), _OUTSIDE, self._outside, _call, None, 0, fn, None))

    def step(self) -> bool:
        """Handle one event; False if there is none."""
        if not self._heap:
            return False
        time_ns, _, _, handler, host, life, a, b = heappop(self._heap)
        self.now_ns = time_ns
        self.events += 1
        if host is None:
            handler(a)
        elif life in (0, host.life) and host.peer is not None:
            handler(host, a, b)
        return True

    def run_until(self, time_ns: int) -> None:
        heap = self._heap
        while heap and heap[0][0] <= time_ns:
            self.step()
        self.now_ns = max(self.now_ns, time_ns)

    def run_while(self, condition: Callable[[], bool], *, until_ns: int) -> bool:
        """Run until `condition()` is false (True) or the time is over or nothing happens any more (False)."""
        while condition():
            if not self._heap or self._heap[0][0] > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return False
            self.step()
        return True

    def trace(self) -> str:
        """Hash of every input that any peer got so far and every result, in order; needs `traced`."""
        if self._trace is None:
            raise LocalError("this engine keeps no trace: make it with traced=True")
        return self._trace.hexdigest()

    # --- inside ---

    def _feed(self, host: Host, handle: Callable[..., None], *args: Any) -> None:
        """One input to one peer, then its effects, then its timer."""
        peer = host.peer
        assert peer is not None
        if self._trace is not None:
            self._trace.input(self.now_ns, host.index, handle.__name__, args)
        try:
            handle(self.now_of(host.index), *args)
        except Exception as error:
            error.add_note(f"in {handle.__name__} of node {host.index} at {self.now_ns / 1e9:.6f} s, seed {self.seed}")
            raise
        for effect in peer.outbox():
            self._perform(host, effect)
            if host.peer is not peer:  # killed by who heard of a result or an event
                return
        self._arm(host, peer.next_deadline())

    def _arm(self, host: Host, deadline: int | None) -> None:
        """Have an event at `deadline` or before. A timer that is cancelled leaves its event, which finds nothing due;
        as only an earlier one than all in the heap is added, they stay few."""
        if deadline is not None:
            at_ns = max(deadline, self.now_ns)
            if not host.armed_ns or at_ns < host.armed_ns[-1]:
                host.armed_ns.append(at_ns)
                self._push(host, at_ns, self._timer, host, None)

    def _push(
        self, source: Host, time_ns: int, handler: Callable[..., None], target: Host, a: Any, b: Any = None,
        *, any_life: bool = False,
    ) -> None:  # fmt: skip
        source.counter += 1
        life = 0 if any_life else target.life
        heappush(self._heap, (time_ns, source.index, source.counter, handler, target, life, a, b))

    def _perform(self, host: Host, effect: Effect) -> None:
        delays = self._delays
        match effect:
            case SendDatagram(to, data):
                kind = kind_of(data)
                self.kinds[kind] = self.kinds.get(kind, 0) + 1
                for tap in self.taps:
                    tap(host.index, to, data)
                for arrival in self.network.send(host.index, to, len(data), host.rng):
                    at_ns, target = self.now_ns + arrival.delay_ns, self._hosts[arrival.node]
                    # Any life: a datagram does not know that the process behind the port is another.
                    self._push(host, at_ns, self._deliver, target, arrival.source, data, any_life=True)
            case Result(command_id, outcome):
                if self._trace is not None:
                    self._trace.result(self.now_ns, host.index, command_id, outcome)
                on_result = host.commands.pop(command_id, None)
                if on_result is not None:
                    on_result(outcome)
            case Report(event):
                if self._on_report is not None:
                    self._on_report(host.index, self.now_ns, event)
            case Commit(effect_id):
                mark = host.storage.mark()
                self._push(host, self.now_ns + delays.commit_ns, self._committed, host, effect_id, mark)
            case Sync(effect_id):
                mark = host.storage.mark()
                self._push(host, self.now_ns + delays.sync_ns, self._synced, host, effect_id, mark)
            case Compute(effect_id, function, args):
                outcome = _outcome_of(self._functions, function, args)
                free = host.workers_free_ns
                worker = free.index(min(free))
                free[worker] = max(self.now_ns, free[worker]) + delays.compute_ns(function, args)
                self._push(host, free[worker], self._done, host, effect_id, outcome)
            case Operate(effect_id, operation, args):
                outcome = _outcome_of(self._operations, operation, (host.index, *args))
                self._push(host, self.now_ns + delays.operate_ns, self._done, host, effect_id, outcome)

    def _deliver(self, host: Host, source: Address, data: bytes) -> None:
        assert host.peer is not None
        self._feed(host, host.peer.handle_datagram, source, data)

    def _committed(self, host: Host, effect_id: int, mark: int) -> None:
        host.storage.commit(mark)
        self._done(host, effect_id, Ok())

    def _synced(self, host: Host, effect_id: int, mark: int) -> None:
        host.storage.sync(mark)
        self._done(host, effect_id, Ok())

    def _done(self, host: Host, effect_id: int, outcome: Outcome) -> None:
        assert host.peer is not None
        self._feed(host, host.peer.handle_done, effect_id, outcome)

    def _timer(self, host: Host, _a: None, _b: None) -> None:
        host.armed_ns.pop()
        assert host.peer is not None
        deadline = host.peer.next_deadline()
        if deadline is None or deadline > self.now_ns:
            self._arm(host, deadline)
            return
        host.timers_at_once = host.timers_at_once + 1 if host.last_timer_ns == self.now_ns else 1
        host.last_timer_ns = self.now_ns
        if host.timers_at_once > _MAX_TIMERS_AT_ONCE:
            raise LocalError(f"node {host.index} wants its timer again and again at {self.now_ns} ns")
        self._feed(host, host.peer.handle_timer)


def _outcome_of(registry: dict[str, Callable[..., Any]], name: str, args: tuple[Any, ...]) -> Outcome:
    if name not in registry:
        raise LocalError(f"nothing is registered as {name!r}")
    try:
        return Ok(registry[name](*args))
    except OverlayError as error:
        return Failed("failed", str(error))


def _call(fn: Callable[[], object]) -> None:
    fn()


def _interfaces(addresses: Sequence[Address], interfaces: Sequence[Interface] | None) -> tuple[Interface, ...]:
    if interfaces is not None:
        return tuple(interfaces)
    return tuple(Interface(address.ip, 24 if address.is_v4 else 64, address.zone) for address in addresses)
