"""What befalls a machine while its process runs on: it stands still, sleeps, its clocks are wrong, its disk fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulations.clock import Clock
from simulations.pause import Pause
from simulations.work import Disk

if TYPE_CHECKING:
    from simulations.engine import Engine


class Machines:
    """Those of an engine, by the index of the node."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def clock(self, node: int) -> Clock:
        """What is wrong with its clocks, to be changed."""
        host = self._engine.hosts[node]
        if host.clock is None:
            host.clock = Clock()
        return host.clock

    def freeze(self, node: int) -> Pause | None:
        """Stop the process (SIGSTOP): it handles nothing, datagrams wait in its socket until that is full. None: it
        does not run, or stands still already."""
        return self._pause(node, Pause(self._engine.now_ns))

    def sleep(self, node: int, *, counted: bool = False) -> Pause | None:
        """Suspend the machine: datagrams are lost, and the monotonic clock stands still unless `counted`. None: as of
        `freeze`."""
        return self._pause(node, Pause(self._engine.now_ns, counted))

    def in_pause(self, node: int, pause: Pause) -> bool:
        """Whether it is still in this one: it may have died in it, and a later life may be in another."""
        return self._engine.hosts[node].pause is pause

    def resume(self, node: int) -> None:
        """End a freeze or a sleep: what waited is handled in its order, then late timers fire."""
        engine = self._engine
        host = engine.hosts[node]
        pause, peer = host.pause, host.peer
        if pause is None or peer is None:
            return
        host.pause = None
        engine.changed_ns = host.resumed_ns = engine.now_ns
        if pause.asleep and not pause.asleep_counted:
            self.clock(node).slept_ns += engine.now_ns - pause.since_ns
        for handle, args in pause.held:
            engine.feed(host, handle, *args)
            if host.peer is not peer:
                return
        engine.timers.arm(host, peer.next_deadline())

    def resumed_ns(self, node: int) -> int:
        """What its monotonic clock showed when it last went on; one that never stood still: when the run began."""
        host = self._engine.hosts[node]
        return host.resumed_ns if host.clock is None else host.clock.now(host.resumed_ns).mono_ns

    def set_disk(self, node: int, disk: Disk | None) -> None:
        """Let its commits and syncs fail; None: they work again."""
        self._engine.hosts[node].disk = disk

    def _pause(self, node: int, pause: Pause) -> Pause | None:
        host = self._engine.hosts[node]
        if host.peer is None or host.pause is not None:
            return None
        host.pause = pause
        self._engine.changed_ns = self._engine.now_ns
        return pause
