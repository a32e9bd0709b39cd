"""One node of the swarm: what lies below its peer and outlives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import attrs

from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Core, Entropy, Interface, Outcome, Storage
from simulations.clock import Clock
from simulations.pause import Pause
from simulations.storage import MemoryStorage

if TYPE_CHECKING:
    from simulations.stream_end import End
    from simulations.work import Disk

#: Threads that a node would have for Compute.
WORKERS: Final = 2


#: (index, storage, rng, entropy) -> a fresh core; called again at every restart.
MakePeer = Callable[[int, Storage, Rng, Entropy], Core]
OnResult = Callable[[Outcome], object]


@attrs.define(slots=True, eq=False)
class Host:
    """One node: what stays when its peer is restarted, and the peer."""

    index: int
    storage: MemoryStorage
    #: Chance of the network for what this node sends.
    rng: Rng
    interfaces: tuple[Interface, ...]
    #: None: its clocks are right.
    clock: Clock | None = None
    #: It does nothing for a while.
    pause: Pause | None = None
    #: When it last went on after that.
    resumed_ns: int = 0
    #: None: the disk does what it should.
    disk: Disk | None = None
    peer: Core | None = None
    #: Counts starts and ends; what an earlier life left in the heap is void.
    life: int = 0
    #: Counts the disks that replaced another.
    disks: int = 0
    #: Counts the times its power was cut.
    power_cuts: int = 0
    #: Counts the events that this node caused.
    counter: int = 0
    entropy_used: int = 0
    #: Times for which a timer event of this life is in the heap, the next one last.
    armed_ns: list[int] = attrs.Factory(list)
    timers_at_once: int = 0
    last_timer_ns: int = -1
    next_command: int = 0
    commands: dict[int, OnResult] = attrs.Factory(dict)
    #: By id; those that the peer closed stay until all is sent.
    streams: dict[int, End] = attrs.Factory(dict)
    #: Id for the next stream that another opens.
    next_stream: int = 1
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


def interfaces_of(addresses: Sequence[Address], interfaces: Sequence[Interface] | None) -> tuple[Interface, ...]:
    """`interfaces`, or each address on a /24 or /64."""
    if interfaces is not None:
        return tuple(interfaces)
    return tuple(Interface(address.ip, 24 if address.is_v4 else 64, address.zone) for address in addresses)


def seed_of(*parts: object) -> int:
    """64 bits that depend on nothing but `parts`: seeds for the generators of a swarm."""
    return int.from_bytes(_digest(*parts)[:8], "big")


def _digest(*parts: object) -> bytes:
    return blake2b(repr(parts).encode(), digest_size=64).digest()
