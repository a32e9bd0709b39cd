"""What the options before the verb say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from p2pnode.ui.ends import on_home as on_home
from p2pnode.ui.options import examples as examples
from p2pnode.ui.options import json_option as json_option

if TYPE_CHECKING:
    from p2pnode.api import Client
    from p2pnode.paths import Home


@attrs.frozen(slots=True)
class Session:
    """`ctx.obj` of every command."""

    home_option: str | None = None
    verbose: int = 0
    log_file: Path | None = None

    @property
    def home(self) -> Home:
        from p2pnode.paths import find_home

        return find_home(self.home_option)

    def node(self) -> Client:
        """The running node of this home; nothing is contacted before the first call."""
        from p2pnode.api import connect

        return connect(self.home.dir)

    def command(self, words: str) -> str:
        """A command line that a person can paste: with --home if this one had it."""
        return on_home(f"p2pnode {words}", self.home_option)


pass_session = click.make_pass_decorator(Session, ensure=True)
