"""What a sweep consists of: cells, each one scenario with some keys changed and one seed.

`adversaries.fraction=0.1,0.2` by `workload.paths=1,8` by seeds 1..5 are 20 cells.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from simulations import spec
from simulations.scenario import Scenario

#: Ten thousand cells of a minute each are a week of one core: more is a typing error.
MAX_CELLS = 10_000


class BadSweep(ValueError):
    """What is wrong with what was asked for."""


@attrs.frozen(slots=True)
class Vary:
    """One key of the scenario and the values it takes, each as the text that `--set` would get."""

    key: str
    values: tuple[str, ...]


@attrs.frozen(slots=True)
class Cell:
    """One run. `values`: of the varied keys, in their order."""

    values: tuple[tuple[str, str], ...]
    seed: int

    @property
    def name(self) -> str:
        """`adversaries.fraction=0.1 workload.paths=4 seed=1`: what tells it from all others of the sweep."""
        return " ".join([*(f"{key}={value}" for key, value in self.values), f"seed={self.seed}"])


@attrs.frozen(slots=True)
class Plan:
    #: As typed: a shipped name or a file.
    scenario: str
    table: dict[str, Any]
    #: `key=value` for every cell, before what is varied.
    settings: tuple[str, ...]
    vary: tuple[Vary, ...]
    seeds: tuple[int, ...]
    codec: str

    @property
    def hash(self) -> str:
        """Of all that decides what a cell gives, but for its own values and seed: a sweep may be widened and go
        on, while results of another scenario must not be mixed with these."""
        whole = json.dumps([self.table, self.settings, self.codec], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def cells(self) -> Iterator[Cell]:
        """Seed by seed: whoever stops early has every value of the first seeds."""
        ways = [[(vary.key, value) for value in vary.values] for vary in self.vary]
        for seed in self.seeds:
            for values in itertools.product(*ways):
                yield Cell(values, seed)

    def scenario_of(self, cell: Cell) -> Scenario:
        """BadScenario with the path of the key that is wrong."""
        table = copy.deepcopy(self.table)
        for setting in self.settings:
            spec.override(table, setting)
        for key, value in cell.values:
            spec.override(table, f"{key}={value}")
        scenario = spec.scenario_of(self.scenario, table)
        if scenario.duration_s >= spec.duration_of(self.table):  # else whoever made it shorter knows
            spec.refuse_late(scenario)
        return scenario

    def command(self, cell: Cell) -> str:
        """The one command that repeats a cell."""
        words = ["p2pnode", "swarm", "run", self.scenario, "--seed", str(cell.seed)]
        words += ["--codec", self.codec] if self.codec != "objects" else []
        for setting in (*self.settings, *(f"{key}={value}" for key, value in cell.values)):
            words += ["--set", setting]
        return shlex.join(words)


def plan_of(
    scenario: str, *, vary: Sequence[str], seeds: str, settings: Sequence[str] = (), codec: str = "objects"
) -> Plan:
    """A plan whose every cell is a valid scenario. Raises BadSweep, BadScenario."""
    _, table = spec.read(scenario)
    varied = tuple(vary_of(text) for text in vary)
    keys = [entry.key for entry in varied]
    if len(set(keys)) < len(keys):
        raise BadSweep(f"a key is varied twice: {', '.join(keys)}")
    plan = Plan(scenario, table, tuple(settings), varied, seeds_of(seeds), codec)
    count = len(plan.seeds)
    for entry in varied:
        count *= len(entry.values)
    if count > MAX_CELLS:
        raise BadSweep(f"{count:,} cells, more than {MAX_CELLS:,}")
    for cell in itertools.islice(plan.cells(), count // len(plan.seeds)):  # the first seed has every value
        plan.scenario_of(cell)
    return plan


def vary_of(text: str) -> Vary:
    """`workload.paths=1,4,8`; commas within brackets or quotes belong to a value."""
    key, equals, values = text.partition("=")
    found = _split(values)
    if not equals or not key.strip() or not all(found):
        raise BadSweep(f"{text!r}: expected KEY=VALUE,VALUE..., as in workload.paths=1,4,8")
    if len(set(found)) < len(found):
        raise BadSweep(f"{text!r}: a value is there twice")
    return Vary(key.strip(), tuple(found))


def seeds_of(text: str) -> tuple[int, ...]:
    """`1..5`, `7`, `1,2,9..11`."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdecimal() or (dots and not last.isdecimal()):
            raise BadSweep(f"seeds {text!r}: expected 1..5 or 1,2,9")
        span = range(int(first), int(last) + 1) if dots else range(int(first), int(first) + 1)
        if not 0 < len(span) <= MAX_CELLS:
            raise BadSweep(f"seeds {text!r}: {part.strip()} is empty or more than {MAX_CELLS:,}")
        seeds += span
    return tuple(dict.fromkeys(seeds))


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        if char == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]
