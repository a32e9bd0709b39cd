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
        for node in those:
            pause = swarm.engine.machines.freeze(node)
            if pause is not None:
                swarm.later(self.for_s, partial(_resume, swarm, node, pause))
        swarm.mark(f"{len(those)} nodes stand still")


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
        for i, node in enumerate(those):
            swarm.later(self.within_s * i / len(those), lambda node=node: self._one(swarm, node))  # type: ignore[misc]
        swarm.mark(f"{len(those)} machines go to sleep")

    def _one(self, swarm: Swarm, node: int) -> None:
        pause = swarm.engine.machines.sleep(node, counted=self.counted)
        if pause is not None:
            swarm.later(self.for_s, partial(_resume, swarm, node, pause, move=self.move))


def _resume(swarm: Swarm, node: int, pause: Pause, *, move: bool = False) -> None:
    """End that pause, and no other of a later life."""
    if swarm.engine.machines.in_pause(node, pause):
        if move:
            swarm.move(node)
        swarm.engine.machines.resume(node)


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
