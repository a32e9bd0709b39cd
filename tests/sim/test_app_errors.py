"""An application that fails in a swarm: who, where and when, and that the run failed with it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from overlay import App, AppContext
from overlay.runtime.ports import SECOND
from simulations.scenario import Population, Scenario
from simulations.swarm import Swarm


class Fragile(App):
    """Ends by an exception at every node, in a task of its own."""

    name = "fragile"

    async def run(self, ctx: AppContext) -> None:
        ctx.command("fail", self._fail)
        await ctx.sleep(5 * SECOND)
        await self._break(ctx)

    async def _fail(self, args: dict[str, Any]) -> int:
        return 1 // int(args.get("by", 0))

    async def _break(self, ctx: AppContext) -> None:
        async def inner() -> None:
            raise LookupError("no bread")

        ctx.spawn(inner())
        await ctx.sleep(SECOND)


def fragile(**changes: Any) -> Swarm:
    population = Population(nodes=4, arrive_s=1)
    made = Scenario(name="test", population=population, duration_s=10, **changes)
    return Swarm(made, seed=1, apps=lambda node: [Fragile()])


def test_an_application_that_fails_breaks_the_run_and_says_where() -> None:
    end = fragile().run()
    [broken] = end.broken
    assert (broken.invariant, broken.node) == ("apps-run", 0)
    assert broken.at_s == pytest.approx(5, abs=0.1)
    assert broken.what.startswith("application fragile failed: LookupError: no bread (test_app_errors.py:")
    assert broken.what.endswith(" in Fragile._break.<locals>.inner)")
    [error] = end.app_errors
    assert (error.event, error.node, error.count) == ("failed", 0, 4)
    assert not end.ok


def test_who_expects_applications_to_fail_leaves_the_invariant_out() -> None:
    end = fragile(without=("apps-run",)).run()
    assert end.ok
    assert [error.error for error in end.app_errors] == ["LookupError: no bread"]


def test_a_command_that_fails_is_told_with_its_line_and_breaks_nothing() -> None:
    swarm = fragile(without=("apps-run",))
    swarm.at(3, lambda: swarm.ask(1, "app", {"app": "fragile", "command": "fail"}, lambda _outcome, _took: None))
    end = swarm.run()
    assert [error.event for error in end.app_errors] == ["command failed", "failed"]
    assert end.app_errors[0].where.endswith(" in Fragile._fail")
    assert end.app_errors[0].error.startswith("ZeroDivisionError")


def test_adversaries_that_fail_first_hide_no_failure_of_an_honest_node() -> None:
    swarm = fragile()
    swarm.adversaries[0] = "clumsy"
    end = swarm.run()
    assert [(broken.invariant, broken.node) for broken in end.broken] == [("apps-run", 1)]
    assert [(error.node, error.count) for error in end.app_errors] == [(0, 1), (1, 3)]


class Exits(App):
    """Leaves by sys.exit, in a command or by itself."""

    name = "exits"

    async def run(self, ctx: AppContext) -> None:
        ctx.command("exit", self._exit)
        await ctx.sleep(5 * SECOND)
        sys.exit("enough")

    async def _exit(self, args: dict[str, Any]) -> None:
        sys.exit(3)


class Naps(App):
    name = "naps"

    async def run(self, ctx: AppContext) -> None:
        await ctx.sleep(0.5 * SECOND)  # type: ignore[arg-type]


def one_app(app: type[App]) -> Swarm:
    made = Scenario(name="test", population=Population(nodes=3, arrive_s=1), duration_s=10)
    return Swarm(made, seed=1, apps=lambda node: [app()])


def test_an_application_that_exits_ends_alone() -> None:
    swarm = one_app(Exits)
    told: list[Any] = []
    asked = {"app": "exits", "command": "exit", "args": {}}
    swarm.at(3, lambda: swarm.ask(1, "app", asked, lambda *end: told.append(end)))
    end = swarm.run()
    assert {broken.what.partition(" (")[0] for broken in end.broken} == {"application exits failed: SystemExit: enough"}
    assert [(error.event, error.count) for error in end.app_errors] == [("command failed", 1), ("failed", 3)]
    assert "SystemExit: 3" in str(told)
    assert len(swarm.honest()) == 3


def test_a_sleep_that_is_no_whole_number_is_told_with_its_line() -> None:
    [broken] = one_app(Naps).run().broken
    assert "TypeError: ctx.sleep takes a whole number of nanoseconds, not 500000000.0" in broken.what
    assert "in Naps.run" in broken.what
