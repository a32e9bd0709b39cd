"""Forgers: bytes changed on their way, messages in others' names, records that nobody signed."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.identity.keys import Signer
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Core, Effect, Entropy, SendDatagram, Storage
from overlay.wire.messages import FindValue, RecordType, Value
from overlay.wire.records import encode_record
from overlay.wire.registry import Kind
from simulations.adversaries.positions import chosen, from_then, near_key
from simulations.adversaries.survey import survey_at_end
from simulations.adversaries.wire import Wire
from simulations.bounds import not_negative, positive, share
from simulations.swarm import Swarm

#: Where the key of a sender stands in a datagram (overlay/wire/cose.py).
_KEY: Final = slice(10, 42)
_TTL_S: Final = 3600
_DAY_MS: Final = 24 * 3600 * 1000


@attrs.frozen(slots=True, kw_only=True)
class Forgers:
    """They change a share of what they send: a byte flipped, the end cut off, something added, or the key of an honest
    node put in place of theirs; and asked for a record they make one up, in turns as a blob and as a record "signed" by
    an honest node (Sit and Morris 2002: all that is not checked against a key is theirs to say; `kademlia` 2.2.3 had
    397 of 397 reads forged). Counts `forged_datagrams` and `forged_values`; workload put-get counts `get_wrong`.
    """

    fraction: float = attrs.field(default=0.1, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    #: Share of their datagrams that they change; with all, nobody would know them for long.
    change: float = attrs.field(default=0.3, validator=share)

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.counts |= {"forged_datagrams": 0, "forged_values": 0}
        ppm = round(self.change * 1_000_000)

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Core:
            chance = swarm.rng("forger", index, swarm.engine.life(index))
            made = swarm.population.peer(index, storage, rng, entropy)

            def change(effect: SendDatagram) -> list[Effect]:
                if swarm.now_s < self.from_s or chance.below(1_000_000) >= ppm:
                    return [effect]
                swarm.measures.count("forged_datagrams")
                other = swarm.population.keys(chance.below(swarm.scenario.population.nodes)).key
                return [SendDatagram(effect.to, _changed(effect.data, chance, other))]

            from_then(swarm, self.from_s, lambda: self._make_up(swarm, made, chance))
            return Wire(made, change)

        for node in chosen(swarm, "forgers", self.fraction, self.count, self.near):
            swarm.corrupt(node, "forgers", peer)
        survey_at_end(swarm)

    def _make_up(self, swarm: Swarm, peer: Peer, rng: Rng) -> None:
        def lie(inbound: Inbound) -> None:
            assert isinstance(inbound.message, FindValue)
            swarm.measures.count("forged_values")
            kind, inner = RecordType.BLOB, b"made up"
            if rng.below(2):
                author = swarm.population.keys(rng.below(swarm.scenario.population.nodes)).key
                wall_ms = peer.loop.now.wall_ms
                kind, inner = RecordType.SIGNED, encode_record(
                    Impostor(author, peer.endpoint.signer), peer.endpoint.network, b"value 0", wall_ms,
                    wall_ms + _DAY_MS, b"made up",
                )  # fmt: skip
            token = peer.endpoint.token_for(inbound.contact)
            peer.endpoint.reply(inbound, Value(token=token, type=kind, inner=inner, ttl_s=_TTL_S))

        peer.endpoint.serve(Kind.FIND_VALUE, lie)


@attrs.frozen(slots=True)
class Impostor:
    """A port `overlay.identity.keys.Signer`: says that it is somebody else, and signs with what it has."""

    key: bytes
    own: Signer

    def sign(self, data: bytes) -> bytes:
        return self.own.sign(data)


def _changed(data: bytes, rng: Rng, other: bytes) -> bytes:
    match rng.below(4):
        case 0:
            at = rng.below(len(data))
            return data[:at] + bytes((data[at] ^ 1 << rng.below(8),)) + data[at + 1 :]
        case 1:
            return data[: rng.below(len(data))]
        case 2:
            return data + rng.bytes(1 + rng.below(16))
        case _:
            return data[: _KEY.start] + other + data[_KEY.stop :]
