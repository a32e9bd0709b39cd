"""From a connection to a peer of this network with keys: preface, Noise, and the identity bound to its static key.

    dialler                                    acceptor
    preface || [message 1]          -->
                                    <--        [message 2: its binding]
    [message 3: its binding]        -->

Each message is preceded by its length, 2 bytes big-endian. Preface and network id are the prologue, so the handshake
ends at the first sealed byte between two networks. A binding is a signature of the static key, which only the
handshake proves to be held (docs/protocol/streams.md).
"""

from __future__ import annotations

from typing import Final

import attrs

from overlay.errors import BadMessage, RemoteError
from overlay.identity.keys import KEY_BYTES, Signer, Verifier
from overlay.identity.network import Context, Network
from overlay.identity.node_id import node_id_of
from overlay.limits import BINDING_TTL_MS, MAX_BINDING_AHEAD_MS, MAX_HANDSHAKE_MESSAGE
from overlay.runtime.ports import Entropy, Now
from overlay.secure.noise import TAG_BYTES, Handshake, Suite, public_of
from overlay.wire import cbor, cose

#: No text begins with it, and no BitTorrent handshake (0x13).
MAGIC: Final = b"\xd2p2pn/1"
PREFACE_BYTES: Final = 8
LENGTH_BYTES: Final = 2


def encode_preface(suite: Suite) -> bytes:
    return MAGIC + bytes((suite,))


def decode_preface(data: bytes) -> Suite:
    """BadMessage unless these are the 8 bytes of a cipher that this version knows."""
    if len(data) != PREFACE_BYTES or data[:-1] != MAGIC:
        raise BadMessage("it does not begin as a stream of this protocol")
    try:
        return Suite(data[-1])
    except ValueError:
        raise BadMessage(f"cipher suite {data[-1]} is none that this version knows") from None


@attrs.frozen(slots=True)
class Binding:
    """`key` says that `static` is its own until then."""

    #: Ed25519, of the peer.
    key: bytes
    #: X25519, of its streams.
    static: bytes
    #: Wall clock, ms.
    expires_ms: int


def encode_binding(signer: Signer, network: Network, static: bytes, expires_ms: int) -> bytes:
    """COSE_Sign1 in context "noise" over dCBOR [static key, expires]."""
    return cose.sign1(signer, network.aad(Context.NOISE), cbor.encode([static, expires_ms]))


def decode_binding(data: bytes, network: Network, verify: Verifier) -> Binding:
    """An authentic binding; whether it belongs to this handshake and is in time, `_check` says."""
    if len(data) > MAX_HANDSHAKE_MESSAGE:
        raise BadMessage("the binding of a key is too long")
    key, payload = cose.parse1(data)
    match cbor.decode(payload):
        case [bytes(static), int(expires_ms)] if (
            len(static) == KEY_BYTES and expires_ms >= 0 and not isinstance(expires_ms, bool)
        ):
            cose.check1(data, network.aad(Context.NOISE), verify)
            return Binding(key, static, expires_ms)
    raise BadMessage("the binding of a key has a key and a time")


class StaticKey:
    """The X25519 key of one process life, made when the first stream needs it, and its binding, renewed in time."""

    __slots__ = ("_binding", "_entropy", "_expires_ms", "_network", "_private", "_signer")

    def __init__(self, network: Network, signer: Signer, entropy: Entropy) -> None:
        self._network = network
        self._signer = signer
        self._entropy = entropy
        self._private: bytes | None = None
        self._binding = b""
        self._expires_ms = 0

    @property
    def private(self) -> bytes:
        if self._private is None:
            self._private = self._entropy(KEY_BYTES)
        return self._private

    def binding(self, now: Now) -> bytes:
        """Of at least half its life more, also after the clock was set back."""
        left_ms = self._expires_ms - now.wall_ms
        if not BINDING_TTL_MS // 2 <= left_ms <= BINDING_TTL_MS:
            self._expires_ms = now.wall_ms + BINDING_TTL_MS
            self._binding = encode_binding(self._signer, self._network, public_of(self.private), self._expires_ms)
        return self._binding


@attrs.frozen(slots=True)
class Secured:
    """What a handshake leaves."""

    #: Ed25519 key of the other side, proved.
    key: bytes
    suite: Suite
    #: 32 bytes each.
    sending: bytes
    receiving: bytes


class _Side:
    """What dialler and acceptor have in common."""

    __slots__ = ("_network", "_noise", "_suite", "_verify", "static")

    def __init__(
        self, network: Network, static: StaticKey, verify: Verifier, entropy: Entropy, *, suite: Suite, dials: bool
    ) -> None:
        self._network = network
        self.static = static
        self._verify = verify
        self._suite = suite
        self._noise = Handshake(
            initiator=dials, suite=suite, static=static.private, ephemeral=entropy(KEY_BYTES),
            prologue=encode_preface(suite) + network.network_id,
            psk=network.derived_key("noise") if network.private else None,
        )  # fmt: skip

    def write(self, payload: bytes) -> bytes:
        """The next message behind its length."""
        message = self._noise.write(payload)
        return len(message).to_bytes(LENGTH_BYTES, "big") + message

    def read(self, message: bytes) -> bytes:
        return self._noise.read(message)

    def bound_key(self, payload: bytes, now: Now) -> bytes:
        """Ed25519 key: BadMessage unless `payload` binds the static key of the other side to it, in time."""
        binding = decode_binding(payload, self._network, self._verify)
        if binding.static != self._noise.their_static:
            raise BadMessage("the other side has the binding of another key")
        if binding.expires_ms <= now.wall_ms:
            raise BadMessage("the binding of the other side's key has expired: are both clocks right?")
        if binding.expires_ms > now.wall_ms + MAX_BINDING_AHEAD_MS:
            raise BadMessage("the binding of the other side's key expires too late: are both clocks right?")
        return binding.key

    def secured(self, key: bytes) -> Secured:
        sending, receiving = self._noise.keys()
        return Secured(key, self._suite, sending, receiving)


class Dialler:
    """`first()` is sent; what comes back is given to `answer`, whose bytes are sent."""

    __slots__ = ("_side", "_suite")

    def __init__(
        self, network: Network, static: StaticKey, verify: Verifier, entropy: Entropy, *, suite: Suite = Suite.AESGCM
    ) -> None:
        self._suite = suite
        self._side = _Side(network, static, verify, entropy, suite=suite, dials=True)

    def first(self) -> bytes:
        return encode_preface(self._suite) + self._side.write(b"")

    def answer(self, message: bytes, now: Now, *, expected: bytes | None) -> tuple[bytes, Secured]:
        """Of message 2: message 3, and what is secured. BadMessage; RemoteError if it is not the peer with NodeId
        `expected`, who then learns nothing about us."""
        side = self._side
        key = side.bound_key(side.read(message), now)
        if expected is not None and node_id_of(key) != expected:
            raise RemoteError("another peer answered there than the one that was dialled")
        last = side.write(side.static.binding(now))
        return last, side.secured(key)


class Acceptor:
    """Made with the preface; `answer` takes message 1, `last` message 3."""

    __slots__ = ("_side", "first_length")

    def __init__(
        self, preface: bytes, network: Network, static: StaticKey, verify: Verifier, entropy: Entropy
    ) -> None:  # fmt: skip
        self._side = _Side(network, static, verify, entropy, suite=decode_preface(preface), dials=False)
        #: Bytes of message 1, whose payload is empty: with a key of the network there is a tag.
        self.first_length = KEY_BYTES + (TAG_BYTES if network.private else 0)

    def answer(self, message: bytes, now: Now) -> bytes:
        """Of message 1: message 2 behind its length. BadMessage."""
        if self._side.read(message):
            raise BadMessage("the first message of a handshake carries nothing")
        return self._side.write(self._side.static.binding(now))

    def last(self, message: bytes, now: Now) -> Secured:
        """Of message 3. BadMessage."""
        return self._side.secured(self._side.bound_key(self._side.read(message), now))


def decode_length(data: bytes) -> int:
    """Of a handshake message, from the 2 bytes before it. BadMessage if no handshake of this version is as long."""
    length = int.from_bytes(data, "big")
    if not 0 < length <= MAX_HANDSHAKE_MESSAGE:
        raise BadMessage(f"a message of a handshake has at most {MAX_HANDSHAKE_MESSAGE} bytes, not {length}")
    return length
