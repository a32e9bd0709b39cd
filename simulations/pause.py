"""A machine that does nothing for a while: its process is stopped (SIGSTOP), or all of it sleeps (suspend)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

#: Linux: net.core.rmem_default, what a UDP socket holds unless it asks for more.
SOCKET_BUFFER: Final = 212_992
#: What the kernel counts for a datagram beside its bytes (sk_buff and its block, socket(7) SO_RCVBUF), about.
_OVERHEAD: Final = 768


@attrs.define(slots=True, eq=False)
class Pause:
    """What came meanwhile, in order."""

    since_ns: int
    #: None: only the process stands still, the kernel goes on. Else whether the monotonic clock counts the time.
    asleep_counted: bool | None = None
    buffered: int = 0
    #: Inputs (handler of the peer, arguments) that wait.
    held: list[tuple[Callable[..., None], tuple[Any, ...]]] = attrs.Factory(list)

    @property
    def asleep(self) -> bool:
        return self.asleep_counted is not None

    def refuses(self, size: int) -> str | None:
        """Why a datagram of `size` bytes does not wait in the socket; None: it does."""
        if self.asleep:
            return "asleep"
        if self.buffered + size + _OVERHEAD > SOCKET_BUFFER:
            return "socket buffer"
        self.buffered += size + _OVERHEAD
        return None
