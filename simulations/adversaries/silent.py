"""Peers that look alive and do not work: droppers of records, and slow ones."""

from __future__ import annotations

import attrs

from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, Core, Effect, Entropy, SendDatagram, Storage
from overlay.wire.messages import Stored, StoreStatus
from overlay.wire.registry import KIND_OF_NUMBER, Kind
from simulations.adversaries.positions import chosen, from_then, near_key
from simulations.adversaries.wire import Wire
from simulations.bounds import between, not_negative, positive, share
from simulations.datagrams import kind_of
from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class SilentDroppers:
    """They answer PING and FIND_NODE, so they stay in tables and take the place of holders; STORE, PROVIDE and every
    question for a record they drop (storage attacks: Sit and Morris, Security Considerations for Peer-to-Peer
    Distributed Hash Tables, IPTPS 2002). With `confirm` they say STORED and keep nothing, which costs the writer no
    time-out and warns nobody. Counts `dropped_requests`.
    """

    fraction: float = attrs.field(default=0.2, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    confirm: bool = False

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.count("dropped_requests", 0)

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            from_then(swarm, self.from_s, lambda: self._turn(swarm, made))
            return made

        for node in chosen(swarm, "silent-droppers", self.fraction, self.count, self.near):
            swarm.corrupt(node, "silent-droppers", peer)

    def _turn(self, swarm: Swarm, peer: Peer) -> None:
        def drop(_inbound: Inbound) -> None:
            swarm.measures.count("dropped_requests")

        def confirm(inbound: Inbound) -> None:
            swarm.measures.count("dropped_requests")
            peer.endpoint.reply(inbound, Stored(status=StoreStatus.STORED))

        for kind in (Kind.FIND_VALUE, Kind.FIND_PROVIDERS, Kind.FIND_KEYS):
            peer.endpoint.serve(kind, drop)
        for kind in (Kind.STORE, Kind.PROVIDE):
            peer.endpoint.serve(kind, confirm if self.confirm else drop)


@attrs.frozen(slots=True, kw_only=True)
class SlowPeers:
    """Every answer of theirs leaves `delay_s` late: overloaded, or on purpose, to hold up whoever waits for the slowest
    (Dean and Barroso, The Tail at Scale, CACM 2013). Below the askers' time-outs that is cheaper to do and harder
    to see than silence. Counts `delayed`.
    """

    fraction: float = attrs.field(default=0.2, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    delay_s: float = attrs.field(default=1.5, validator=between(0.001, 60))

    def begin(self, swarm: Swarm) -> None:
        delay_ns = round(self.delay_s * 1000) * MS

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Core:
            def late(effect: SendDatagram) -> list[Effect]:
                kind = KIND_OF_NUMBER.get(kind_of(effect.data))
                if swarm.now_s < self.from_s or kind is None or not kind.is_reply:
                    return [effect]
                swarm.measures.count("delayed")
                life = swarm.engine.life(index)

                def send() -> None:
                    if swarm.engine.life(index) == life:
                        swarm.engine.inject(index, effect.to, effect.data)

                swarm.after(delay_ns, send)
                return []

            return Wire(swarm.population.peer(index, storage, rng, entropy), late)

        for node in chosen(swarm, "slow-peers", self.fraction, self.count, self.near):
            swarm.corrupt(node, "slow-peers", peer)
