"""What the control API needs of a node, so that its tests need no node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from overlay.events import Event


class Events(Protocol):
    """Implemented by p2pnode.reports.Subscription."""

    @property
    def missed(self) -> int:
        """Events lost because the reader was too slow."""
        ...

    def __aiter__(self) -> Events: ...

    async def __anext__(self) -> Event: ...


class NodeView(Protocol):
    """Implemented by p2pnode.node.Node."""

    @property
    def listen(self) -> Sequence[str]:
        """`udp 127.0.0.1:4433`, one text a socket."""
        ...

    @property
    def started_at(self) -> float:
        """Seconds of trio.current_time() when the node began to serve."""
        ...

    @property
    def network(self) -> str:
        """Name of the network."""
        ...

    @property
    def ticket(self) -> str:
        """One line that another node joins with."""
        ...

    @property
    def version(self) -> str: ...

    async def command(self, name: str, /, **args: Any) -> Any:
        """The result of a command of the core; raises p2pnode.driver.CommandFailed."""
        ...

    def stop(self) -> None:
        """Begin to leave: returns at once, the node ends soon after."""
        ...

    def subscribe(self, *, kept: int) -> AbstractContextManager[Events]:
        """Every event from now on; beyond `kept` waiting ones a reader misses some."""
        ...
