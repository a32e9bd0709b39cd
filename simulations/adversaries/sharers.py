"""Those who share files badly: who gives other bytes than it was asked for, and who gives nothing.

Both speak the protocol as everybody does, and both want the share; what they fetch they verify.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from apps.files.core import bits
from apps.files.core.app import Files
from apps.files.core.disk import Range
from overlay.runtime.chance import Rng
from simulations.adversaries.positions import chosen, near_key
from simulations.bounds import not_negative, positive, share
from simulations.files.world import FilesWorld, files_of
from simulations.swarm import Swarm

Operations = Mapping[str, Callable[..., Any]]


@attrs.frozen(slots=True, kw_only=True)
class CorruptUnits:
    """They say that they have all of every share, and of what is asked of them a `share` is given with a bit changed,
    under headers that are true. From `from_s` on; shares that they get before are honest.

    Counts `corrupt_given`, the units.
    """

    fraction: float = attrs.field(default=0.25, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    share: float = attrs.field(default=1.0, validator=share)
    from_s: float = attrs.field(default=0.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.count("corrupt_given", 0)
        world = files_of(swarm)
        for node in chosen(swarm, "corrupt-units", self.fraction, self.count, self.near):
            world.others[node] = lambda operations, node=node: Files(  # type: ignore[misc]
                self._operations(swarm, world, operations, swarm.rng("corrupt-units", node))
            )
            world.pretending.add(node)
            swarm.corrupt(node, "corrupt-units", swarm.population.peer)

    def _operations(self, swarm: Swarm, world: FilesWorld, operations: Operations, rng: Rng) -> Operations:
        most = round(self.share * (1 << 32))

        def opened(share_id: bytes, *args: Any) -> tuple[str, bytes]:
            path, held = operations["open"](share_id, *args)
            if swarm.now_s < self.from_s:
                return path, held
            count = world.library[share_id].layout.units
            return path, bits.to_bitfield(bits.all_of(count), count)

        def read(share_id: bytes, ranges: tuple[Range, ...]) -> tuple[bytes | None, ...]:
            return tuple(self._given(swarm, rng, most, world.library[share_id].read(*one[:3])) for one in ranges)

        def layer(share_id: bytes, file: int) -> bytes:
            tree = world.library[share_id].trees[file]
            return operations["layer"](share_id, file) if tree is None else tree.layer(tree.base)

        return {**operations, "open": opened, "read": read, "layer": layer}

    def _given(self, swarm: Swarm, rng: Rng, most: int, right: bytes) -> bytes:
        if swarm.now_s < self.from_s or rng.u64() >> 32 >= most:
            return right
        swarm.measures.count("corrupt_given")
        at = rng.below(len(right))
        return right[:at] + bytes([right[at] ^ 1 << rng.below(8)]) + right[at + 1 :]


@attrs.frozen(slots=True, kw_only=True)
class FreeRiders:
    """They take what they are given, say truly what they have, and have a slot for nobody."""

    fraction: float = attrs.field(default=0.1, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)

    def begin(self, swarm: Swarm) -> None:
        world = files_of(swarm)
        for node in chosen(swarm, "free-riders", self.fraction, self.count, self.near):
            world.others[node] = _Rider
            swarm.corrupt(node, "free-riders", swarm.population.peer)


class _Rider(Files):
    def add(self, *args: Any, **more: Any) -> Any:
        running = super().add(*args, **more)
        running.share.slots.choker.slots = 0
        return running
