"""Real peers on the link of tests.support.link, and a stranger who signs whatever he likes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs

from overlay.app import App
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from overlay.peer import Peer
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Failed, Interface, Storage
from overlay.wire.decode import decode_body
from overlay.wire.envelope import Envelope, decode_envelope, encode_envelope
from overlay.wire.messages import Message
from overlay.wire.padding import padded_body
from overlay.wire.seal import open_sealed, seal
from simulations.engine import WALL_START_MS
from simulations.storage import MemoryStorage
from tests.support.link import ADDRESSES, InFlight, Link

REALM = Network("pair", puzzle_bits=0)
A, B = ADDRESSES["a"], ADDRESSES["b"]
#: In the LAN of both.
ELSEWHERE = parse_address("10.0.0.66:4433")
FAR_AWAY = parse_address("60.1.2.3:4433")


def keys_of(number: int) -> KeyPair:
    return KeyPair.from_seed(number.to_bytes(32, "big"))


def entropy_of(number: int) -> Entropy:
    """Hashes of (number, counter)."""
    count = 0

    def draw(n: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(f"{number} {count}".encode()).digest(n)

    return draw


def make_peer(
    number: int,
    *,
    network: Network = REALM,
    storage: Storage | None = None,
    apps: Sequence[App] = (),
    life: int = 0,
) -> Peer:
    """Peer `number`; another `life` has other chance, as after a restart."""
    return Peer(
        network=network, keys=keys_of(number), storage=storage if storage is not None else MemoryStorage(),
        rng=Rng(number << 8 | life), entropy=entropy_of(number << 8 | life), apps=apps,
    )  # fmt: skip


class Pair(Link):
    """a and b are peers 1 and 2, started a second ago; nothing was sent yet unless `met`."""

    a: Peer
    b: Peer

    def met(self) -> Pair:
        """As it is once both know each other."""
        self.command("a", "join", {"addresses": [{"address": str(self.addresses["b"])}]})
        self.settle()
        return self

    def settle(self, seconds: float = 3) -> None:
        """Let time pass, delivering everything every 10 ms."""
        for _ in range(round(seconds * 100)):
            self.deliver_all()
            self.advance(0.01)
        self.deliver_all()

    def fails(self, side: str, name: str, args: dict[str, object] | None = None, *, seconds: float = 60) -> Failed:
        """Give a command that must fail; how it failed."""
        outcome = self.outcome(side, name, args, seconds=seconds)
        assert isinstance(outcome, Failed), outcome
        return outcome

    def replace(self, side: str, peer: Peer) -> None:
        """Another life of a side, or another peer in its place, is started at its address."""
        setattr(self, side, peer)
        self.feed(side, peer.start)
        self.feed(side, peer.handle_network, (Interface(self.addresses[side].ip, 24),))

    def aged(self, side: str) -> Pair:
        """Past its first ten seconds, in which it looks around by itself, and with no idea of round-trip times."""
        self.settle(10)
        self.peer(side).endpoint.peers.forget_times()  # type: ignore[attr-defined]
        return self

    def key(self, side: str) -> bytes:
        return self.peer(side).endpoint.signer.key  # type: ignore[attr-defined, no-any-return]

    def id_text(self, side: str) -> str:
        return format_id(node_id_of(self.key(side)))

    def sent_by(self, side: str, *, to: Address | None = None, since: int = 0) -> list[InFlight]:
        return [one for one in self.sent[since:] if one.side == side and to in (None, one.to)]

    def counted(self, side: str, name: str) -> int:
        return self.peer(side).endpoint.counters.get(name, 0)  # type: ignore[attr-defined, no-any-return]


def pair(*, network: Network = REALM, apps_a: Sequence[App] = (), apps_b: Sequence[App] = ()) -> Pair:
    link = Pair(make_peer(1, network=network, apps=apps_a), make_peer(2, network=network, apps=apps_b))
    link.start()
    link.advance(1)
    return link


@attrs.define(repr=False)
class Stranger:
    """Signs what it likes with a key of its own; what it sends comes from any address."""

    link: Pair
    keys: KeyPair = attrs.field(factory=lambda: keys_of(66))
    network: Network = REALM
    address: Address = ELSEWHERE
    stamp: int = WALL_START_MS
    _last_id: int = 0

    def __repr__(self) -> str:
        return f"<Stranger {self.keys.key.hex()[:8]}>"

    def datagram(
        self,
        message: Message,
        *,
        to: str | bytes | None = "b",
        token: bytes | None = None,
        request_id: bytes | None = None,
        stamp: int | None = None,
        padded: bool = False,
    ) -> bytes:
        if isinstance(to, str):
            to = node_id_of(self.link.key(to))[:8]
        if request_id is None:
            self._last_id += 1
            request_id = self._last_id.to_bytes(8, "big")
        if stamp is None:
            self.stamp += 1
            stamp = self.stamp
        body = padded_body(message, to) if padded else message.encode_body()
        data = encode_envelope(self.keys, self.network, message.KIND, request_id, stamp, to, token, body)
        return self.sealed(data)

    def sealed(self, data: bytes) -> bytes:
        key = self.network.sealing_key
        return data if key is None else seal(key, data, entropy_of(99))

    def send(self, data: bytes, *, side: str = "b", source: Address | None = None) -> list[InFlight]:
        """What `side` sent because of it, at once."""
        before = len(self.link.sent)
        self.link.inject(side, source or self.address, data)
        return self.link.sent[before:]

    def token(self, *, side: str = "b", source: Address | None = None) -> bytes:
        """The one that `side` gives to our key at this address."""
        peer = self.link.peer(side)
        at = ContactBook().contact(self.keys.key, source or self.address)
        return peer.endpoint.token_for(at)  # type: ignore[attr-defined, no-any-return]


def opened(data: bytes, *, network: Network = REALM) -> tuple[Envelope, Message]:
    """An authentic datagram of the network, read."""
    if network.sealing_key is not None:
        data = open_sealed(network.sealing_key, data)
    envelope = decode_envelope(data, network, verify)
    assert envelope.kind is not None
    return envelope, decode_body(envelope.kind, envelope.body)


def messages(sent: Sequence[InFlight], *, network: Network = REALM) -> list[Message]:
    return [opened(one.data, network=network)[1] for one in sent]
