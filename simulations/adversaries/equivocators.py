"""Equivocators: authors that tell different people different things."""

from __future__ import annotations

import hashlib

import attrs

from overlay.dht.get import find_node
from overlay.errors import OverlayError
from overlay.events import Equivocation, Event
from overlay.peer import Peer
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Entropy, Ok, Outcome, Storage
from overlay.wire.messages import RecordType, Store
from overlay.wire.records import encode_record, signed_key
from simulations.adversaries.positions import chosen, near_key
from simulations.bounds import not_negative, positive, share
from simulations.swarm import Swarm

_SALT = b"two-faced"
_TTL_S = 3600


@attrs.frozen(slots=True, kw_only=True)
class Equivocators:
    """Each signs two values with one seq and stores one at every other node near the key and the other at the rest, so
    that readers see different truths (equivocation: Li and others, SUNDR, OSDI 2004, name the fork; a home folder that
    was copied to a second machine does it in all innocence). Reads, every `every_s`, by random honest nodes: operation
    `equivocated_get`, which succeeds if the value is the one that wins everywhere (the smaller hash). Counts
    `equivocations` (STOREs that were answered) and `equivocations_reported` (reads that met both, and said so).
    """

    fraction: float = attrs.field(default=0.05, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    every_s: float = attrs.field(default=1.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("equivocators")
        swarm.measures.counts |= {"equivocations": 0, "equivocations_reported": 0}
        nodes = chosen(swarm, "equivocators", self.fraction, self.count, self.near)
        values = {node: sorted((b"heads %d" % node, b"tails %d" % node), key=_hash) for node in nodes}

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            at_ns = max(round(self.from_s * SECOND), swarm.engine.now_ns)
            made.loop.call_at(
                at_ns, lambda: made.loop.spawn_root(self._tell(swarm, made, values[index]), name="equivocate")
            )
            return made

        def read() -> None:
            node = rng.choice(nodes)
            began_ns = swarm.engine.now_ns

            def ended(outcome: Outcome, took_ns: int) -> None:
                right = isinstance(outcome, Ok) and outcome.value["value"] == values[node][0]
                swarm.measures.operation("equivocated_get").add(began_ns, took_ns, right)

            swarm.ask(
                rng.choice(swarm.honest()), "get", {"key": signed_key(swarm.population.id(node), _SALT).hex()}, ended
            )

        def hear(_node: int, _at_ns: int, event: Event) -> None:
            if isinstance(event, Equivocation):
                swarm.measures.count("equivocations_reported")

        swarm.watchers.append(hear)
        for node in nodes:
            swarm.corrupt(node, "equivocators", peer)
        if nodes:
            swarm.every(self.every_s, read, begin_s=self.from_s + 15)

    async def _tell(self, swarm: Swarm, peer: Peer, values: list[bytes]) -> None:
        seq = peer.loop.now.wall_ms
        signer, network = peer.endpoint.signer, peer.endpoint.network
        inner = [encode_record(signer, network, _SALT, seq, seq + _TTL_S * 1000, value) for value in values]
        target = int.from_bytes(signed_key(peer.id, _SALT), "big")
        try:
            found = await find_node(peer.dht, target, paths=4)
        except OverlayError:
            return
        for i, contact in enumerate(found.closest):
            try:
                await peer.endpoint.call(contact, Store(type=RecordType.SIGNED, inner=inner[i % 2], ttl_s=_TTL_S))
                swarm.measures.count("equivocations")
            except OverlayError:
                continue


def _hash(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
