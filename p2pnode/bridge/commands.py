"""What a bridge asks of its node, with the failures that commands may have told from bugs, and counted."""

from __future__ import annotations

from typing import Any, Protocol

import attrs


class Command(Protocol):
    """A node's commands. A failed one raises an exception that has a `code` (p2pnode.driver.CommandFailed)."""

    async def __call__(self, name: str, /, **args: Any) -> Any: ...


class Unanswered(Exception):
    """A command failed as commands may (nobody has it, nobody answers)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@attrs.define(slots=True)
class Commands:
    """`counters` is shared with the foreign side and only ever grows."""

    command: Command
    #: Id text of the node.
    node: str
    counters: dict[str, int]

    async def run(self, name: str, **args: Any) -> Any:
        """The answer of a command; raises Unanswered if it failed in a way that a node may."""
        try:
            return await self.command(name, **args)
        except Exception as error:
            code = getattr(error, "code", None)
            if not isinstance(code, str):
                raise  # a bug of ours
            if code != "not_found":
                self.count("overlay_failed")
            raise Unanswered(code) from None

    def count(self, what: str, by: int = 1) -> None:
        if by:
            self.counters[what] = self.counters.get(what, 0) + by
