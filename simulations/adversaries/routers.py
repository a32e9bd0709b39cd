"""Colluding routers (S/Kademlia, Baumgart and Mies 2007): they answer lookups with each other."""

from __future__ import annotations

import attrs

from overlay.identity.node_id import node_id_of
from overlay.limits import K
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Storage
from overlay.wire.messages import FindNode, FindValue, Nodes
from overlay.wire.registry import Kind, Role
from simulations.bounds import share
from simulations.nearest import Nearest
from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class ColludingRouters:
    """They behave well but for one thing: asked for the way, they name the accomplices nearest to the target."""

    fraction: float = attrs.field(default=0.2, validator=share)
    #: They name honest keys at addresses where nobody is, instead of accomplices.
    false_addresses: bool = False

    def begin(self, swarm: Swarm) -> None:
        count = round(self.fraction * len(swarm))
        chosen = sorted(swarm.rng("colluding-routers").sample(swarm.corruptible, count))
        ring = _Ring(swarm, self.false_addresses)
        named = [node for node in range(len(swarm)) if node not in chosen] if self.false_addresses else chosen
        for node in named:
            ring.know(node)
        for node in chosen:
            swarm.corrupt(node, "colluding-routers", ring.peer)


@attrs.define(slots=True, eq=False)
class _Ring:
    """What the accomplices know of each other."""

    swarm: Swarm
    false_addresses: bool
    _nearest: Nearest = attrs.Factory(Nearest)
    _packed: dict[int, bytes] = attrs.Factory(dict)

    def know(self, node: int) -> None:
        population = self.swarm.population
        number = population.number(node)
        address = population.address(node)
        if self.false_addresses:
            address = population.nowhere(node)
        self._nearest.add(number)
        self._packed[number] = population.keys(node).key + address.packed

    def peer(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
        peer = self.swarm.population.peer(index, storage, rng, entropy)

        def lie(inbound: Inbound) -> None:
            message = inbound.message
            assert isinstance(message, FindNode | FindValue)
            target = message.target if isinstance(message, FindNode) else message.key
            peer.endpoint.reply(inbound, self._answer(peer, inbound, int.from_bytes(target, "big")))

        peer.endpoint.serve(Kind.FIND_NODE, lie)
        peer.endpoint.serve(Kind.FIND_VALUE, lie)
        return peer

    def _answer(self, peer: Peer, inbound: Inbound, target: int) -> Nodes:
        asker = int.from_bytes(node_id_of(inbound.contact.key), "big")
        near = [number for number in self._nearest.to(target, K + 1) if number != asker][:K]
        packed = b"".join(self._packed[number] for number in near)
        return Nodes(token=peer.endpoint.token_for(inbound.contact), role=Role.FULL, v4=packed, v6=b"")
