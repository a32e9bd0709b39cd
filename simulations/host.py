"""One node of the swarm: what lies below its peer and outlives it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import attrs

from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, Core, Entropy, Interface, Outcome, Storage
from simulations.storage import MemoryStorage

#: Threads that a node would have for Compute.
WORKERS: Final = 2


#: (index, storage, rng, entropy) -> a fresh core; called again at every restart.
MakePeer = Callable[[int, Storage, Rng, Entropy], Core]
OnResult = Callable[[Outcome], object]


@attrs.frozen(slots=True, kw_only=True)
class Delays:
    """How long the machine below a peer takes, in ns."""

    #: One sqlite transaction in the WAL, without fsync.
    commit_ns: int = 2 * MS
    #: fsync of a consumer SSD.
    sync_ns: int = 8 * MS
    operate_ns: int = MS
    #: (function, args) -> time on one of the two virtual workers.
    compute_ns: Callable[[str, tuple[Any, ...]], int] = lambda function, args: 100_000


@attrs.define(slots=True, eq=False)
class Host:
    """One node: what stays when its peer is restarted, and the peer."""

    index: int
    storage: MemoryStorage
    #: Chance of the network for what this node sends.
    rng: Rng
    interfaces: tuple[Interface, ...]
    #: Added to the common wall clock.
    skew_ms: int = 0
    peer: Core | None = None
    #: Counts starts and ends; what an earlier life left in the heap is void.
    life: int = 0
    #: Counts the events that this node caused.
    counter: int = 0
    entropy_used: int = 0
    #: Times for which a timer event of this life is in the heap, the next one last.
    armed_ns: list[int] = attrs.Factory(list)
    timers_at_once: int = 0
    last_timer_ns: int = -1
    next_command: int = 0
    commands: dict[int, OnResult] = attrs.Factory(dict)
    workers_free_ns: list[int] = attrs.Factory(lambda: [0] * WORKERS)

    def entropy(self, seed: int) -> Entropy:
        """Hashes of (seed, node, counter), for the present life. The counter outlives it, else ids would repeat."""

        life = self.life

        def draw(n: int) -> bytes:
            if self.life != life:
                return bytes(n)  # a dead peer that is being collected must not move the counter
            out = b""
            while len(out) < n:
                self.entropy_used += 1
                out += _digest(seed, "entropy", self.index, self.entropy_used)
            return out[:n]

        return draw


def seed_of(*parts: object) -> int:
    """64 bits that depend on nothing but `parts`: seeds for the generators of a swarm."""
    return int.from_bytes(_digest(*parts)[:8], "big")


def _digest(*parts: object) -> bytes:
    return blake2b(repr(parts).encode(), digest_size=64).digest()
