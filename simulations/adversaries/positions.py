"""Who is an adversary, from when on, and whom it is after.

The victim of a scenario is the last node of its population: no adversary is put in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Attribute

from simulations.scenario import TooMany
from simulations.swarm import Swarm


def near_key(_instance: Any, attribute: Attribute[Any], value: str) -> None:
    """Validator of `near`: "", "victim" or a key."""
    if value in ("", "victim"):
        return
    if len(value) != 64 or any(digit not in "0123456789abcdef" for digit in value):
        raise ValueError(f'expected "victim" or a key of 64 hex digits, found {value!r}', attribute)


def victim(swarm: Swarm) -> int:
    return swarm.scenario.population.nodes - 1


def target_of(swarm: Swarm, near: str) -> int:
    """The point of the id space that `near` names."""
    return swarm.number(victim(swarm)) if near == "victim" else int(near, 16)


def chosen(swarm: Swarm, name: str, fraction: float, count: int | None, near: str) -> list[int]:
    """Nodes of the population that become adversaries, ascending: `count` of them or else `fraction` of all, by chance
    or (with `near`) those whose ids are nearest to a point. TooMany if there are not so many honest ones left."""
    left = [node for node in swarm.corruptible if node != victim(swarm)]
    most = round(fraction * len(swarm)) if count is None else count
    if most > len(left):
        others = f", nor the {len(swarm.adversaries)} that are adversaries already" if swarm.adversaries else ""
        asked = f"{fraction:g} of {len(swarm)} nodes are {most}" if count is None else f"{most} nodes"
        raise TooMany("fraction" if count is None else "count", (
            f"{asked}, but only {len(left)} can be chosen: not the {swarm.scenario.population.bootstraps} through "
            f"which others join, nor the last one, the victim{others}"
        ))  # fmt: skip
    if not near:
        return sorted(swarm.rng(name).sample(left, most))
    target = target_of(swarm, near)
    return sorted(sorted(left, key=lambda node: swarm.number(node) ^ target)[:most])


def from_then(swarm: Swarm, from_s: float, act: Callable[[], object]) -> None:
    """Call `act()` at `from_s`, or now if that is past: who is honest before turns, who starts later is born so."""
    if swarm.now_s >= from_s:
        act()
    else:
        swarm.at(from_s, act)
