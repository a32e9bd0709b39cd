"""The policy port: what a peer's conduct means for how it is treated.

This neutral policy serves everybody and remembers nothing. The rest of the overlay is written
against the port, so a ledger with scores and sanctions takes its place without a change there.
"""

from __future__ import annotations

import enum
from typing import Protocol


class Verdict(enum.Enum):
    #: Serve it. Left by observations that make a policy doubt it.
    ALLOW = enum.auto()
    #: Serve it after others, or less. Left as the doubt fades or grows.
    SLOW = enum.auto()
    #: Do not serve it, do not ask it, do not list it. Left when a sanction ends.
    REFUSE = enum.auto()


class Observation(enum.Enum):
    #: It answered in time with a valid signature.
    ANSWERED = enum.auto()
    #: It did not answer any of the tries; the network may be to blame.
    SILENT = enum.auto()
    #: Its signature is good and its message is not: no correct peer does that.
    BAD_MESSAGE = enum.auto()
    #: It gave a contact that turned out to be dead or false.
    DEAD_REFERRAL = enum.auto()
    #: It gave a record or a contact that fails its own check (hash, signature, puzzle).
    INVALID_DATA = enum.auto()


class Policy(Protocol):
    def verdict(self, key: bytes) -> Verdict:
        """Called for every datagram: must be cheap."""
        ...

    def observe(self, key: bytes, what: Observation, now_ns: int) -> None: ...


class NeutralPolicy:
    """Everybody is allowed."""

    def verdict(self, key: bytes) -> Verdict:
        return Verdict.ALLOW

    def observe(self, key: bytes, what: Observation, now_ns: int) -> None:
        """Nothing is kept: there is no ledger yet."""
