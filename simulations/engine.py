"""Runs many peers in virtual time: one heap of events, and every effect carried out with a delay.

Events are ordered by (time, source, counter of that source), never by when they were pushed, so the
order does not depend on how the work is arranged. A peer never sees the effects of its own call
within that call, and no disk or processor is infinitely fast: that would hide every race.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Final

from overlay.errors import CannotStart, LocalError
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, Core, Failed, Interface, Now
from simulations.clock import WALL_START_MS
from simulations.datagrams import REQUESTS
from simulations.effects import Effects, OnReport
from simulations.host import WORKERS, Host, MakePeer, OnResult, interfaces_of, seed_of
from simulations.machines import Machines
from simulations.network import Network
from simulations.storage import MemoryStorage
from simulations.streams import Streams
from simulations.timers import Timers
from simulations.tracing import Trace
from simulations.work import Delays, Work

__all__ = ["WALL_START_MS", "Delays", "Engine", "MakePeer", "OnReport"]

#: Source of events that no node caused; comes first at every instant.
_OUTSIDE: Final = -1
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
        on_power_loss: Callable[[int], object] = lambda _node: None,
        on_cannot_start: Callable[[int], object] | None = None,
        traced: bool = False,
    ) -> None:
        self.seed = seed
        self.network = network if network is not None else Network()
        self.now_ns = 0
        #: Events that were handled.
        self.events = 0
        self._make_peer = make_peer
        #: Of what else than its storage the node has on disk.
        self._on_power_loss = on_power_loss
        #: Told of a node whose disk refused its first write: its process has ended. None: that is an error.
        self._on_cannot_start = on_cannot_start
        #: Datagrams that were sent, by kind (overlay.wire.registry).
        self.kinds: dict[int, int] = {}
        #: Hear every datagram that a peer sends, before the network has it.
        self.taps: list[OnDatagram] = []
        self.inputs = Trace() if traced else None
        self.hosts: list[Host] = []
        #: (time, source, counter, handler, host, life, a, b).
        self._heap: list[tuple[int, int, int, Callable[..., None], Host | None, int, Any, Any]] = []
        self._outside = 0
        #: When a node last began, ended or moved.
        self.changed_ns = 0
        #: Commands that were given, and those that were answered, cancelled or died with their node.
        self.commands_given = self.commands_ended = 0
        #: Datagrams that arrived where no process was.
        self.undelivered = 0
        self.machines = Machines(self)
        self._streams = Streams(self.network, self.hosts, lambda: self.now_ns, self.push, self.feed)
        self.timers = Timers(self)
        work = Work(  # not `or`: an empty registry may be filled later
            delays or Delays(), {} if functions is None else functions, {} if operations is None else operations
        )
        self.effects = Effects(self, work, self._streams, on_report)
        self._perform = self.effects.perform
        self._arm = self.timers.arm

    # --- nodes ---

    def add(self, addresses: Sequence[Address], *, interfaces: Sequence[Interface] | None = None, site: int = 0) -> int:
        """A node that is switched off; its index. Without `interfaces`, every address is on a /24 or /64."""
        index = len(self.hosts)
        self.network.attach(index, addresses, site=site)
        rng = Rng(seed_of(self.seed, "net", index))
        self.hosts.append(Host(index, MemoryStorage(), rng, interfaces_of(addresses, interfaces)))
        return index

    def start(self, node: int) -> None:
        """Switch on: a fresh peer on what the storage kept."""
        host = self.hosts[node]
        if host.peer is not None:
            raise LocalError(f"node {node} runs already")
        host.life += 1
        self.changed_ns = self.now_ns
        host.armed_ns.clear()
        host.workers_free_ns = [self.now_ns] * WORKERS
        rng = Rng(seed_of(self.seed, "peer", node, host.life))
        host.peer = peer = self._make_peer(node, host.storage, rng, host.entropy(self.seed))
        self.feed(host, peer.start)
        self.feed(host, peer.handle_network, host.interfaces)

    def kill(self, node: int, *, power_loss: bool = False) -> None:
        """Kill the process, or cut the power, without notice. Commands under way end with Failed."""
        host = self.hosts[node]
        if host.peer is None:
            return
        if host.streams:
            self._streams.killed(host, power_loss=power_loss)
        host.peer = host.pause = None
        host.life += 1
        self.changed_ns = self.now_ns
        if power_loss:
            host.power_cuts += 1
            host.storage.power_loss()
            self._on_power_loss(node)
        else:
            host.storage.crash()
        # The garbage collector will close the coroutines of the dead peer, who knows when: cut them off.
        host.storage = host.storage.copy()
        commands, host.commands = host.commands, {}
        self.commands_ended += len(commands)
        for on_result in commands.values():
            on_result(Failed("failed", f"node {node} was killed"))

    def restart(self, node: int, *, power_loss: bool = False) -> None:
        self.kill(node, power_loss=power_loss)
        self.start(node)

    def move(
        self, node: int, addresses: Sequence[Address], *, interfaces: Sequence[Interface] | None = None, site: int = 0
    ) -> None:
        """The node is at other addresses from now on, and is told."""
        host = self.hosts[node]
        self.network.attach(node, addresses, site=site)
        self._streams.moved(host)
        self.changed_ns = self.now_ns
        host.interfaces = interfaces_of(addresses, interfaces)
        if host.peer is not None:
            self.feed(host, host.peer.handle_network, host.interfaces)

    def alive(self, node: int) -> bool:
        return self.hosts[node].peer is not None

    def awake(self, node: int) -> bool:
        """It runs, and neither sleeps nor is stopped."""
        host = self.hosts[node]
        return host.peer is not None and host.pause is None

    def life(self, node: int) -> int:
        """Counts its starts and ends."""
        return self.hosts[node].life

    def peer(self, node: int) -> Core:
        """The core itself, for looking only."""
        peer = self.hosts[node].peer
        if peer is None:
            raise LocalError(f"node {node} is switched off")
        return peer

    def storage(self, node: int) -> MemoryStorage:
        return self.hosts[node].storage

    def replace_storage(self, node: int, storage: MemoryStorage) -> None:
        """Another disk for a node that is switched off: an empty one, or a backup that was restored."""
        host = self.hosts[node]
        if host.peer is not None:
            raise LocalError(f"node {node} runs: its disk cannot be replaced")
        host.storage = storage
        host.disks += 1

    @property
    def requests(self) -> int:
        """Requests that were sent, repetitions included."""
        return sum(count for kind, count in self.kinds.items() if kind in REQUESTS)

    def now_of(self, node: int) -> Now:
        clock, now_ns = self.hosts[node].clock, self.now_ns
        return clock.now(now_ns) if clock is not None else Now(now_ns, WALL_START_MS + now_ns // MS)

    def __len__(self) -> int:
        return len(self.hosts)

    # --- commands ---

    def command(self, node: int, name: str, args: dict[str, Any], on_result: OnResult) -> int:
        """Ask a peer something; `on_result` is called once. The id is for `cancel`."""
        peer, host = self.peer(node), self.hosts[node]
        host.next_command += 1
        command_id = host.next_command
        host.commands[command_id] = on_result
        self.commands_given += 1
        self.feed(host, peer.handle_command, command_id, name, args)
        return command_id

    def cancel(self, node: int, command_id: int) -> None:
        """The caller is gone: `on_result` will not be called."""
        host = self.hosts[node]
        if host.commands.pop(command_id, None) is not None:
            self.commands_ended += 1
            if host.peer is not None:
                self.feed(host, host.peer.handle_cancel, command_id)

    def inject(self, node: int, to: Address, data: bytes, *, source: Address | None = None) -> None:
        """Send what no peer made from the machine of a node, by a `source` that it may not own. Taps do not hear it."""
        self.effects.send(self.hosts[node], to, data, source)

    # --- time ---

    def call_at(self, time_ns: int, fn: Callable[[], object]) -> None:
        """Have `fn()` called by the run that reaches `time_ns`, before what nodes do at that instant."""
        self._outside += 1
        heappush(self._heap, (max(time_ns, self.now_ns), _OUTSIDE, self._outside, _call, None, 0, fn, None))

    def step(self) -> bool:
        """Handle one event; False if there is none."""
        if not self._heap:
            return False
        self.now_ns, _, _, handler, host, life, a, b = heappop(self._heap)
        self.events += 1
        if host is None:
            handler(a)
        elif host.peer is not None and (not life or life == host.life):
            handler(host, a, b)
        elif handler in self.effects.arriving:
            self.undelivered += 1
        return True

    def under_way(self) -> int:
        """Datagrams between two nodes. Looks at every event to come."""
        arriving = self.effects.arriving
        return sum(event[3] in arriving for event in self._heap)

    def run_until(self, time_ns: int) -> None:
        heap, step = self._heap, self.step
        while heap and heap[0][0] <= time_ns:
            step()
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
        if self.inputs is None:
            raise LocalError("this engine keeps no trace: make it with traced=True")
        return self.inputs.hexdigest()

    # --- inside ---

    def feed(self, host: Host, handle: Callable[..., None], *args: Any) -> None:
        """One input to one peer, then its effects, then its timer."""
        peer = host.peer
        assert peer is not None
        if host.pause is not None:
            host.pause.held.append((handle, args))
            return
        now_ns = self.now_ns
        if self.inputs is not None:
            self.inputs.input(now_ns, host.index, handle.__name__, args)
        clock = host.clock
        try:
            handle(Now(now_ns, WALL_START_MS + now_ns // MS) if clock is None else clock.now(now_ns), *args)
        except Exception as error:
            if isinstance(error, CannotStart) and self._on_cannot_start is not None:
                self.kill(host.index)
                self._on_cannot_start(host.index)
                return
            error.add_note(f"in {handle.__name__} of node {host.index} at {self.now_ns / 1e9:.6f} s, seed {self.seed}")
            raise
        for effect in peer.outbox():
            self._perform(host, effect)
            if host.peer is not peer:  # killed by who heard of a result or an event
                return
        self._arm(host, peer.next_deadline())

    def push(
        self, source: Host, time_ns: int, handler: Callable[..., None], target: Host, a: Any, b: Any = None,
        *, any_life: bool = False,
    ) -> None:  # fmt: skip
        source.counter += 1
        life = 0 if any_life else target.life
        heappush(self._heap, (time_ns, source.index, source.counter, handler, target, life, a, b))


def _call(fn: Callable[[], object]) -> None:
    fn()
