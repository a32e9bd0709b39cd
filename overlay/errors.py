"""Who is at fault. A docstring here is the first line that a user reads.

`LocalError`   this program or its caller did something wrong; no peer is to blame
`RemoteError`  a peer did something that no correct peer does; it may be blamed
`BadMessage`   bytes that no correct peer sends; the only exception of a `decode_*`
"""

from __future__ import annotations


class OverlayError(Exception):
    """Something went wrong in the overlay."""


class LocalError(OverlayError):
    """This node was asked for something that it cannot do."""


class LimitError(LocalError):
    """A bound of overlay/limits.py was reached; try again later or ask for less."""


class CannotStart(LocalError):
    """The disk does not take what a peer must write before its first word."""


class Conflict(LocalError):
    """A compare-and-swap met another version than it expected."""

    def __init__(self, key: bytes, *, expected: int, found: int) -> None:
        super().__init__(f"the record has seq {found}, not {expected}: read it again and decide")
        self.facts = {
            "expected seq": str(expected), "found seq": str(found), "read it": f"p2pnode dht get {key.hex()}",
        }  # fmt: skip


class RemoteError(OverlayError):
    """A peer broke the protocol."""

    def __init__(self, reason: str, *, blame: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        #: Public key of the peer that is provably at fault, None if nobody is named.
        self.blame = blame


class BadMessage(RemoteError):
    """These bytes are not a valid message."""


class TimedOut(OverlayError):
    """No answer came in time. Silence blames nobody: the network may have lost it."""


class NotFound(OverlayError):
    """Nobody who was asked has it."""


class Refused(OverlayError):
    """The other side, or a policy of this node, said no."""
