"""Forgers: bytes changed on their way, messages in others' names, records and announcements that nobody signed."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.errors import OverlayError
from overlay.identity.keys import Signer
from overlay.limits import PROVIDERS_PER_PAGE
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Core, Effect, Entropy, SendDatagram, Storage
from overlay.wire.messages import FindValue, Provide, RecordType, Stored, StoreStatus, Value
from overlay.wire.records import decode_provider, encode_provider, encode_record
from overlay.wire.registry import Kind
from simulations.adversaries.positions import chosen, from_then, near_key
from simulations.adversaries.survey import survey_at_end
from simulations.adversaries.wire import Wire
from simulations.bounds import between, not_negative, positive, share
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
    397 of 397 reads forged). Each also says that somebody provides something: in turns by chance in an honest node's
    name, for another key than it signed, with a record of somebody else that it holds itself (a replay), and with a
    signature that was changed. Counts `forged_datagrams`, `forged_values`, `forged_provides` and
    `forged_provides_kept`, those that honest nodes answered with STORED; workload put-get counts `get_wrong`.
    """

    fraction: float = attrs.field(default=0.1, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=0.0, validator=not_negative)
    #: Share of their datagrams that they change; with all, nobody would know them for long.
    change: float = attrs.field(default=0.3, validator=share)
    #: Between two forged announcements of each.
    provide_every_s: float = attrs.field(default=2.0, validator=between(0.01, 3600))

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.counts |= {
            "forged_datagrams": 0, "forged_values": 0, "forged_provides": 0, "forged_provides_kept": 0,
        }  # fmt: skip
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
            lies = swarm.rng("forger", "provides", index, swarm.engine.life(index))
            made.loop.spawn_root(self._provide(swarm, made, lies), name="forge")
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

    async def _provide(self, swarm: Swarm, peer: Peer, rng: Rng) -> None:
        while True:
            await peer.loop.sleep(round(self.provide_every_s * SECOND))
            contacts = peer.table.contacts()
            if swarm.now_s < self.from_s or not contacts:
                continue
            swarm.measures.count("forged_provides")
            try:
                contact, answer = await peer.endpoint.call(rng.choice(contacts), _announcement(swarm, peer, rng))
            except OverlayError:
                continue
            kept = isinstance(answer, Stored) and answer.status is StoreStatus.STORED
            if not any(swarm.population.keys(node).key == contact.key for node in swarm.adversaries):
                swarm.measures.count("forged_provides_kept", kept)


def _announcement(swarm: Swarm, peer: Peer, rng: Rng) -> Provide:
    """Of a key that others provide, if it holds any such record."""
    own, network, wall_ms = peer.endpoint.signer, peer.endpoint.network, peer.loop.now.wall_ms
    keys = list(dict.fromkeys(at[4:36] for at, _ in peer.journal.storage.scan(b"prv/")))
    key = rng.choice(keys) if keys else rng.bytes(32)

    def signed(signer: Signer, about: bytes) -> bytes:
        return encode_provider(signer, network, key=about, seq=wall_ms, expires_ms=wall_ms + _TTL_S * 1000)

    match rng.below(4):
        case 0:
            return Provide(key=key, inner=signed(own, rng.bytes(32)))
        case 1:
            inner = signed(own, key)
            return Provide(key=key, inner=inner[:-1] + bytes((inner[-1] ^ 1,)))
        case 2:
            page, _ = peer.dht.store.providers(key, None, PROVIDERS_PER_PAGE, wall_ms)
            others = [raw for raw, _ in page if decode_provider(raw, network, lambda *_: True).provider != own.key]
            if others:
                return Provide(key=key, inner=rng.choice(others))
    other = swarm.population.keys(rng.choice(swarm.honest())).key
    return Provide(key=key, inner=signed(Impostor(other, own), key))


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
