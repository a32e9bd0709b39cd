"""Replayers: they understand nothing that they hear, and say it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from simulations.adversaries.positions import chosen, from_then, near_key
from simulations.adversaries.survey import survey_at_end
from simulations.bounds import between, not_negative, one_of, positive, share
from simulations.swarm import Swarm

#: Datagrams of others that a replayer keeps: the newest, and as many of all that it ever heard.
_KEPT = 500
#: (sender, whom it was for, bytes).
_Datagram = tuple[int, Address, bytes]


@attrs.frozen(slots=True, kw_only=True)
class Replayers:
    """They record datagrams of others and send them again (Syverson, A Taxonomy of Replay Attacks, CSFW 1994), to make
    requests act twice, to bring old values back, and to move contacts to where the replayer is. Half of what they send
    is seconds old, while all remember it; half was heard at any time since they began, so that in a long run most of
    it is older than what a peer remembers of stamps, replies (30 s) and messages (120 s).

    `hears`: "own", what is sent to them, which they pass to others; "all", every datagram of the network, as somebody
    on its paths hears it, which they send to whom it was for. `source`: "own", by their own address; "spoofed", by that
    of who first sent it; "both", in turns. Counts `replayed`; see `table_false` and `dropped_*` at the end.
    """

    fraction: float = attrs.field(default=0.05, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    hears: str = attrs.field(default="all", validator=one_of("own", "all"))
    source: str = attrs.field(default="both", validator=one_of("own", "spoofed", "both"))
    #: Datagrams a second, each.
    rate: float = attrs.field(default=20.0, validator=between(0.1, 1000))

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.count("replayed", 0)
        nodes = chosen(swarm, "replayers", self.fraction, self.count, self.near)
        heard = Heard(swarm.rng("replayers", "heard", *nodes), _KEPT * max(1, len(nodes)))
        own = {swarm.population.address(node) for node in nodes}

        def hear(sender: int, to: Address, data: bytes) -> None:
            if sender not in swarm.adversaries and (self.hears == "all" or to in own):
                heard.add((sender, to, data))

        for node in nodes:
            swarm.corrupt(node, "replayers", swarm.population.peer)
            swarm.every(1 / self.rate, self._replayer(swarm, node, heard), begin_s=self.from_s)
        from_then(swarm, self.from_s, lambda: swarm.engine.taps.append(hear))
        survey_at_end(swarm)

    def _replayer(self, swarm: Swarm, node: int, heard: Heard) -> Callable[[], None]:
        rng = swarm.rng("replayer", node)

        def again() -> None:
            if not heard.newest or not swarm.engine.alive(node):
                return
            sender, to, data = heard.one(rng)
            if self.hears == "own":
                to = swarm.population.address(rng.choice(swarm.honest()))
            spoofed = self.source == "spoofed" or (self.source == "both" and rng.below(2) == 1)
            source = swarm.population.address(sender) if spoofed else None
            swarm.engine.inject(node, to, data, source=source)
            swarm.measures.count("replayed")

        return again


@attrs.define(slots=True, eq=False)
class Heard:
    """The newest, and of all so far each with the same chance (reservoir sampling: Vitter 1985, algorithm R)."""

    _rng: Rng
    _most: int
    newest: deque[_Datagram] = attrs.field(init=False)
    _sample: list[_Datagram] = attrs.field(init=False, factory=list)
    _count: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.newest = deque(maxlen=self._most)

    def add(self, datagram: _Datagram) -> None:
        self.newest.append(datagram)
        self._count += 1
        if len(self._sample) < self._most:
            self._sample.append(datagram)
        elif (at := self._rng.below(self._count)) < self._most:
            self._sample[at] = datagram

    def one(self, rng: Rng) -> _Datagram:
        if rng.below(2):
            return self._sample[rng.below(len(self._sample))]
        return self.newest[rng.below(len(self.newest))]
