"""Applications that need more than their core, such as a disk or sockets. The entry point of such a one (group
p2pnode.apps) names a `Shell` in the place of the class of the core. To be imported as p2pnode.api.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from overlay.app import App
    from overlay.events import Event
    from overlay.runtime.address import Address
    from overlay.runtime.ports import Interface


@attrs.frozen(slots=True)
class Terms:
    """What the settings of a node say to its applications; the same in a replay."""

    #: Whether the network has a key.
    private: bool
    #: Whether programs of BitTorrent may be talked to.
    bittorrent: bool
    #: 32 bytes: what all nodes of this network agree on (overlay.identity.network).
    network_id: bytes = attrs.field(repr=lambda value: value.hex()[:8])
    #: Work in an identity of this network.
    puzzle_bits: int
    #: Whether headers of the chain are kept alone.
    light: bool
    #: Of the chain so many blocks are kept, the newest; 0: all.
    prune: int = 0
    #: (height, id) of a block of the chain up to which signatures need no check.
    assume_valid: tuple[int, bytes] | None = None


class Events(Protocol):
    """`async for event in events`: what the core reports. A reader that is slow misses some."""

    def __aiter__(self) -> Events: ...
    async def __anext__(self) -> Event: ...


class RunningNode(Protocol):
    """The node around an application, for what runs beside it."""

    @property
    def listen(self) -> Sequence[str]:
        """`udp 127.0.0.1:4433`, `tcp 127.0.0.1:4433`, one text a socket."""
        ...

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where others may reach it now, by UDP and TCP: the farthest reaching first."""
        ...

    @property
    def interfaces(self) -> Sequence[Interface]:
        """Local addresses at which it can be reached now, and their subnets."""
        ...

    @property
    def seeks_lan(self) -> bool:
        """Whether it finds others on the local network, and is found."""
        ...

    async def moved_from(self, known: tuple[Address, ...]) -> tuple[Address, ...]:
        """`addresses`, as soon as they are others than `known`."""
        ...

    async def command(self, name: str, /, **args: Any) -> Any:
        """`command("app", app="files", command="list", args={})`; raises p2pnode.driver.CommandFailed."""
        ...

    def subscribe(self) -> AbstractContextManager[Events]: ...


@attrs.frozen(slots=True)
class Opened:
    """An application whose shell is ready."""

    app: App
    #: Runs beside the node from when it serves until it ends. What it raises is logged and ends it alone.
    serve: Callable[[RunningNode], Awaitable[None]] | None = None
    #: Called when the node begins to leave: operations that take long end soon, none is begun any more.
    leave: Callable[[], object] = lambda: None


class Shell(Protocol):
    """What an entry point of p2pnode.apps may name instead of a subclass of App. Made without arguments."""

    def bare(self, terms: Terms) -> App:
        """The application without its shell, for a replay, where all that operations gave is recorded."""
        ...

    def open(self, folder: Path, terms: Terms) -> AbstractAsyncContextManager[Opened]:
        """`folder`: for its own, in the home, 0700. Left when the core does not run any more.

        OSError or OverlayError if it cannot be."""
        ...
