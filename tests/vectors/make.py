"""Writes the vector files from the cases: `python -m tests.vectors.make`. Overwrites nothing."""

from __future__ import annotations

import sys
from hashlib import sha256

import attrs

from apps.files.core.terms import term_key
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network, format_psk
from overlay.identity.node_id import format_id, node_id_of
from overlay.wire import cbor, cose
from overlay.wire.bodies import encode_body_message
from overlay.wire.envelope import encode_envelope
from overlay.wire.messages import Message
from overlay.wire.padding import padded_body
from overlay.wire.publication import body_digest, message_id
from overlay.wire.records import blob_key, signed_key
from overlay.wire.seal import seal
from overlay.wire.ticket import make_ticket
from tests.vectors import cases as c
from tests.vectors import streams
from tests.vectors.text import FOLDER, Piece, render

_NETWORK = f"network {c.PUBLIC.name!r}, {c.PUBLIC.puzzle_bits} bits, no key: id {c.PUBLIC.network_id.hex()}"
_ALICE = f"signed by Alice, seed {c.ALICE.seed.hex()}"
_BOB = f"signed by Bob, seed {c.BOB.seed.hex()}"


def datagram(message: Message, padded: bool) -> bytes:
    """Alice asks Bob; Bob, who is the same in all else, answers Alice."""
    signer, to = peers_of(message)
    body = padded_body(message, to) if padded else message.encode_body()
    token = None if padded or message.KIND.is_reply else c.TOKEN
    return encode_envelope(signer, c.PUBLIC, message.KIND, c.REQUEST_ID, c.TIME, to, token, body)


def peers_of(message: Message) -> tuple[KeyPair, bytes]:
    """Who signs it, and the `to` of the other."""
    if message.KIND.is_reply:
        return c.BOB, node_id_of(c.ALICE.key)[:8]
    return c.ALICE, c.TO


def _cose_pieces(data: bytes, inside: list[Piece]) -> list[Piece]:
    key, payload = cose.parse1(data)
    assert b"".join(piece.data for piece in inside) == payload
    head = cbor.bstr(payload)[: -len(payload)]
    return [
        Piece(data[:2], "tag 18 (COSE_Sign1), array of four"),
        Piece(data[2:8], "protected: 38 bytes, {1 (alg): -19 (Ed25519),"),
        Piece(data[8:10], "4 (kid):"),
        Piece(key, "public key of the signer}"),
        Piece(data[42:43], "unprotected: {}"),
        Piece(head, f"payload: {len(payload)} bytes"),
        *inside,
        Piece(data[-66:-64], "signature"),
        Piece(data[-64:], ""),
    ]


def _items(values: list[object], names: list[str]) -> list[Piece]:
    assert len(values) == len(names), names
    return [
        Piece(cbor.head(4, len(values)), f"array of {len(values)}"),
        *(Piece(cbor.encode(value), name) for value, name in zip(values, names, strict=True)),
    ]


def _envelope_pieces(message: Message, data: bytes) -> list[Piece]:
    kind, request_id, stamp, to, token, body = cbor.decode(cose.parse1(data)[1])
    # The fields of a message's class are the items of its body, in the same order.
    act = [f"act: {message.ACT.name}"] if hasattr(message, "ACT") else []
    names = [*act, *(field.name for field in attrs.fields(type(message)))][: len(body)]
    front = _items(
        [kind, request_id, stamp, to, token, body],
        ["kind", "request id", f"stamp {stamp}", "to: first 8 bytes of the receiver's id", "token", ""],
    )[:-1]
    first, *items = _items(body, names)
    return _cose_pieces(data, [*front, Piece(first.data, f"body: array of {len(body)}"), *items])


def vectors() -> dict[str, str]:
    """name -> text of its file."""
    out = {}
    for name, (message, padded) in c.MESSAGES.items():
        data = datagram(message, padded)
        signer = _BOB if message.KIND.is_reply else _ALICE
        title = f"{message.KIND.name}, kind {int(message.KIND)}: {len(data)} bytes\n{_NETWORK}\n{signer}"
        out[name] = render(title, _envelope_pieces(message, data))
    out["object-record"] = render(
        f"A signed record\n{_NETWORK}\n{_ALICE}\ncontext record; its key in the DHT is "
        + signed_key(node_id_of(c.ALICE.key), b"greeting").hex(),
        _cose_pieces(
            c.RECORD,
            _items(cbor.decode(cose.parse1(c.RECORD)[1]), ["salt 'greeting'", "seq", "expires, ms", "value 'hello'"]),
        ),
    )
    out["object-provider"] = render(
        f"A provider record\n{_NETWORK}\n{_ALICE}\ncontext provider",
        _cose_pieces(
            c.PROVIDER,
            _items(cbor.decode(cose.parse1(c.PROVIDER)[1]), ["key: of the blob in value-blob", "seq", "expires, ms"]),
        ),
    )
    out["object-publication"] = render(
        f"A message of topic 'chat'\n{_NETWORK}\n{_ALICE}\ncontext publish; key of the topic {c.TOPIC.hex()}\n"
        f"id of the message {message_id(c.PUBLICATION).hex()}",
        _cose_pieces(
            c.PUBLICATION,
            _items(cbor.decode(cose.parse1(c.PUBLICATION)[1]), ["topic 'chat'", "seq", "body 'hello, all'"]),
        ),
    )
    out["object-chunk"] = render(
        f"The header of a unit of a file\n{_NETWORK}\n{_ALICE}\ncontext chunk",
        _cose_pieces(
            c.CHUNK,
            _items(
                cbor.decode(cose.parse1(c.CHUNK)[1]),
                ["root of the file", "its length", "height", "index of the unit", "node of the unit"],
            ),
        ),
    )
    digest, size = body_digest(c.LARGE_BODY), len(c.LARGE_BODY)
    out["object-announcement"] = render(
        f"A message of topic 'chat' whose body goes by stream: the bytes 00..f9, four times\n{_NETWORK}\n{_ALICE}\n"
        f"context publish; id of the message {message_id(c.ANNOUNCEMENT).hex()}",
        _cose_pieces(
            c.ANNOUNCEMENT,
            [
                *_items(["chat", c.TIME + 1, []], ["topic 'chat'", "seq", ""])[:-1],
                *_items([digest, size], ["hash of the body", "bytes of the body"]),
            ],
        ),
    )
    for name, message in c.BODIES.items():
        items = cbor.decode(encode_body_message(message))
        what = type(message).__name__.upper()
        out[name] = render(
            f"{what} on a stream of gossip, of the body in gossip-announce",
            _items(items, [f"act: {what}", *(field.name for field in attrs.fields(type(message)))]),
        )
    out["object-posting"] = render(
        f"A posting of file sharing\n{_NETWORK}\n{_ALICE}\ncontext posting; of the words by which it is found, 'moon' "
        f"has the key\n{term_key('moon').hex()}",
        _cose_pieces(
            c.POSTING,
            _items(
                cbor.decode(cose.parse1(c.POSTING)[1]),
                ["id of the share", "name", "bytes", "files", "tags 'film', 'Luna'", "expires, ms"],
            ),
        ),
    )
    out["object-binding"] = render(
        f"The binding of a static key of streams\n{_NETWORK}\n{_ALICE}\ncontext noise",
        _cose_pieces(
            c.BINDING,
            _items(cbor.decode(cose.parse1(c.BINDING)[1]), ["static X25519 key", "expires, ms"]),
        ),
    )
    out.update({name: streams.text(name) for name in streams.CASES})
    out["object-ticket"] = _ticket()
    out["sealed-leave"] = _sealed()
    out["identity"] = _identity()
    out["network-public"] = _network(c.PUBLIC)
    out["network-private"] = _network(c.PRIVATE)
    return out


def _ticket() -> str:
    line = make_ticket(c.PUBLIC, c.ALICE.key, (c.V4, c.V6))
    return render(
        "A join ticket: Alice's, with two addresses. Its text is base32 of these bytes and four check letters:\n"
        + line,
        _items(
            [c.PUBLIC.name, c.PUBLIC.puzzle_bits, False, c.ALICE.key, [c.V4.packed, c.V6.packed]],
            ["name of the network", "puzzle bits", "private?", "key", "packed addresses"],
        ),
    )


def _sealed() -> str:
    assert c.PRIVATE.sealing_key is not None
    assert c.PRIVATE.psk is not None
    plain = encode_envelope(c.ALICE, c.PRIVATE, 21, c.REQUEST_ID, c.TIME, c.TO, c.TOKEN, [])
    data = seal(c.PRIVATE.sealing_key, plain, lambda _: c.NONCE)
    title = (
        f"LEAVE on a private network, sealed: network 'home', 8 bits, key {c.PRIVATE.psk.hex()}\n"
        f"sealing key {c.PRIVATE.sealing_key.hex()}\n"
        f"plain {plain.hex()}"
    )
    return render(title, [Piece(data[:24], "nonce"), Piece(data[24:-16], "ciphertext"), Piece(data[-16:], "tag")])


def _identity() -> str:
    node_id = node_id_of(c.ALICE.key)
    return render(
        f"Alice: seed {c.ALICE.seed.hex()}\nin text {format_id(node_id)}\nkey of the blob {c.BLOB!r}: "
        + blob_key(c.BLOB).hex(),
        [
            Piece(c.ALICE.key, "public key (RFC 8032)"),
            Piece(node_id, 'NodeId = SHA-256("p2pnode/id/1" || public key)'),
        ],
    )


def _network(network: Network) -> str:
    psk = network.psk
    title = f"network {network.name!r}, {network.puzzle_bits} bits, parameters {dict(network.params)}"
    if psk is not None:
        title += f"\nkey {psk.hex()}\nin text {format_psk(psk)}"
    facts: list[object] = ["p2pnode/net/1", network.name, network.puzzle_bits, dict(network.params)]
    facts.append(None if psk is None else sha256(psk).digest())
    names = ["label", "name", "puzzle bits", "parameters", "SHA-256 of the network's key, or null"]
    return render(f"{title}\nnetwork_id (SHA-256 of these bytes) {network.network_id.hex()}", _items(facts, names))


def main() -> int:
    differ = []
    for name, text in vectors().items():
        path = FOLDER / f"{name}.txt"
        if not path.exists():
            path.write_text(text)
        elif path.read_text() != text:
            differ.append(name)
    for name in differ:
        print(f"{name}.txt differs from what this version writes; remove it if the protocol did change")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
