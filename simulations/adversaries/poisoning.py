"""Table poisoning: answers that name places where nobody speaks this protocol."""

from __future__ import annotations

import attrs

from overlay.identity.node_id import node_id_of
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Storage
from overlay.wire.registry import Kind
from simulations.adversaries.positions import chosen, from_then, near_key
from simulations.adversaries.ring import Ring, reply_nodes, target_of
from simulations.adversaries.survey import survey_at_end
from simulations.bounds import not_negative, one_of, positive, share
from simulations.swarm import Swarm

#: A machine that takes no part: it is to be flooded.
BYSTANDER = bytes((200, 7, 7, 7))
#: Invented keys; the nearest of them to a target are named.
_KEYS = 2000
#: What no peer may be asked to send to: reserved, multicast, broadcast, unspecified, loopback, private, low ports.
_UNROUTABLE = (
    Address(bytes((240, 0, 0, 1)), 4433),
    Address(bytes((224, 0, 0, 251)), 5353),
    Address(b"\xff\xff\xff\xff", 4433),
    Address(bytes(4), 4433),
    Address(bytes((127, 0, 0, 1)), 4433),
    Address(bytes((192, 168, 1, 1)), 4433),
    Address(BYSTANDER, 53),
)


@attrs.frozen(slots=True, kw_only=True)
class TablePoisoning:
    """Every FIND is answered with 20 invented keys near the target, all in one place, so that askers fill their tables
    with it or flood it (Naoumov and Ross, Exploiting P2P Systems for DDoS Attacks, InfoScale 2006: index and table
    poisoning turned eDonkey's users against hosts outside).

    `aim`: "victim", ports of one machine that takes no part; "group", the addresses of its /24; "unroutable",
    reserved, multicast, loopback and private addresses and a low port. Counts `poison_answers`, `poison_datagrams`
    (honest nodes sent to such places), `poison_per_answer` and `poison_bytes_ratio` (their bytes for a byte of the
    lies); `table_false` says how many such contacts are in tables at the end.
    """

    fraction: float = attrs.field(default=0.1, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    aim: str = attrs.field(default="victim", validator=one_of("victim", "group", "unroutable"))

    def begin(self, swarm: Swarm) -> None:
        counts = swarm.measures.counts
        counts |= {"poison_answers": 0, "poison_datagrams": 0}
        rng, ring = swarm.rng("table-poisoning", self.aim), Ring(swarm)
        for i in range(_KEYS):
            key = rng.bytes(32)
            ring.add(int.from_bytes(node_id_of(key), "big"), key + self._place(i).packed)
        sent_bytes = told_bytes = 0

        def turn(peer: Peer) -> None:
            def lie(inbound: Inbound) -> None:
                nonlocal told_bytes
                named = ring.near(target_of(inbound), inbound.contact.number)
                swarm.measures.count("poison_answers")
                told_bytes += sum(map(len, named))
                reply_nodes(peer, inbound, named)

            for kind in (Kind.FIND_NODE, Kind.FIND_VALUE, Kind.FIND_PROVIDERS):
                peer.endpoint.serve(kind, lie)

        def hear(sender: int, to: Address, data: bytes) -> None:
            nonlocal sent_bytes
            if (to.ip[:3] == BYSTANDER[:3] or to in _UNROUTABLE) and sender not in swarm.adversaries:
                swarm.measures.count("poison_datagrams")
                sent_bytes += len(data)

        def sum_up() -> None:
            counts["poison_per_answer"] = round(counts["poison_datagrams"] / max(1, counts["poison_answers"]), 6)
            counts["poison_bytes_ratio"] = round(sent_bytes / max(1, told_bytes), 6)

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            from_then(swarm, self.from_s, lambda: turn(made))
            return made

        for node in chosen(swarm, "table-poisoning", self.fraction, self.count, self.near):
            swarm.corrupt(node, "table-poisoning", peer)
        swarm.engine.taps.append(hear)
        swarm.at(swarm.scenario.duration_s, sum_up)
        survey_at_end(swarm)

    def _place(self, i: int) -> Address:
        match self.aim:
            case "victim":
                return Address(BYSTANDER, 2000 + i)
            case "group":
                return Address(BYSTANDER[:3] + bytes((1 + i % 250,)), 4433 + i // 250)
            case _:
                return _UNROUTABLE[i % len(_UNROUTABLE)]
