"""Floods: at a victim, and by way of others at somebody who takes no part."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.peer import Peer
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from overlay.wire.envelope import encode_envelope
from overlay.wire.messages import FindNode, Ping
from simulations.adversaries.positions import chosen, near_key, victim
from simulations.adversaries.victims import lookups_of_victim
from simulations.bounds import after, between, not_negative, one_of, positive
from simulations.engine import WALL_START_MS
from simulations.swarm import Swarm

#: Datagrams leave in bursts, so many times a second: an event of the simulator for each.
_BURSTS = 20
#: A flood of more would keep a laptop busy for an hour and show nothing new.
MAX_DATAGRAMS = 5_000_000
#: Who is to be flooded by reflection: another machine than that of simulations.adversaries.poisoning.
BYSTANDER = Address(bytes((200, 9, 9, 9)), 9999)
#: Bytes of padding of a FIND_NODE that wants to be answered at once (limits.PADDED_FIND).
_PADDING = 860

#: (node, its chance) -> where to, what, by which source (None: its own).
Datagram = Callable[[int, Rng], tuple[Address, bytes, Address | None]]


def _bounded(instance: Flooders | Reflectors, _attribute: attrs.Attribute[float], to_s: float) -> None:
    total = (to_s - instance.from_s) * instance.rate * instance.count
    if total > MAX_DATAGRAMS:
        raise ValueError(f"that is {total:,.0f} datagrams, expected at most {MAX_DATAGRAMS:,}", _attribute)


@attrs.frozen(slots=True, kw_only=True)
class Flooders:
    """`count` nodes send `rate` datagrams a second each at the victim (the last node of the population). `what`:
    "ping", requests with good signatures, each to be answered; "forged", the same with bad ones, which cost a check
    each; "junk", random bytes.

    The clock of a simulated processor stands still while it works: what is shown is what is sent back and that nothing
    grows, not how much CPU is left (docs/benchmarks.md says what a datagram costs). Counts `flood_datagrams`,
    `flood_answers` and `flood_answer_bytes_ratio` (bytes back for a byte), `flood_dropped_rate` (share dropped unread
    for the rate of its sender); operation `victim_lookup` goes on during the flood.
    """

    count: int = attrs.field(default=2, validator=between(1, 10_000))
    near: str = attrs.field(default="", validator=near_key)
    rate: float = attrs.field(default=2500.0, validator=between(1, 100_000))
    what: str = attrs.field(default="ping", validator=one_of("ping", "forged", "junk"))
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    to_s: float = attrs.field(default=65.0, validator=(positive, after("from_s"), _bounded))

    def begin(self, swarm: Swarm) -> None:
        nodes = chosen(swarm, "flooders", 0, self.count, self.near)
        for node in nodes:
            swarm.corrupt(node, "flooders", swarm.population.peer)
        stream = _Stream(swarm, self.from_s, self.to_s, self.rate)
        last = victim(swarm)
        to = swarm.population.address(last)
        out_bytes = back_bytes = 0
        own = {swarm.population.address(node) for node in nodes}

        def datagram(node: int, rng: Rng) -> tuple[Address, bytes, Address | None]:
            nonlocal out_bytes
            data = (
                rng.bytes(200) if self.what == "junk" else _request(swarm, node, rng, Ping(padding=bytes(60)), to=last)
            )
            if self.what == "forged":
                data = data[:-1] + bytes((data[-1] ^ 1,))
            out_bytes += len(data)
            swarm.measures.count("flood_datagrams")
            return to, data, None

        def hear(sender: int, to: Address, data: bytes) -> None:
            nonlocal back_bytes
            if sender == last and to in own and stream.running:
                swarm.measures.count("flood_answers")
                back_bytes += len(data)

        def sum_up() -> None:
            counts = swarm.measures.counts
            counts["flood_answer_bytes_ratio"] = round(back_bytes / max(1, out_bytes), 6)
            if swarm.engine.alive(last):
                peer = swarm.engine.peer(last)
                assert isinstance(peer, Peer)
                dropped = peer.endpoint.counters.get("dropped: rate", 0)
                counts["flood_dropped_rate"] = round(dropped / max(1, counts["flood_datagrams"]), 6)

        swarm.measures.counts |= {"flood_datagrams": 0, "flood_answers": 0}
        swarm.engine.taps.append(hear)
        for node in nodes:
            stream.begin(node, datagram)
        lookups_of_victim(swarm, self.from_s, 0.5)
        swarm.at(swarm.scenario.duration_s, sum_up)


@attrs.frozen(slots=True, kw_only=True)
class Reflectors:
    """They ask honest nodes questions in the name of a bystander's address, so that the answers flood it (Paxson, An
    Analysis of Using Reflectors for Distributed Denial-of-Service Attacks, CCR 2001). In turns bare PINGs, and
    FIND_NODEs padded or not. Counts `reflected_datagrams` and `reflection_ratio`: bytes that reach the bystander for a
    byte that was sent. Above 1 it would be worth doing.
    """

    count: int = attrs.field(default=2, validator=between(1, 10_000))
    near: str = attrs.field(default="", validator=near_key)
    rate: float = attrs.field(default=200.0, validator=between(1, 100_000))
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    to_s: float = attrs.field(default=70.0, validator=(positive, after("from_s"), _bounded))

    def begin(self, swarm: Swarm) -> None:
        nodes = chosen(swarm, "reflectors", 0, self.count, self.near)
        for node in nodes:
            swarm.corrupt(node, "reflectors", swarm.population.peer)
        stream = _Stream(swarm, self.from_s, self.to_s, self.rate)
        out_bytes = back_bytes = 0

        def datagram(node: int, rng: Rng) -> tuple[Address, bytes, Address | None]:
            nonlocal out_bytes
            honest = swarm.honest()
            mirror = rng.choice(honest)
            match rng.below(3):
                case 0:
                    message: Ping | FindNode = Ping()
                case 1:
                    message = FindNode(target=rng.bytes(32), families=1)
                case _:
                    message = FindNode(target=rng.bytes(32), families=1, padding=bytes(_PADDING))
            data = _request(swarm, node, rng, message, to=mirror)
            out_bytes += len(data)
            return swarm.population.address(mirror), data, BYSTANDER

        def hear(_sender: int, to: Address, data: bytes) -> None:
            nonlocal back_bytes
            if to == BYSTANDER:
                swarm.measures.count("reflected_datagrams")
                back_bytes += len(data)

        def sum_up() -> None:
            swarm.measures.counts["reflection_ratio"] = round(back_bytes / max(1, out_bytes), 6)

        swarm.measures.count("reflected_datagrams", 0)
        swarm.engine.taps.append(hear)
        for node in nodes:
            stream.begin(node, datagram)
        swarm.at(swarm.scenario.duration_s, sum_up)


def _request(swarm: Swarm, node: int, rng: Rng, message: Ping | FindNode, *, to: int) -> bytes:
    """A request that `node` signs, without token; its stamps rise with the virtual clock and by chance."""
    population = swarm.population
    stamp = WALL_START_MS + (1 << 30) + swarm.engine.now_ns // 1_000
    return encode_envelope(
        population.signer(node), population.realm, message.KIND, rng.bytes(8), stamp, population.id(to)[:8],
        None, message.encode_body(),
    )  # fmt: skip


@attrs.define(slots=True, eq=False)
class _Stream:
    """Many datagrams a second, from `from_s` to `to_s`."""

    swarm: Swarm
    from_s: float
    to_s: float
    rate: float
    #: Now, or for answers that are still on their way.
    running: bool = False

    def begin(self, node: int, datagram: Datagram) -> None:
        swarm, rng = self.swarm, self.swarm.rng("flood", node)
        total = round((self.to_s - self.from_s) * self.rate)
        sent = 0
        step_ns = SECOND // _BURSTS

        def burst() -> None:
            nonlocal sent
            self.running = True
            due = min(total, round((swarm.now_s - self.from_s) * self.rate + self.rate / _BURSTS))
            while sent < due and swarm.engine.alive(node):
                to, data, source = datagram(node, rng)
                swarm.engine.inject(node, to, data, source=source)
                sent += 1
            if sent < total and swarm.engine.alive(node):
                swarm.after(step_ns, burst)

        swarm.at(self.from_s, burst)
        swarm.at(self.from_s, lambda: swarm.mark("a flood begins"))
        swarm.at(self.to_s + 1, self._over)

    def _over(self) -> None:
        self.running = False
