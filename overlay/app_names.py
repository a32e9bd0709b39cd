"""What an application, a command of it or a protocol of its streams may be called."""

from __future__ import annotations

from typing import Final

from overlay.limits import MAX_APP_NAME

#: First part of the name of the protocol that peers themselves speak (overlay.wire.bodies): no application has it.
CORE: Final = "gossip"


def is_name(name: object) -> bool:
    """1 to MAX_APP_NAME printable bytes without a slash."""
    if not isinstance(name, str) or not name.isprintable() or "/" in name:  # they stand in paths of the control API
        return False
    return 1 <= len(name.encode()) <= MAX_APP_NAME
