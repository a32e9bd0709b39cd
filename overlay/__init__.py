"""The peer as a pure, deterministic state machine.

Nothing below this package opens a socket, reads a clock, rolls dice or starts a
thread: bytes and `Now` come in, effects go out. `p2pnode` runs one peer on a real
network, `simulations` runs thousands in virtual time, with this same code.

What an application needs is here: `from overlay import App, AppContext, NotFound, message`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overlay.app import App, AppContext
    from overlay.errors import NotFound
    from overlay.typed import message

__all__ = ["App", "AppContext", "NotFound", "message"]

#: Imported when asked for: most of what is below needs none of it.
_HOMES = {
    "App": "overlay.app", "AppContext": "overlay.app", "NotFound": "overlay.errors", "message": "overlay.typed",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    import importlib

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
