"""A share and those who want it: who has it first, who asks for it when, and what becomes of its seeds."""

from __future__ import annotations

from typing import Any

import attrs

from apps.files.core.limits import KIB, LEAF_BYTES, MIB, UNIT_BYTES
from apps.files.core.memory_disk import Made, make_share
from overlay.runtime.ports import Ok, Outcome
from simulations.bounds import after, between, not_negative, one_of, positive, share
from simulations.files.transfers import Transfers
from simulations.files.world import files_of
from simulations.swarm import Swarm

#: Seeds that are to die when they are needed no more are looked at so often.
_LOOK_S = 0.25


def _unit(_instance: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value * KIB not in (LEAF_BYTES << i for i in range(UNIT_BYTES.bit_length())) or value * KIB > UNIT_BYTES:
        raise ValueError(f"expected 16, 32, 64, 128 or 256, found {value}", attribute)


@attrs.frozen(slots=True, kw_only=True)
class ShareFiles:
    """The last `seeds` honest nodes share something made up; `leechers` of the others, but for those through which
    nodes join, get it by its link. What is measured begins with `name`: simulations.files.transfers.
    """

    name: str = "share"
    #: All files together; each is as large as the others.
    size_mib: float = attrs.field(default=16.0, validator=between(0.001, 65_536))
    files: int = attrs.field(default=1, validator=between(1, 100_000))
    #: What is verified at once: with smaller units a share has more of them for its size.
    unit_kib: int = attrs.field(default=256, validator=_unit)
    seeds: int = attrs.field(default=1, validator=positive)
    leechers: float = attrs.field(default=1.0, validator=share)
    #: The seeds share it.
    from_s: float = attrs.field(default=30.0, validator=not_negative)
    #: The others get it: all at once, or one after the other `within_s`.
    get_from_s: float = attrs.field(default=45.0, validator=after("from_s"))
    within_s: float = attrs.field(default=0.0, validator=not_negative)
    #: When the seeds die without a word: "never", or "copied": as soon as every unit is somewhere else, too.
    seeds_die: str = attrs.field(default="never", validator=one_of("never", "copied"))
    #: What becomes of those who have got it: they "stay" and give it to others, or "leave" and give no more.
    then: str = attrs.field(default="stay", validator=one_of("stay", "leave"))

    @property
    def earliest_s(self) -> float:
        return self.get_from_s

    def begin(self, swarm: Swarm) -> None:
        made = self._made()
        world = files_of(swarm)
        world.library[made.info.id] = made
        honest = [node for node in swarm.corruptible if node < swarm.scenario.population.nodes]
        seeds = honest[-self.seeds :]
        others = [node for node in range(swarm.scenario.population.bootstraps, len(swarm)) if node not in seeds]
        leechers = sorted(swarm.rng("leechers", self.name).sample(others, round(self.leechers * len(others))))
        transfers = Transfers(swarm, world, self.name, made, tuple(seeds), tuple(leechers), at_once=not self.within_s)
        links: list[str] = []
        for seed in seeds:
            swarm.at(self.from_s, lambda seed=seed: self._share(swarm, seed, links))  # type: ignore[misc]
        for i, node in enumerate(leechers):
            at_s = self.get_from_s + self.within_s * i / max(1, len(leechers))
            swarm.at(at_s, lambda node=node: self._get(swarm, node, links, transfers))  # type: ignore[misc]
        if self.then == "leave":
            transfers.on_complete.append(lambda node: self._ask(swarm, node, "pause", share=made.info.id.hex()))
        if self.seeds_die == "copied":
            swarm.every(_LOOK_S, lambda: self._look(swarm, transfers), begin_s=self.get_from_s)
        transfers.begin()

    def _made(self) -> Made:
        length = max(1, round(self.size_mib * MIB / self.files))
        name = self.name.encode()
        paths = [(name,)] if self.files == 1 else [(b"%06d" % i,) for i in range(self.files)]
        return make_share(name, dict.fromkeys(paths, length), unit_bytes=self.unit_kib * KIB)

    def _share(self, swarm: Swarm, seed: int, links: list[str]) -> None:
        def ended(outcome: Outcome, _took_ns: int) -> None:
            if isinstance(outcome, Ok):
                links.append(outcome.value["link"])

        self._ask(swarm, seed, "share", ended, path=self.name)

    def _get(self, swarm: Swarm, node: int, links: list[str], transfers: Transfers) -> None:
        if not links or not swarm.engine.awake(node):
            return
        transfers.asked(node)
        self._ask(swarm, node, "get", link=links[0], folder="/downloads")

    def _look(self, swarm: Swarm, transfers: Transfers) -> None:
        living = [seed for seed in transfers.seeds if swarm.engine.alive(seed)]
        if living and transfers.copied():
            for seed in living:
                swarm.kill(seed)
            swarm.mark(f"the seeds of {self.name} die: every unit is somewhere else")

    @staticmethod
    def _ask(
        swarm: Swarm, node: int, command: str, ended: Any = lambda _outcome, _took: None, **args: object
    ) -> None:  # fmt: skip
        if swarm.engine.awake(node):
            swarm.ask(node, "app", {"app": "files", "command": command, "args": args}, ended)
