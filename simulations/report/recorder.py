"""Watches a swarm while it runs, for what the measures do not hold: messages by kind over time, and whole lookups.

It only looks, and what it keeps is bounded, so it may watch any run; the trace hash is the same with and without it.
"""

from __future__ import annotations

from typing import Final

import attrs

from overlay.events import Event, LookupEnded, LookupStep
from overlay.runtime.ports import SECOND
from simulations.swarm import Swarm

#: Rows of traffic; above that every second one is dropped. A plot is a few hundred pixels wide.
MAX_ROWS: Final = 1000
#: Lookups that are followed at the same time; of more, the one that began first is forgotten.
MAX_FOLLOWED: Final = 64
#: Lookups that are drawn.
DRAWN_LOOKUPS: Final = 3
#: A lookup of fewer answers shows nothing.
MIN_STEPS: Final = 4


@attrs.frozen(slots=True)
class Traffic:
    """What was sent until then."""

    at_s: float
    bytes: int
    #: Kind of message (overlay.wire.registry) -> datagrams.
    kinds: dict[int, int]


@attrs.frozen(slots=True)
class Lookup:
    """One lookup of an honest node, whole: its answers in order, each with its path."""

    node: int
    target: bytes
    hops: int
    steps: tuple[tuple[int, bytes], ...]


class Recorder:
    """Make it before `swarm.run()`."""

    def __init__(self, swarm: Swarm) -> None:
        self.traffic: list[Traffic] = []
        #: The ones of most hops, of equal ones the last.
        self.lookups: list[Lookup] = []
        self._adversaries = swarm.adversaries
        self._stride, self._skipped = 1, 0
        self._followed: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        swarm.samplers.append(self.sample)
        swarm.watchers.append(self._heard)

    def sample(self, swarm: Swarm) -> None:
        """A sampler (simulations.samples)."""
        self._skipped += 1
        if self.traffic and self._skipped < self._stride:
            return
        self._skipped = 0
        self.traffic.append(now(swarm))
        if len(self.traffic) > MAX_ROWS:
            del self.traffic[1::2]
            self._stride *= 2

    def _heard(self, node: int, _at_ns: int, event: Event) -> None:
        match event:
            case LookupStep(lookup, asked, _, path):
                steps = self._followed.setdefault((node, lookup), [])
                steps.append((path, asked))
                if len(self._followed) > MAX_FOLLOWED:
                    del self._followed[next(iter(self._followed))]
            case LookupEnded(lookup, target, hops=hops):
                whole = self._followed.pop((node, lookup), [])
                if len(whole) >= MIN_STEPS and node not in self._adversaries:
                    found = Lookup(node, target, hops, tuple(whole))
                    self.lookups = sorted([found, *self.lookups], key=lambda one: -one.hops)[:DRAWN_LOOKUPS]


def now(swarm: Swarm) -> Traffic:
    return Traffic(swarm.engine.now_ns / SECOND, swarm.network.sent_bytes, dict(swarm.engine.kinds))
