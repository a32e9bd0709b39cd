"""A click group that knows its commands by name and help, and imports one when it is typed.

`p2pnode status` must start within 200 ms; importing every command (trio, cryptography) would cost a second.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs
import click

from p2pnode.ui.fail import Fail

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Entry points of applications: a name and a click command.
PLUGINS = "p2pnode.commands"


@attrs.frozen(slots=True)
class Lazy:
    #: `package.module:attribute`, a click command.
    target: str
    #: One line for the list of commands.
    help: str
    #: Heading of the list it stands in.
    section: str = "Commands"


class LazyGroup(click.Group):
    """`lazy` by name; names of the entry points in `plugins` come after them and cannot replace them."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, plugins: str | None = None, **more: Any):
        super().__init__(*args, **more)
        self._lazy = dict(lazy or {})
        self._plugins = plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *(name for name in sorted(self._entries()) if name not in self._lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (lazy := self._lazy.get(cmd_name)) is not None:
            module, _, attribute = lazy.target.partition(":")
            return cast("click.Command", getattr(importlib.import_module(module), attribute))
        entry = self._entries().get(cmd_name)
        return None if entry is None else _loaded(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise _no_such(ctx, args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands by section; of ours none is imported, plug-ins say themselves what they are."""
        rows = {name: (lazy.section, lazy.help) for name, lazy in self._lazy.items()}
        for name, entry in sorted(self._entries().items()):
            rows.setdefault(name, ("Applications", _help_of(entry)))
        for section in dict.fromkeys(section for section, _ in rows.values()):
            with formatter.section(section):
                formatter.write_dl([(name, help) for name, (of, help) in rows.items() if of == section])

    def _entries(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            return {}
        import importlib.metadata  # 33 ms that a command of ours need not pay

        return {entry.name: entry for entry in importlib.metadata.entry_points(group=self._plugins)}


def _help_of(entry: EntryPoint) -> str:
    try:
        return _loaded(entry).get_short_help_str(limit=100)
    except Fail:
        return "cannot be loaded; type it to see why"


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as error:
        origin = entry.dist.name if entry.dist else entry.module
        raise Fail(
            f"the command {entry.name!r} of {origin} cannot be loaded",
            facts={"reason": f"{type(error).__name__}: {error}", "install it again": f"pip install {origin}"},
        ) from error
    return cast("click.Command", command)


def _no_such(ctx: click.Context, name: str, known: list[str]) -> Fail:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    facts = {"did you mean": f"{ctx.command_path} {close[0]}"} if close else {"known": ", ".join(known)}
    facts |= {"help": f"{ctx.command_path} --help"}
    return Fail(f"no such command: {ctx.command_path} {name}", code="usage", facts=facts)
