"""What a peer reports upward: the one vocabulary of log, API, simulator and tests.

Values are plain (ids and keys as bytes); a reader renders them. An event never carries a secret.
"""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Started:
    """The peer may sign and serve: its stamps are reserved on disk."""

    id: bytes


@attrs.frozen(slots=True)
class PeerSeen:
    """A peer answered us with its signature for the first time, or moved to a new address."""

    id: bytes
    address: str
    moved: bool


@attrs.frozen(slots=True)
class PeerLost:
    """A peer left, said goodbye or stopped answering, and is out of the table."""

    id: bytes
    reason: str


@attrs.frozen(slots=True)
class LookupStep:
    """One answer within a lookup."""

    lookup: int
    asked: bytes
    learnt: int
    path: int


@attrs.frozen(slots=True)
class LookupEnded:
    lookup: int
    target: bytes
    rpcs: int
    hops: int
    found: bool


@attrs.frozen(slots=True)
class RecordStored:
    key: bytes
    kind: str


@attrs.frozen(slots=True)
class RoleChanged:
    role: str


@attrs.frozen(slots=True)
class Equivocation:
    """One author, salt and seq, two values: both are kept and shown (never a ban by itself)."""

    key: bytes
    author: bytes
    seq: int


@attrs.frozen(slots=True)
class KeyElsewhere:
    """Another node runs with a copy of this peer's key (or this one with an old copy of its own disk)."""

    address: str


@attrs.frozen(slots=True)
class GossipDelivered:
    """A message of a topic that this peer subscribes; once for each, its own included."""

    topic: str
    #: NodeId.
    author: bytes
    seq: int
    body: bytes


@attrs.frozen(slots=True)
class AppEvent:
    """What an application emitted."""

    app: str
    name: str
    fields: tuple[tuple[str, object], ...]


Event = (
    Started
    | PeerSeen
    | PeerLost
    | LookupStep
    | LookupEnded
    | RecordStored
    | RoleChanged
    | Equivocation
    | KeyElsewhere
    | GossipDelivered
    | AppEvent
)
