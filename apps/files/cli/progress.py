"""How far something is, on stderr: a bar at a terminal, a line now and then in a log, nothing for --json."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import attrs

from p2pnode.ui.render import cut, duration, one_line, say
from p2pnode.ui.sizes import rate_text, size_text

#: Seconds between two lines where there is no terminal.
LINE_S = 10.0
#: What is over by then needs no line.
FIRST_LINE_S = 2.0
#: Columns of a name beside a bar of 80.
_NAME = 20


class Progress(Protocol):
    def call(self, name: str) -> None:
        """By this name from now on."""
        ...

    def show(self, done: int | None, total: int | None, text: str, *, rate: int | None = None) -> None:
        """`text`: what it does now. `rate`: bytes per second, for the time that is left."""
        ...


@contextmanager
def shown(name: str, *, quiet: bool) -> Iterator[Progress]:
    if quiet:
        yield Nothing()
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR"):
        with _bar(name) as bar:
            yield bar
    else:
        yield Lines(name)


class Nothing:
    def call(self, name: str) -> None:
        pass

    def show(self, done: int | None, total: int | None, text: str, *, rate: int | None = None) -> None:
        pass


def left(done: int, total: int, rate: int | None) -> str:
    """Time that is left, "" if nobody can tell."""
    return f"{duration((total - done) / rate)} left" if rate and total > done else ""


@attrs.define(slots=True, eq=False)
class Lines:
    """Every LINE_S."""

    name: str
    _next: float = attrs.field(factory=lambda: time.monotonic() + FIRST_LINE_S, init=False)

    def call(self, name: str) -> None:
        self.name = name

    def show(self, done: int | None, total: int | None, text: str, *, rate: int | None = None) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LINE_S
        parts = [text]
        if done is not None and total:
            parts.insert(0, f"{100 * done // total} % of {size_text(total)}")
            parts += [rate_text(rate), left(done, total, rate)] if rate else []
        say(f"{one_line(self.name)}: {', '.join(part for part in parts if part)}")


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Field(ProgressColumn):
        """Of strangers: never read as markup."""

        def __init__(self, field: str) -> None:
            super().__init__()
            self._field = field

        def render(self, task: Task) -> Text:
            return Text(str(task.fields[self._field]), no_wrap=True)

    bars = Bars(
        Field("name"), BarColumn(bar_width=16), TextColumn("{task.percentage:>3.0f} %"), Field("text"),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bars:
        task = bars.add_task("", total=None, name=_beside(name), text="")
        yield _Bar(bars, task)


def _beside(name: str) -> str:
    return cut(one_line(name), _NAME)


@attrs.frozen(slots=True)
class _Bar:
    bars: Any
    task: Any

    def call(self, name: str) -> None:
        self.bars.update(self.task, name=_beside(name))

    def show(self, done: int | None, total: int | None, text: str, *, rate: int | None = None) -> None:
        parts = [rate_text(rate), text, left(done, total, rate)] if rate and done is not None and total else [text]
        self.bars.update(
            self.task, completed=done or 0, total=total or None, text=", ".join(part for part in parts if part)
        )
