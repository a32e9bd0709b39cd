"""Whole handshakes with fixed keys, and the first sealed record each way."""

from __future__ import annotations

import attrs

from overlay.identity.keys import verify
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.runtime.ports import Entropy, Now
from overlay.secure.handshake import Acceptor, Dialler, Secured, StaticKey
from overlay.secure.noise import CipherState, Suite
from overlay.streams.frames import Kind, encode_frame
from tests.vectors import cases as c
from tests.vectors.text import Piece, render

NOW = Now(0, c.TIME)
#: Private X25519 keys: static and ephemeral, of Alice who dials and of Bob.
ALICE_STATIC, ALICE_EPHEMERAL = bytes([0xA1]) * 32, bytes([0xA2]) * 32
BOB_STATIC, BOB_EPHEMERAL = bytes([0xB1]) * 32, bytes([0xB2]) * 32
CASES = {"stream-public": (c.PUBLIC, Suite.AESGCM), "stream-private": (c.PRIVATE, Suite.CHACHAPOLY)}


def always(data: bytes) -> Entropy:
    return lambda n: data


@attrs.frozen
class Shaken:
    """What passed, and what each side has."""

    first: bytes
    second: bytes
    third: bytes
    dialler: Secured
    acceptor: Secured

    @property
    def records(self) -> tuple[bytes, bytes]:
        """The name of the protocol, and the yes."""
        suite = self.dialler.suite
        asks = CipherState(suite, self.dialler.sending).seal(encode_frame(Kind.DATA, b"/files/1"))
        says = CipherState(suite, self.acceptor.sending).seal(encode_frame(Kind.DATA, b"ok"))
        return tuple(len(one).to_bytes(2, "big") + one for one in (asks, says))  # type: ignore[return-value]


def shake(network: Network, suite: Suite) -> Shaken:
    alice = StaticKey(network, c.ALICE, always(ALICE_STATIC))
    bob = StaticKey(network, c.BOB, always(BOB_STATIC))
    dialler = Dialler(network, alice, verify, always(ALICE_EPHEMERAL), suite=suite)
    first = dialler.first()
    acceptor = Acceptor(first[:8], network, bob, verify, always(BOB_EPHEMERAL))
    second = acceptor.answer(first[10:], NOW)
    third, mine = dialler.answer(second[2:], NOW, expected=node_id_of(c.BOB.key))
    return Shaken(first, second, third, mine, acceptor.last(third[2:], NOW))


def text(name: str) -> str:
    network, suite = CASES[name]
    shaken = shake(network, suite)
    asks, says = shaken.records
    tag = 16 if network.private else 0
    title = (
        f"A handshake: Alice dials Bob at {c.TIME} ms, network {network.name!r}, {network.puzzle_bits} bits\n"
        f"Noise_{'XXpsk0' if network.private else 'XX'}_25519_{suite.noise_name}_SHA256\n"
        f"prologue {(shaken.first[:8] + network.network_id).hex()}\n"
        + (f"psk {network.derived_key('noise').hex()}\n" if network.private else "")
        + f"private keys: Alice static {ALICE_STATIC[:1].hex()} x 32, ephemeral {ALICE_EPHEMERAL[:1].hex()} x 32; "
        f"Bob {BOB_STATIC[:1].hex()} x 32, {BOB_EPHEMERAL[:1].hex()} x 32\n"
        f"then keys: from Alice {shaken.dialler.sending.hex()}\n"
        f"           from Bob   {shaken.dialler.receiving.hex()}"
    )
    first, second, third = shaken.first, shaken.second, shaken.third
    return render(
        title,
        [
            Piece(first[:8], f"Alice: preface, cipher suite {int(suite)}"),
            Piece(first[8:10], "length of message 1"),
            Piece(first[10:42], "e"),
            *([Piece(first[42:], "tag of an empty payload")] if tag else []),
            Piece(second[:2], "Bob: length of message 2"),
            Piece(second[2:34], "e"),
            Piece(second[34:82], "s, sealed"),
            Piece(second[82:], "binding of Bob, sealed"),
            Piece(third[:2], "Alice: length of message 3"),
            Piece(third[2:50], "s, sealed"),
            Piece(third[50:], "binding of Alice, sealed"),
            Piece(asks[:2], "Alice: length of her first record"),
            Piece(asks[2:], 'frame DATA "/files/1", sealed'),
            Piece(says[:2], "Bob: length of his first record"),
            Piece(says[2:], 'frame DATA "ok", sealed'),
        ],
    )
