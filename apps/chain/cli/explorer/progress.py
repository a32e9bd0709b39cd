"""How far a long command is, on stderr: a bar at a terminal, a line now and then in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from p2pnode.ui.render import say

#: Seconds between two lines where there is no terminal.
_LINE_S = 10.0

Told = Callable[[str, int, int], object]


@contextmanager
def shown(*, quiet: bool) -> Iterator[Told]:
    """A function that is told what is being done, and how many of how many are."""
    if quiet:
        yield lambda what, done, total: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR"):
        with _bar() as told:
            yield told
    else:
        yield _lines()


def _lines() -> Told:
    due = time.monotonic() + _LINE_S

    def told(what: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_S
            say(f"{what}: {done:,} of {total:,}")

    return told


@contextmanager
def _bar() -> Iterator[Told]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, int] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield told
