"""Applications in a swarm: found by name, made anew for every start of a node, their events counted.

An application that needs more than its `AppContext` (a disk, a screen) finds it in a world: what all nodes of one swarm
share, and what stays on a node when its application is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import attrs

from overlay.app import App, check_apps, work_of
from overlay.errors import LocalError
from overlay.events import AppEvent, Event
from overlay.runtime.ports import SECOND
from simulations.plugins import UnknownPlugin, load

#: Entry points of worlds, and of applications as of `p2pnode run --app`: the first that has a name counts.
GROUPS = ("p2pnode.worlds", "p2pnode.apps")

W = TypeVar("W")


class World(Protocol):
    """What an application finds in a swarm. A class without arguments, made once for each swarm."""

    def app(self, node: int, /) -> App:
        """A fresh one, at each start of the node."""


@runtime_checkable
class Losing(Protocol):
    """A world that keeps something which a loss of power takes back."""

    def power_lost(self, node: int, /) -> None:
        """The machine is off, and what it had not synced is gone."""


@attrs.frozen(slots=True)
class Plain:
    """The world of an application that needs none."""

    kind: type[App]

    def app(self, _node: int) -> App:
        return self.kind()


@attrs.frozen(slots=True)
class Worlds:
    """Makes the applications of each node of one swarm."""

    worlds: tuple[World, ...]

    def __call__(self, node: int) -> Sequence[App]:
        return [world.app(node) for world in self.worlds]

    def power_lost(self, node: int) -> None:
        for world in self.worlds:
            if isinstance(world, Losing):
                world.power_lost(node)

    def find(self, kind: type[W]) -> W | None:
        """The world of this class, if there is one."""
        return next((world for world in self.worlds if isinstance(world, kind)), None)


def factory(names: Sequence[str]) -> Worlds:
    """Fresh worlds for one swarm. Each name is `package.module:Class` of an application or of a world, or an entry
    point.

    ValueError if one cannot be had, or they cannot run beside each other.
    """
    found: list[Callable[[], World]] = [_load(name) for name in names]
    try:
        worlds = Worlds(tuple(make() for make in found))
        check_apps(worlds(0))
    except (LocalError, TypeError) as error:  # TypeError: it cannot be made without arguments
        raise ValueError(str(error)) from None
    return worlds


def _load(name: str) -> Callable[[], World]:
    """What makes the world, that of an application or that which is named."""
    points = [entry for group in GROUPS for entry in entry_points(group=group)]
    target = next((entry.value for entry in points if entry.name == name), name)
    _, colon, attribute = target.partition(":")
    if not colon or not attribute:
        known = ", ".join(sorted({entry.name for entry in points})) or "none"
        raise ValueError(f"no application {name!r}: expected package.module:Class, or one of these: {known}")
    try:
        found = load(target)
    except UnknownPlugin as error:
        raise ValueError(f"application {name} cannot be loaded: {error}") from error
    if not isinstance(found, type) or not (issubclass(found, App) or callable(getattr(found, "app", None))):
        raise ValueError(f"{name} is no application: expected a subclass of overlay.App, or a world with app(node)")
    return partial(Plain, found) if issubclass(found, App) else cast("type[World]", found)


@attrs.define(slots=True, eq=False)
class SwarmApps:
    """Makes the applications of a node at each of its starts, and serves what they have computed or operated."""

    make: Callable[[int], Sequence[App]]
    #: For simulations.engine.Engine.
    functions: dict[str, Callable[..., Any]] = attrs.Factory(dict)
    operations: dict[str, Callable[..., Any]] = attrs.Factory(dict)
    #: (node, operation) -> that of the application which runs there now.
    _by_node: dict[tuple[int, str], Callable[..., Any]] = attrs.Factory(dict)

    def __call__(self, node: int) -> Sequence[App]:
        apps = self.make(node)
        functions, operations = work_of(apps)
        self.functions.update(functions)
        for name, operation in operations.items():
            self._by_node[node, name] = operation
            self.operations.setdefault(name, lambda node, *args, name=name: self._by_node[node, name](*args))
        return apps


@attrs.define(slots=True)
class AppError:
    """The first of its sort in a run, among honest nodes or among adversaries."""

    app: str
    #: "failed": it ended; "stream crashed", "command failed", "request failed": it lives on.
    event: str
    node: int
    at_s: float
    error: str
    #: Line of the application, as `chat.py:12 in Chat.run`.
    where: str
    #: All of this sort.
    count: int = 1

    def __str__(self) -> str:
        return f"{self.app} {self.event}: {self.error}" + (f" ({self.where})" if self.where else "")


#: How an application says that something of it went wrong (overlay.apps).
FAILED = "failed"
#: It lives on, but what ended a stream was a mistake of its own.
CRASHED = "stream crashed"
_WRONG = (FAILED, CRASHED, "command failed", "request failed")


@attrs.define(slots=True, eq=False)
class AppErrors:
    """A watcher that remembers the first error of each sort of each application, of adversaries apart. Others emit what
    they like under these names; only what has a text of an error is one."""

    adversaries: Container[int]
    _first: dict[tuple[str, str, bool], AppError] = attrs.Factory(dict)

    def watch(self, node: int, at_ns: int, event: Event) -> None:
        if not isinstance(event, AppEvent) or event.name not in _WRONG:
            return
        fields = dict(event.fields)
        sort = event.app, event.name, node in self.adversaries
        known = self._first.get(sort)
        if known is not None:
            known.count += 1
        elif isinstance(error := fields.get("error"), str):
            where = str(fields.get("where", ""))
            self._first[sort] = AppError(event.app, event.name, node, at_ns / SECOND, error, where)

    def found(self) -> tuple[AppError, ...]:
        return tuple(self._first.values())


def count_events(count: Callable[[str], object]) -> Callable[[int, int, Event], None]:
    """A watcher that counts what applications emit, as `application.event`."""

    def watch(_node: int, _at_ns: int, event: Event) -> None:
        if isinstance(event, AppEvent):
            count(f"{event.app}.{event.name}")

    return watch
