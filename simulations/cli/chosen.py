"""Which run is meant: a scenario and what the options change, the same words for every command that runs it."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import click

from p2pnode.ui import huge_pages
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.render import one_line
from simulations.bounds import LONGEST_S

if TYPE_CHECKING:
    from simulations.scenario import BadScenario, Scenario
    from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class Chosen:
    """What was typed."""

    scenario: str
    nodes: int | None
    seed: int
    duration: float | None
    codec: str
    settings: tuple[str, ...]
    app: str | None

    def table(self) -> dict[str, Any]:
        """The table of the scenario with everything put in; ends the program if there is none."""
        from simulations import spec

        extra = [f"population.nodes={self.nodes}"] if self.nodes is not None else []
        extra += [f"duration_s={self.duration}"] if self.duration is not None else []
        extra += [f'population.apps=["{self.app}"]'] if self.app is not None else []
        try:
            name, table = spec.read(self.scenario)
            for setting in (*extra, *self.settings):
                spec.override(table, setting)
        except spec.BadScenario as error:
            self._refuse(error)
        return {"name": name, **table}

    def files(self) -> list[Path]:
        """What is read for it; nothing if the scenario is a shipped one."""
        from simulations import spec

        return [] if self.scenario in spec.shipped() else [Path(self.scenario)]

    def load(self) -> Scenario:
        """The scenario; ends the program if something is wrong with it."""
        from simulations import spec

        table = self.table()
        try:
            scenario = spec.scenario_of(table["name"], table)
            if not self._is_shorter(scenario):
                spec.refuse_late(scenario)
        except spec.BadScenario as error:
            self._refuse(error)
        return scenario

    def swarm(self) -> Swarm:
        """Ready to run."""
        from simulations.cli.ending import telling
        from simulations.population import Codec
        from simulations.scenario import BadScenario
        from simulations.swarm import Swarm

        scenario = self.load()
        with telling(self.command("run")):
            try:
                return Swarm(scenario, seed=self.seed, codec=Codec(self.codec))
            except BadScenario as error:
                self._refuse(error)

    @property
    def resized(self) -> bool:
        """Of another size than the scenario says."""
        return self.nodes is not None or self.duration is not None

    def _is_shorter(self, scenario: Scenario) -> bool:
        """Whoever cuts a scenario short knows that it does not come to its end, and is told what that leaves out."""
        from simulations import spec

        return scenario.duration_s < spec.duration_of(spec.read(self.scenario)[1])

    def command(self, verb: str, *more: str) -> str:
        """The one command that does the same again."""
        words = ["p2pnode", "swarm", verb, self.scenario, "--seed", str(self.seed)]
        words += ["--nodes", str(self.nodes)] if self.nodes is not None else []
        words += ["--duration", number(self.duration)] if self.duration is not None else []
        words += ["--codec", self.codec] if self.codec != "objects" else []
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += ["--app", self.app] if self.app is not None else []
        return shlex.join((*words, *more))

    def _refuse(self, error: BadScenario) -> NoReturn:
        refuse(self.scenario, error)


def refuse(name: str, error: BadScenario) -> NoReturn:
    """End the program: what is wrong with the scenario of that name, all of it."""
    from simulations import spec

    facts = {"look": f"p2pnode swarm show {shlex.quote(name)}"} if name in spec.shipped() else {}
    if len(error.problems) == 1:
        fail(one_line(f"scenario {name}: {error}"), code="usage", **facts)
    told: dict[str, str] = {}
    for path, what in error.problems:
        label, text = one_line(path), one_line(what)
        told[label] = f"{told[label]}\n{text}" if label in told else text
    raise Fail(f"scenario {one_line(name)}: {len(error.problems)} things are wrong", code="usage", facts=told | facts)


def number(value: float) -> str:
    """As it is typed; all of its digits."""
    return repr(int(value) if value.is_integer() else value)


#: The bounds of duration_s in simulations.scenario, which is not imported here (`--help` is to be quick).
DURATION = FiniteRange(0.001, LONGEST_S)

_OPTIONS = (
    click.argument("scenario"),
    click.option("--nodes", type=click.IntRange(2, 200_000), help="Instead of what the scenario says."),
    click.option(
        "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same run."
    ),
    click.option(
        "--duration", type=DURATION, metavar="VIRTUAL_S", help="Virtual seconds, instead of what the scenario says."
    ),
    click.option(
        "--codec",
        type=click.Choice(["objects", "fast", "real"]),
        default="objects",
        show_default=True,
        help="How much of the work of a datagram is real; decisions are the same.",
    ),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the scenario."),
    click.option("--app", metavar="MODULE:CLASS", help="An application that every node runs."),
)  # fmt: skip


def choosing(fn: Callable[..., int]) -> Callable[..., int]:
    """A command whose first argument is a Chosen made of the arguments and options above."""

    @functools.wraps(fn)
    def command(
        scenario: str, nodes: int | None, seed: int, duration: float | None, codec: str, settings: tuple[str, ...],
        app: str | None, **others: Any,
    ) -> int:  # fmt: skip
        huge_pages.use()
        chosen = Chosen(
            scenario=scenario, nodes=nodes, seed=seed, duration=duration, codec=codec, settings=settings, app=app
        )
        return fn(chosen, **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command
