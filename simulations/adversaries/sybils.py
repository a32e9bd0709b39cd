"""Identities that cost nothing: many in few networks, or ground to lie around one point."""

from __future__ import annotations

import attrs

from overlay.identity.keys import KeyPair
from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import solves
from overlay.limits import K
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Ok, Outcome, Storage
from overlay.wire.messages import Stored, StoreStatus
from overlay.wire.records import blob_key
from overlay.wire.registry import Kind
from simulations.adversaries.positions import near_key, target_of, victim
from simulations.adversaries.ring import Ring
from simulations.adversaries.survey import entries, survey_at_end
from simulations.adversaries.victims import lookups_of_victim
from simulations.bounds import between, not_negative, positive
from simulations.places import PORT
from simulations.swarm import Swarm

#: Sybils arrive within this, one after the other.
_ARRIVE_S = 5.0
#: Hosts of a /24 before another port is used.
_HOSTS = 250
_VALUE = b"a value that somebody wants to hide"


@attrs.frozen(slots=True, kw_only=True)
class SybilFlood:
    """One machine is many nodes (Douceur, The Sybil Attack, IPTPS 2002), from the few networks that it can pay for: as
    two hosts filled the tables of Ethereum (Marcus, Heilman and Goldberg 2018). They name each other and hide records.

    Measured is their share in the tables of honest nodes (`table_adversary_share`, `_worst`) beside their share of all
    nodes (`adversary_share`).
    """

    count: int = attrs.field(default=200, validator=between(1, 100_000))
    #: Networks (/24) that they share, each in a /16 of its own; 0: an address in another /24 for each.
    groups: int = attrs.field(default=4, validator=between(0, 200))
    from_s: float = attrs.field(default=30.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("sybil-flood")
        gang = Gang(swarm, "sybil-flood")
        for _ in range(self.count):
            gang.add(_solved(swarm, rng), self.groups)
        gang.arrive(self.from_s)
        survey_at_end(swarm)


@attrs.frozen(slots=True, kw_only=True)
class Eclipse:
    """Keys are ground until their ids lie nearer to a point than honest ones, to own all that is said about it
    (Singh and others, Eclipse Attacks on Overlay Networks, INFOCOM 2006; Wang and others, Attacking the Kad Network,
    SecureComm 2008). They join, name each other, hide what they should hold and confirm what they do not keep.

    `near`: "victim", the last node of the population, whose neighbours they become; a key; or "" for the key of a value
    that an honest node puts when they are in place, and that others read every `every_s`.

    Measures: `eclipse_closest` (share of the 20 nodes that are truly closest to the point), `victim_table` (of the
    victim's table), `eclipse_victim_closest` (of the 20 closest to itself that the victim knows); operations
    `victim_lookup` (random keys, from the victim), `eclipsed_put` and `eclipsed_get`.
    """

    count: int = attrs.field(default=40, validator=between(1, 5_000))
    near: str = attrs.field(default="victim", validator=near_key)
    #: How much nearer than the nearest honest node is expected, as a factor: each doubles the cost of a key.
    closer: float = attrs.field(default=1.0, validator=between(0.01, 64))
    groups: int = attrs.field(default=0, validator=between(0, 200))
    from_s: float = attrs.field(default=30.0, validator=not_negative)
    every_s: float = attrs.field(default=2.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("eclipse", self.near)
        point = target_of(swarm, self.near) if self.near else int.from_bytes(blob_key(_VALUE), "big")
        within = int((1 << 256) // max(1, round(self.closer * swarm.scenario.population.nodes)))
        gang = Gang(swarm, "eclipse")
        while len(gang.nodes) < self.count:
            keys = _solved(swarm, rng)
            if int.from_bytes(node_id_of(keys.key), "big") ^ point < within:
                gang.add(keys, self.groups)
        gang.arrive(self.from_s)
        ready_s = self.from_s + 2 * _ARRIVE_S
        if self.near == "victim":
            lookups_of_victim(swarm, ready_s, self.every_s)
        elif not self.near:
            swarm.at(ready_s, lambda: self._put(swarm, rng))
            swarm.every(self.every_s, lambda: self._get(swarm, rng), begin_s=ready_s + 2 * _ARRIVE_S)
        survey_at_end(swarm)
        swarm.at(swarm.scenario.duration_s, lambda: self._measure(swarm, point))

    def _put(self, swarm: Swarm, rng: Rng) -> None:
        began_ns = swarm.engine.now_ns

        def ended(outcome: Outcome, took_ns: int) -> None:
            swarm.measures.operation("eclipsed_put").add(began_ns, took_ns, isinstance(outcome, Ok))

        swarm.ask(rng.choice(swarm.honest()), "put", {"value": _VALUE}, ended)

    def _get(self, swarm: Swarm, rng: Rng) -> None:
        began_ns = swarm.engine.now_ns

        def ended(outcome: Outcome, took_ns: int) -> None:
            got = isinstance(outcome, Ok) and outcome.value["value"] == _VALUE
            swarm.measures.operation("eclipsed_get").add(began_ns, took_ns, got)

        swarm.ask(rng.choice(swarm.honest()), "get", {"key": blob_key(_VALUE).hex()}, ended)

    def _measure(self, swarm: Swarm, point: int) -> None:
        counts = swarm.measures.counts
        alive = [node for node in range(len(swarm)) if swarm.engine.alive(node) and swarm.number(node) != point]
        nearest = sorted(alive, key=lambda node: swarm.number(node) ^ point)[:K]
        counts["eclipse_closest"] = round(sum(node in swarm.adversaries for node in nearest) / K, 6)
        last = victim(swarm)
        if self.near == "victim" and swarm.engine.alive(last):
            hostile = {swarm.population.keys(node).key for node in swarm.adversaries}
            contacts = sorted(
                (entry.contact for entry in entries(swarm, last)), key=lambda contact: contact.number ^ point
            )[:K]
            share = sum(contact.key in hostile for contact in contacts) / max(1, len(contacts))
            counts["eclipse_victim_closest"] = round(share, 6)


def _solved(swarm: Swarm, rng: Rng) -> KeyPair:
    """A key that the network takes for a full peer."""
    while True:
        keys = KeyPair.from_seed(rng.bytes(32))
        if solves(node_id_of(keys.key), swarm.population.realm.puzzle_bits):
            return keys


@attrs.define(slots=True, eq=False)
class Gang:
    """Sybils beside the population. They name each other, confirm what they are to store, and hold nothing."""

    swarm: Swarm
    name: str
    nodes: list[int] = attrs.Factory(list)
    _ring: Ring = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ring = Ring(self.swarm)

    def add(self, keys: KeyPair, groups: int) -> None:
        swarm, population, index = self.swarm, self.swarm.population, len(self.swarm)
        population.set_keys(index, keys)
        if groups:
            host, group = divmod(len(self.nodes), groups)
            ip = bytes((200, group, 0, 1 + host % _HOSTS))
            population.set_address(index, Address(ip, PORT + host // _HOSTS))
        node = swarm.add()
        self.nodes.append(node)
        self._ring.add(population.number(node), keys.key + population.address(node).packed)
        swarm.corrupt(node, self.name, self._peer)

    def arrive(self, from_s: float) -> None:
        for i, node in enumerate(self.nodes):
            self.swarm.at(from_s + _ARRIVE_S * i / len(self.nodes), lambda node=node: self.swarm.start(node))  # type: ignore[misc]
        self.swarm.at(from_s, lambda: self.swarm.mark(f"{len(self.nodes)} Sybils arrive ({self.name})"))

    def _peer(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
        peer = self.swarm.population.peer(index, storage, rng, entropy)
        self._ring.name_each_other(peer)

        def confirm(inbound: Inbound) -> None:
            peer.endpoint.reply(inbound, Stored(status=StoreStatus.STORED))

        for kind in (Kind.STORE, Kind.PROVIDE):
            peer.endpoint.serve(kind, confirm)
        return peer
