"""How far a run is: a bar for a person at a terminal, lines for a log (`p2pnode -v swarm run`), else silence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from p2pnode.ui.render import duration, one_line, say

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Between two lines, and two movements of the bar.
_LINE_S: Final = 5.0
_BAR_S: Final = 0.1


@contextmanager
def progress(swarm: Swarm) -> Iterator[Callable[[float], None] | None]:
    """Gives what `Swarm.run` calls with the virtual time. All of it goes to stderr."""
    if sys.stderr.isatty():
        with _bar(swarm) as moved:
            yield moved
    elif click.get_current_context().find_root().params.get("verbose"):
        yield _lines(swarm)
    else:
        yield None


@contextmanager
def _bar(swarm: Swarm) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} virtual s"), BarColumn(None),
        TextColumn("{task.fields[rate]:,.0f} events/s"), TextColumn("ETA"), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True, expand=True,
    )  # fmt: skip
    task = bar.add_task("", total=swarm.scenario.duration_s, rate=0)
    begin_s = last_s = monotonic()

    def moved(now_s: float) -> None:
        nonlocal last_s
        at_s = monotonic()
        if at_s - last_s >= _BAR_S:
            last_s = at_s
            bar.update(task, completed=now_s, rate=swarm.engine.events / (at_s - begin_s))

    with bar:
        yield moved


def _lines(swarm: Swarm) -> Callable[[float], None]:
    """The first one before anything runs."""
    total_s = swarm.scenario.duration_s
    name = one_line(swarm.scenario.name)
    begin_s = last_s = monotonic()
    say(f"{name}: 0 of {total_s:,.0f} virtual s")

    def moved(now_s: float) -> None:
        nonlocal last_s
        at_s = monotonic()
        if at_s - last_s >= _LINE_S:
            last_s, took_s = at_s, at_s - begin_s
            left = duration(took_s * (total_s - now_s) / now_s) if now_s else "-"
            rate = swarm.engine.events / took_s
            say(f"{name}: {now_s:,.0f} of {total_s:,.0f} virtual s, {rate:,.0f} events/s, ETA {left}")

    return moved
