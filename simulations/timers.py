"""When a peer wants its timer: few events in the heap for many changes of mind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError
from simulations.host import Host

if TYPE_CHECKING:
    from simulations.engine import Engine

#: Calls of handle_timer for one peer at one instant before it is said that it spins.
_MAX_AT_ONCE: Final = 1000


class Timers:
    """Those of the peers of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def arm(self, host: Host, deadline: int | None) -> None:
        """Have an event at `deadline` (of the clock of the node) or before. A timer that is cancelled leaves its event,
        which finds nothing due; as only an earlier one than all in the heap is added, they stay few."""
        if deadline is not None:
            if host.clock is not None:
                deadline = host.clock.time_of(deadline)
            at_ns = max(deadline, self._engine.now_ns)
            if not host.armed_ns or at_ns < host.armed_ns[-1]:
                host.armed_ns.append(at_ns)
                self._engine.push(host, at_ns, self._fire, host, None)

    def _fire(self, host: Host, _a: None, _b: None) -> None:
        host.armed_ns.pop()
        if host.pause is not None:
            return  # `resume` looks when it is wanted
        assert host.peer is not None
        engine = self._engine
        deadline = host.peer.next_deadline()
        mono_ns = engine.now_ns if host.clock is None else engine.now_ns - host.clock.slept_ns
        if deadline is None or deadline > mono_ns:
            self.arm(host, deadline)
            return
        host.timers_at_once = host.timers_at_once + 1 if host.last_timer_ns == engine.now_ns else 1
        host.last_timer_ns = engine.now_ns
        if host.timers_at_once > _MAX_AT_ONCE:
            raise LocalError(f"node {host.index} wants its timer again and again at {engine.now_ns} ns")
        engine.feed(host, host.peer.handle_timer)
