"""What the nodes are asked to do while a scenario runs, and how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from overlay.runtime.chance import Rng
from overlay.runtime.ports import Ok, Outcome
from simulations.bounds import after, between, not_negative, one_of, positive
from simulations.swarm import Swarm


def spread(swarm: Swarm, count: int, from_s: float, to_s: float | None, fn: Callable[[int], object]) -> None:
    """Call `fn(0) .. fn(count - 1)` evenly over [from_s, to_s), which ends with the run if it is None; never if that
    is no time at all, as in a run that is made shorter than its scenario."""
    end_s = swarm.scenario.duration_s if to_s is None else to_s
    if end_s <= from_s:
        return
    for i in range(count):
        swarm.at(from_s + (end_s - from_s) * i / count, lambda i=i: fn(i))  # type: ignore[misc]


@attrs.frozen(slots=True, kw_only=True)
class Lookups:
    """Random honest nodes look for random keys. Success: the closest honest node that lives was found. Where no node
    but the one that looks can be reached by strangers, it asks nothing, and `NAME_nobody_to_find` counts that."""

    #: Begins all its figures: several in one run are told apart.
    name: str = "lookup"
    count: int = attrs.field(default=1000, validator=positive)
    paths: int = attrs.field(default=4, validator=between(1, 8))
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    to_s: float | None = attrs.field(default=None, validator=after("from_s"))

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng(f"{self.name}s")
        spread(swarm, self.count, self.from_s, self.to_s, lambda _: self._one(swarm, rng))

    def _one(self, swarm: Swarm, rng: Rng) -> None:
        target, honest = rng.bytes(32), swarm.honest()
        if len(honest) < 2:
            return
        node = rng.choice(honest)
        began_ns = swarm.engine.now_ns
        number = int.from_bytes(target, "big")
        nearest = min((i for i in swarm.servers() if i != node), key=lambda i: swarm.number(i) ^ number, default=None)
        if nearest is None:
            swarm.measures.count(f"{self.name}_nobody_to_find")
            return

        def ended(outcome: Outcome, took_ns: int) -> None:
            operations = swarm.measures.operation(self.name)
            if not isinstance(outcome, Ok):
                return operations.add(began_ns, took_ns, False)
            # A closest node that died meanwhile cannot be found.
            found = swarm.id_text(nearest) in outcome.value["closest"] or not swarm.engine.alive(nearest)
            return operations.add(began_ns, took_ns, found, rpcs=outcome.value["rpcs"], hops=outcome.value["hops"])

        swarm.ask(node, "lookup", {"key": target.hex(), "paths": self.paths}, ended)


@attrs.frozen(slots=True, kw_only=True)
class PutGet:
    """Random honest nodes put values; later others get them. `get` counts values that were acknowledged, `get_wrong`
    gets that gave another value than was put."""

    values: int = attrs.field(default=100, validator=positive)
    gets: int = attrs.field(default=500, validator=positive)
    profile: str = attrs.field(default="secure", validator=one_of("secure", "cheap"))
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    #: Gets begin here.
    get_from_s: float | None = attrs.field(default=None, validator=after("from_s"))
    to_s: float | None = attrs.field(default=None, validator=(after("from_s"), after("get_from_s")))

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("put-get")
        stored: list[tuple[str, bytes]] = []
        end_s = swarm.scenario.duration_s if self.to_s is None else self.to_s
        middle = (self.from_s + end_s) / 2 if self.get_from_s is None else self.get_from_s
        spread(swarm, self.values, self.from_s, middle, lambda i: self._put(swarm, rng, i, stored))
        spread(swarm, self.gets, middle, end_s, lambda _: self._get(swarm, rng, stored))

    def _put(self, swarm: Swarm, rng: Rng, i: int, stored: list[tuple[str, bytes]]) -> None:
        honest = swarm.honest()
        if not honest:
            return
        node, value, began_ns = rng.choice(honest), b"value %d " % i + rng.bytes(16), swarm.engine.now_ns

        def ended(outcome: Outcome, took_ns: int) -> None:
            ok = isinstance(outcome, Ok)
            rpcs = outcome.value["rpcs"] if isinstance(outcome, Ok) else 0
            swarm.measures.operation("put").add(began_ns, took_ns, ok, rpcs=rpcs)
            if isinstance(outcome, Ok):
                stored.append((outcome.value["key"], value))

        args: dict[str, Any] = {"value": value, "name": f"value {i}", "profile": self.profile}
        swarm.ask(node, "put", args, ended)

    def _get(self, swarm: Swarm, rng: Rng, stored: list[tuple[str, bytes]]) -> None:
        honest = swarm.honest()
        if not honest or not stored:
            return
        node, (key, value), began_ns = rng.choice(honest), rng.choice(stored), swarm.engine.now_ns

        def ended(outcome: Outcome, took_ns: int) -> None:
            right = isinstance(outcome, Ok) and outcome.value["value"] == value
            rpcs = outcome.value["rpcs"] if isinstance(outcome, Ok) else 0
            swarm.measures.operation("get").add(began_ns, took_ns, right, rpcs=rpcs)
            # Not found is one thing, another's value is another.
            swarm.measures.count("get_wrong", isinstance(outcome, Ok) and not right)

        swarm.ask(node, "get", {"key": key}, ended)
