"""What an operation of the control API is, and the few that are more than one command of the core."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

from overlay.errors import LocalError
from overlay.wire.ticket import parse_ticket
from p2pnode.control.parameters import Parameter, Schema
from p2pnode.control.view import NodeView
from p2pnode.status import compose

Arguments = dict[str, Any]
Answer = dict[str, Any]


@attrs.frozen(slots=True)
class Operation:
    """GET takes its arguments from the query, POST from a JSON object in the body."""

    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    #: Schemas of the keys of the answer beside "v"; a "?" at the end of a name: may be absent.
    answer: dict[str, Schema]
    run: Callable[[NodeView, Arguments], Awaitable[Answer]]

    @property
    def name(self) -> str:
        """`get_dht_table`, the operationId."""
        return "_".join([self.method.lower(), *self.path.removeprefix("/v1/").split("/")])


#: Keys that are left out rather than null.
_OPTIONAL = frozenset({"author", "seq"})


def passed_on(command: str) -> Callable[[NodeView, Arguments], Awaitable[Answer]]:
    """An operation that is one command of the core."""

    async def run(view: NodeView, args: Arguments) -> Answer:
        result = await view.command(command, **args)
        return {key: value for key, value in result.items() if value is not None or key not in _OPTIONAL}

    return run


def listed(command: str, key: str) -> Callable[[NodeView, Arguments], Awaitable[Answer]]:
    async def run(view: NodeView, args: Arguments) -> Answer:
        return {key: await view.command(command, **args)}

    return run


async def status(view: NodeView, _args: Arguments) -> Answer:
    return compose(
        await view.command("status"),
        network=view.network,
        listen=view.listen,
        ticket=view.ticket,
        uptime_s=trio.current_time() - view.started_at,
        version=view.version,
    )


async def identity(view: NodeView, _args: Arguments) -> Answer:
    core = await view.command("status")
    return {
        "id": core["id"],
        "key": core["key"],
        "address": _address(view),
        "network": view.network,
        "role": core["role"],
    }


def _address(view: NodeView) -> str | None:
    """Where others may reach it best: not where it listens, which may be 0.0.0.0."""
    try:
        addresses = [str(address) for address in parse_ticket(view.ticket).addresses]
    except LocalError:
        addresses = []
    return next(iter([*addresses, *(text.partition(" ")[2] for text in view.listen)]), None)


async def ticket(view: NodeView, _args: Arguments) -> Answer:
    return {"ticket": view.ticket}


async def stop(view: NodeView, _args: Arguments) -> Answer:
    view.stop()
    return {"stopping": True, "pid": os.getpid()}
