"""What happens to the machines of a swarm at fixed times: they stand still, sleep, their clocks or disks are wrong.

Nodes through which others join are spared.
"""

from __future__ import annotations

from functools import partial

import attrs

from simulations.bounds import between, not_negative, one_of, positive, share
from simulations.pause import Pause
from simulations.swarm import Swarm
from simulations.timeline_network import some
from simulations.work import Disk


@attrs.frozen(slots=True, kw_only=True)
class Freeze:
    """Some processes stand still for a while (SIGSTOP): what comes waits, until their sockets are full."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    for_s: float = attrs.field(default=30.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._freeze(swarm))

    def _freeze(self, swarm: Swarm) -> None:
        those = some(swarm, "freeze", self.at_s, self.share)
        pauses = {node: pause for node in those if (pause := swarm.engine.machines.freeze(node)) is not None}
        swarm.mark(f"{len(those)} nodes stand still")
        swarm.later(self.for_s, lambda: self._thaw(swarm, pauses))

    def _thaw(self, swarm: Swarm, pauses: dict[int, Pause]) -> None:
        going = [_resume(swarm, node, pause) for node, pause in pauses.items()]
        swarm.mark(f"{sum(going)} nodes go on")


@attrs.frozen(slots=True, kw_only=True)
class Sleep:
    """Some machines are suspended, one after the other, each for a while: what is sent to them is lost."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    for_s: float = attrs.field(default=120.0, validator=positive)
    #: The last one falls asleep so long after the first.
    within_s: float = attrs.field(default=0.0, validator=not_negative)
    #: The monotonic clock counts the time, as it does not on Linux.
    counted: bool = False
    #: They wake at another address.
    move: bool = False

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._sleep(swarm))

    def _sleep(self, swarm: Swarm) -> None:
        those = some(swarm, "sleep", self.at_s, self.share)
        woken: list[int] = []
        for i, node in enumerate(those):
            is_last = i == len(those) - 1
            swarm.later(self.within_s * i / len(those), partial(self._one, swarm, node, woken, is_last=is_last))
        swarm.mark(f"{len(those)} machines go to sleep")

    def _one(self, swarm: Swarm, node: int, woken: list[int], *, is_last: bool) -> None:
        pause = swarm.engine.machines.sleep(node, counted=self.counted)
        if pause is not None or is_last:
            swarm.later(self.for_s, partial(self._wake, swarm, node, pause, woken, is_last=is_last))

    def _wake(self, swarm: Swarm, node: int, pause: Pause | None, woken: list[int], *, is_last: bool) -> None:
        if pause is not None and _resume(swarm, node, pause, move=self.move):
            woken.append(node)
        if is_last:
            swarm.mark(f"{len(woken)} machines are awake again")


def _resume(swarm: Swarm, node: int, pause: Pause, *, move: bool = False) -> bool:
    """End that pause, and no other of a later life; whether it was in it."""
    if not swarm.engine.machines.in_pause(node, pause):
        return False
    if move:
        swarm.move(node)
    swarm.engine.machines.resume(node)
    return True


@attrs.frozen(slots=True, kw_only=True)
class SetClock:
    """The wall clocks of some jump, or run fast or slow from now on."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    #: Forward, or back if negative; each by chance between none and all of it if `spread`.
    step_s: float = 0.0
    spread: bool = False
    #: Parts per million; a cheap quartz is off by up to 100. 0 ends a drift; left out, it stays as it is.
    drift_ppm: int | None = attrs.field(default=None, validator=between(-100_000, 100_000))

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._set(swarm))

    def _set(self, swarm: Swarm) -> None:
        those = some(swarm, "clock", self.at_s, self.share)
        step_ms = round(self.step_s * 1000)
        for node in those:
            clock = swarm.engine.machines.clock(node)
            part = swarm.rng("clock", self.at_s, node).between(0, 1000) if self.spread else 1000
            clock.skew_ms += step_ms * part // 1000
            if self.drift_ppm is not None:
                clock.drift(swarm.engine.now_ns, self.drift_ppm)
        swarm.mark(f"the clocks of {len(those)} nodes are set")


@attrs.frozen(slots=True, kw_only=True)
class BreakDisk:
    """The disks of some fail to write, for a while: nothing is committed, what was is still there."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    for_s: float | None = attrs.field(default=None, validator=positive)
    trouble: str = attrs.field(default="full", validator=one_of("full", "error"))
    #: So many writes still go well.
    after_writes: int = attrs.field(default=0, validator=not_negative)
    #: Then so many fail; all, if left out.
    writes: int | None = attrs.field(default=None, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._break(swarm))

    def _break(self, swarm: Swarm) -> None:
        those = some(swarm, "disk", self.at_s, self.share)
        trouble = "the disk is full" if self.trouble == "full" else "input/output error"
        for node in those:
            swarm.engine.machines.set_disk(node, Disk(trouble, self.after_writes, self.writes))
        swarm.mark(f"the disks of {len(those)} nodes fail")
        if self.for_s is not None:
            swarm.later(self.for_s, lambda: self._mend(swarm, those))

    def _mend(self, swarm: Swarm, those: list[int]) -> None:
        for node in those:
            swarm.engine.machines.set_disk(node, None)
        swarm.mark(f"the disks of {len(those)} nodes work again")
