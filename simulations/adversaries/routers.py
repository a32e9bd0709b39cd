"""Colluding routers: asked for the way, they lead astray; in all else they behave, so nobody drops them."""

from __future__ import annotations

import attrs

from overlay.limits import K
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Storage
from overlay.wire.registry import Kind
from simulations.adversaries.positions import chosen, from_then, near_key
from simulations.adversaries.ring import Ring, reply_nodes, target_of
from simulations.bounds import not_negative, one_of, positive, share
from simulations.nearest import Nearest
from simulations.places import PORT
from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class ColludingRouters:
    """They answer every FIND with the accomplices nearest to the target, so that one of them on a path is enough to
    lose that path (S/Kademlia, Baumgart and Mies 2007, section 3.2; its figure 6 is what lookups over d disjoint paths
    are measured against).

    `names = "accomplices"`: colluders name each other. `"false-port"`: they name the honest keys nearest to the target,
    each liar at another port of the address where the honest node is. `"false-address"`: at addresses elsewhere. Both
    cost the asker a time-out a name, and crowd out the true address of a key that is known at too many. Counts
    `named_astray`: such answers.
    """

    fraction: float = attrs.field(default=0.2, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    names: str = attrs.field(default="accomplices", validator=one_of("accomplices", "false-port", "false-address"))

    def begin(self, swarm: Swarm) -> None:
        liars = chosen(swarm, "colluding-routers", self.fraction, self.count, self.near)
        ring, population = Ring(swarm), swarm.population
        for node in liars:
            ring.add(population.number(node), population.keys(node).key + population.address(node).packed)
        honest = [node for node in range(swarm.scenario.population.nodes) if node not in liars]
        astray = _Astray(swarm, honest, elsewhere=self.names == "false-address")

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = population.peer(index, storage, rng, entropy)
            turn = ring.name_each_other if self.names == "accomplices" else astray.name_nowhere
            from_then(swarm, self.from_s, lambda: turn(made))
            return made

        for node in liars:
            swarm.corrupt(node, "colluding-routers", peer)


@attrs.define(slots=True, eq=False)
class _Astray:
    """Honest keys, and where they are not. Every liar has a false place of its own for each."""

    swarm: Swarm
    honest: list[int]
    elsewhere: bool
    _nearest: Nearest = attrs.Factory(Nearest)
    _nodes: dict[int, int] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        for node in self.honest:
            number = self.swarm.number(node)
            self._nearest.add(number)
            self._nodes[number] = node

    def name_nowhere(self, peer: Peer) -> None:
        salt = int.from_bytes(peer.id[:2], "big") % 1000

        def lie(inbound: Inbound) -> None:
            self.swarm.measures.count("named_astray")
            near = [n for n in self._nearest.to(target_of(inbound), K + 1) if n != inbound.contact.number][:K]
            reply_nodes(peer, inbound, [self._packed(self._nodes[number], salt) for number in near])

        for kind in (Kind.FIND_NODE, Kind.FIND_VALUE, Kind.FIND_PROVIDERS):
            peer.endpoint.serve(kind, lie)

    def _packed(self, node: int, salt: int) -> bytes:
        population = self.swarm.population
        true = population.address(node)
        ip = bytes((140 + salt % 50, salt // 50, node // 256 % 256, node % 256)) if self.elsewhere else true.ip
        return population.keys(node).key + Address(ip, PORT + 1 + salt).packed
