"""Everything that reads bytes or text of strangers, as functions that take any bytes and raise nothing.

One table serves hypothesis (tests/property/test_fuzz_decode.py) and atheris (tests/soak/test_atheris.py). A target
turns bytes into the arguments of its function and swallows the one exception that the function may raise.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import apps.chain.core
import overlay
import p2pnode
from overlay.dht.held import decode_held
from overlay.errors import LocalError
from overlay.identity import base32
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Context, format_psk, parse_psk
from overlay.identity.node_id import format_id, parse_id
from overlay.peer import Peer
from overlay.runtime.address import parse_address, unpack_address
from overlay.runtime.chance import Rng
from overlay.runtime.loop import Loop
from overlay.runtime.ports import (
    MS,
    SECOND,
    Commit,
    Interface,
    Now,
    Ok,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamEnd,
    StreamGrant,
    StreamOpened,
    Sync,
)
from overlay.secure.handshake import (
    Secured,
    decode_binding,
    decode_length,
    decode_preface,
    encode_binding,
    encode_preface,
)
from overlay.secure.noise import Suite
from overlay.streams.endings import StreamEnded
from overlay.streams.frames import End, FrameReader, decode_end, encode_end, encode_frame
from overlay.streams.frames import Kind as Frame
from overlay.streams.pipe import Pipe
from overlay.streams.stream import Stream
from overlay.typed import decode_message, encode_message, message
from overlay.wire import cbor, cose
from overlay.wire import messages as m
from overlay.wire.bodies import decode_body_message, encode_body_message
from overlay.wire.decode import decode_body
from overlay.wire.envelope import decode_envelope, peek_envelope
from overlay.wire.publication import decode_publication, peek_publication
from overlay.wire.records import decode_provider, decode_record
from overlay.wire.registry import Kind
from overlay.wire.seal import open_sealed, seal
from overlay.wire.ticket import make_ticket, parse_ticket
from p2pnode import keyfile
from p2pnode.bridge import values
from p2pnode.paths import HomeError
from p2pnode.record import plain
from p2pnode.transport.listing import Listings
from p2pnode.transport.seeds import parse_seed
from simulations.storage import MemoryStorage
from tests.support import chain_targets
from tests.support.dht import named_in
from tests.support.fuzzing import Target, accept_all, allowing, as_text, as_utf8, bad, local
from tests.vectors import cases
from tests.vectors.text import names, read_vector

#: A name that promises to read something of a stranger.
READS = re.compile(r"(decode|parse|open|peek|unpack|split_packed)(_|\d|$)")
#: Functions of such a name that read nothing of a stranger, and why.
OTHERS = {
    "apps.chain.core.explorer.decode.decode": "tries all readers of the chain; tests/property/test_chain_explorer.py",
    "apps.chain.core.ledger.open_ledger": "opens a store of this node",
    "apps.chain.core.news.unpack": "reads what the books of this node packed",
    "p2pnode.node.open_node": "opens what the user names",
    "p2pnode.record.tape.open_reader": "opens the file that the user names; tests/property/test_record.py fuzzes it",
    "p2pnode.store.store.open_store": "opens a file of this home",
    "p2pnode.transport.sockets.open_sockets": "opens sockets",
    "p2pnode.transport.udp.open_udp": "opens sockets",
    "p2pnode.ui.output.open_closed": "opens what stands in for a stream that the shell did not give",
}

_NETWORK = cases.PUBLIC
_SEALING = bytes(range(32))
_PEER_ID = KeyPair.from_seed(bytes(32))


def _one_encoding(data: bytes) -> None:
    assert cbor.encode(cbor.decode(data)) == data


def _cose(data: bytes) -> None:
    cose.parse1(data)
    cose.check1(data, b"", accept_all)
    cose.check1(data, _NETWORK.aad(Context.DGRAM), verify)


def _body(data: bytes) -> None:
    """First byte: the kind; the rest: the array."""
    body = cbor.decode(data[1:])
    kind = tuple(Kind)[data[0] % len(Kind)] if data else None
    if kind is not None and type(body) is list:
        message = decode_body(kind, body)
        cbor.encode(message.encode_body())
        if isinstance(message, m.Nodes):
            named_in(message.v4, message.v6)


def _record(data: bytes) -> None:
    record = decode_record(data, _NETWORK, accept_all)
    assert len(record.key) == 32
    decode_record(data, _NETWORK, verify)


def _provider(data: bytes) -> None:
    decode_provider(data, _NETWORK, accept_all)
    decode_provider(data, _NETWORK, verify)


def _publication(data: bytes) -> None:
    assert decode_publication(data, _NETWORK, accept_all) == peek_publication(data)
    decode_publication(data, _NETWORK, verify)


def _envelope(data: bytes) -> None:
    envelope = peek_envelope(data)
    assert decode_envelope(data, _NETWORK, accept_all) == envelope
    if envelope.kind is not None:
        decode_body(envelope.kind, envelope.body)
    decode_envelope(data, _NETWORK, verify)


def _held(data: bytes) -> None:
    held = decode_held(data)
    assert held is None or decode_held(held.encode()) == held


def _binding(data: bytes) -> None:
    binding = decode_binding(data, _NETWORK, accept_all)
    assert len(binding.static) == 32
    assert binding.expires_ms >= 0
    decode_binding(data, _NETWORK, verify)


def _frames(data: bytes) -> None:
    reader, seen = FrameReader(), 0
    reader.feed(data)
    while (frame := reader.next()) is not None:
        kind, payload = frame
        seen += 4 + len(payload)
        if kind is Frame.END:
            end, text = decode_end(payload)
            assert decode_end(encode_end(end, text)) == (end, text)
    assert seen + reader.skipped <= len(data)


def signed_by_nobody(payload: bytes, *, key: bytes = bytes(range(32))) -> bytes:
    """A COSE_Sign1 around any payload; its signature convinces `accept_all` only."""
    front = bytes.fromhex("d284 5826 a20132 045820")
    return b"".join((front, key, b"\xa0", cbor.bstr(payload), b"\x58\x40", bytes(64)))


def _peer(data: bytes) -> None:
    """A whole peer for whom every signature is good, fed with datagrams cut out of the input. It must not raise."""
    peer = Peer(
        network=_NETWORK, keys=_PEER_ID, storage=MemoryStorage(), rng=Rng(1), entropy=Rng(2).bytes,
        verifier=accept_all,
    )  # fmt: skip
    now = Now(SECOND, cases.TIME)
    sources = (cases.V4, cases.V6)
    peer.start(now)
    _settle(peer, now)
    peer.handle_network(now, (Interface(bytes((192, 0, 2, 1)), 24), Interface(cases.V6.ip, 64)))
    for number, part in enumerate(_parts(data)):
        now = Now(now.mono_ns + 10 * MS, now.wall_ms + 10)
        # A payload of six items is signed for it, anything else arrives as it is.
        datagram = signed_by_nobody(part) if part[:1] == b"\x86" else part
        peer.handle_datagram(now, sources[number % 2], datagram)
        _settle(peer, now)
    peer.handle_timer(Now(now.mono_ns + SECOND, now.wall_ms + 1000))
    _settle(peer, now)


def _stream_peer(data: bytes) -> None:
    """A peer to which somebody opens a stream and says what the input says, as fast as it is let. It must not raise."""
    peer = Peer(
        network=_NETWORK, keys=_PEER_ID, storage=MemoryStorage(), rng=Rng(1), entropy=Rng(2).bytes, verifier=accept_all
    )
    now = Now(SECOND, cases.TIME)
    peer.start(now)
    _settle(peer, now)
    peer.handle_stream(now, StreamOpened(1, cases.V4, True))
    granted, over = 0, False
    for _ in range(len(data) + 1):
        for effect in peer.outbox():
            granted += effect.n if isinstance(effect, StreamGrant) else 0
            over = over or isinstance(effect, StreamClose)
        if over or not granted or not data:
            break
        piece, data = data[:granted], data[granted:]
        granted -= len(piece)
        peer.handle_stream(now, StreamData(1, piece))
    if not over:
        peer.handle_stream(now, StreamClosed(1, StreamEnd.RESET))
    assert peer.loop.crashed == []
    assert set(peer.streams.figures().values()) == {0}


def _stream(data: bytes) -> None:
    """A stream after its handshake, given these bytes as plaintext and read to its end. It must not raise."""
    loop = Loop()
    granted = []

    def emit(effect: object) -> None:
        if isinstance(effect, StreamGrant):
            granted.append(effect.n)

    pipe = Pipe(1, cases.V4, loop, emit, lambda _: None)
    secured = Secured(cases.BOB.key, Suite.AESGCM, bytes(32), bytes(32))
    stream = Stream(loop, pipe, secured, incoming=True, window=100, enlarge=lambda _: True, on_over=lambda _: None)
    stream.agreed("/test/1")

    async def read() -> None:
        with contextlib.suppress(StreamEnded):
            while True:
                await stream.receive()

    loop.spawn_root(read(), name="read")
    while data and stream.ended is None:
        piece, data = data[: sum(granted)], data[sum(granted) :]
        granted[:] = [sum(granted) - len(piece)]
        pipe.on_data(piece)
        loop.drain()
    if not pipe.over:
        pipe.on_closed(StreamEnd.RESET)
    loop.drain()
    assert loop.crashed == []
    assert loop.tasks() == ()


def _parts(data: bytes) -> Iterator[bytes]:
    """Pieces with a length of two bytes before each; the last one may be shorter."""
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : end]
        at = end


def _settle(peer: Peer, now: Now) -> None:
    for effect in peer.outbox():
        if isinstance(effect, Commit | Sync):
            peer.handle_done(now, effect.id, Ok())


@message("inner/1", 1)
class Inner:
    """For `typed`: with `Outer` it has a field of every sort."""

    number: int
    maybe: bytes | None = None


@message("outer/1", 1)
class Outer:
    text: str
    flag: bool
    inner: Inner
    many: list[Inner]
    row: tuple[int, str] | None
    tags: tuple[str, ...] = ()


def _typed(data: bytes) -> None:
    """What is read is a value of the class that can be sent again, without what this version does not know."""
    value = decode_message(data, Outer, Inner)
    assert decode_message(encode_message(value), Outer, Inner) == value


def _listing(data: bytes) -> None:
    """Lines `key=value`, as of a TXT record of mDNS. It never raises."""
    txt: dict[bytes, bytes | None] = {}
    for line in data.split(b"\n"):
        name, equals, value = line.partition(b"=")
        txt[name] = value if equals else None
    for network in (cases.PUBLIC, cases.PRIVATE):
        found = Listings(network, cases.BOB.key, Rng(1).bytes).read(txt, (cases.V4,))
        assert found is None or found.key is None or len(found.key) == 32


def _vectors(*prefixes: str) -> tuple[bytes, ...]:
    return tuple(read_vector(name) for name in names() if name.startswith(prefixes or ("",)))


def _payloads() -> tuple[bytes, ...]:
    return tuple(cose.parse1(read_vector(name))[1] for name in cases.MESSAGES)


def _bodies() -> tuple[bytes, ...]:
    kinds, messages = tuple(Kind), [message for message, _ in cases.MESSAGES.values()]
    return tuple(bytes([kinds.index(each.KIND)]) + cbor.encode(each.encode_body()) for each in messages)


def _packed(parts: tuple[bytes, ...]) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


_TICKET_CHECK = b"p2pnode/check/ticket/1"
_TICKET = make_ticket(_NETWORK, cases.ALICE.key, (cases.V4, cases.V6))
_NID = cases.PUBLIC.network_id.hex()[:16].encode()
#: More than int() converts (sys.int_info.default_max_str_digits).
_DIGITS = "1" * 5000
_ID = format_id(bytes(range(32)))

TARGETS: dict[str, Target] = {
    "cbor": Target(bad(_one_encoding), ("overlay.wire.cbor.decode",), (*_payloads(), *_bodies())),
    "cose": Target(
        bad(_cose),
        ("overlay.wire.cose.parse1",),
        _vectors("ping", "store", "object"),
    ),
    "envelope": Target(
        bad(_envelope),
        ("overlay.wire.envelope.peek_envelope", "overlay.wire.envelope.decode_envelope"),
        tuple(read_vector(name) for name in cases.MESSAGES),
    ),
    # The same behind a signature: what is inside is reached with each input.
    "payload": Target(bad(lambda data: _envelope(signed_by_nobody(data[:1000]))), (), _payloads()),
    "body": Target(
        bad(_body),
        ("overlay.wire.decode.decode_body", "overlay.wire.messages.split_packed", "overlay.wire.gossip.decode_gossip",
         "overlay.wire.gossip.decode_gossiped"),
        _bodies(),
    ),
    "record": Target(bad(_record), ("overlay.wire.records.decode_record",), (cases.RECORD,)),
    "record-items": Target(
        bad(lambda data: _record(signed_by_nobody(data))), (), (cose.parse1(cases.RECORD)[1],)
    ),
    "provider": Target(bad(_provider), ("overlay.wire.records.decode_provider",), (cases.PROVIDER,)),
    "provider-items": Target(
        bad(lambda data: _provider(signed_by_nobody(data))), (), (cose.parse1(cases.PROVIDER)[1],)
    ),
    "typed": Target(
        bad(_typed),
        ("overlay.typed.decode_message",),
        (
            encode_message(Outer("text", True, Inner(1), [Inner(2, b"x")], (3, "y"), ("a", "b"))),
            encode_message(Inner(-1)),
            cbor.encode(["inner/1", 1, [1, None, "a field of a later version"]]),
        ),
    ),
    "publication": Target(
        bad(_publication),
        ("overlay.wire.publication.peek_publication", "overlay.wire.publication.decode_publication"),
        (cases.PUBLICATION, cases.ANNOUNCEMENT),
    ),
    "body-message": Target(
        bad(decode_body_message), ("overlay.wire.bodies.decode_body_message",),
        tuple(map(encode_body_message, cases.BODIES.values())),
    ),
    "binding": Target(
        bad(_binding), ("overlay.secure.handshake.decode_binding",),
        (encode_binding(cases.ALICE, _NETWORK, bytes(range(32)), cases.TIME),),
    ),
    "binding-items": Target(
        bad(lambda data: _binding(signed_by_nobody(data[:1000]))), (), (cbor.encode([bytes(range(32)), cases.TIME]),)
    ),
    "preface": Target(
        bad(decode_preface), ("overlay.secure.handshake.decode_preface",), (*map(encode_preface, Suite),)
    ),
    "handshake-length": Target(
        bad(decode_length), ("overlay.secure.handshake.decode_length",), (b"\x00\xfb", b"\x02\x00")
    ),
    "frames": Target(
        bad(_frames), ("overlay.streams.frames.decode_end",),
        (
            encode_frame(Frame.DATA, b"/files/1") + encode_frame(Frame.PING, b""),
            encode_frame(Frame.PONG, b"12345678") + encode_frame(Frame.END, encode_end(End.DONE, "bye")),
            b"\x09\x00\x00\x03abc" + encode_frame(Frame.END, encode_end(End.FAILED, "")),
        ),
    ),
    "stream-peer": Target(
        _stream_peer, ("overlay.peer.Peer.handle_stream",),
        (read_vector("stream-public")[:42], read_vector("stream-public")[:42] + read_vector("stream-public")[295:]),
    ),
    "stream": Target(
        _stream, (),
        (
            encode_frame(Frame.DATA, b"hello") + encode_frame(Frame.PING, b"") + encode_frame(Frame.DATA, bytes(3000)),
            encode_frame(Frame.PONG, b"") + b"\x09\x00\x00\x03abc" + encode_frame(Frame.END, encode_end(End.DONE, "a")),
        ),
    ),
    "publication-items": Target(
        bad(lambda data: _publication(signed_by_nobody(data))), (),
        (cose.parse1(cases.PUBLICATION)[1], cose.parse1(cases.ANNOUNCEMENT)[1]),
    ),
    "sealed": Target(
        bad(lambda data: open_sealed(_SEALING, data)),
        ("overlay.wire.seal.open_sealed",),
        (seal(_SEALING, b"datagram", Rng(1).bytes),),
    ),
    "held": Target(_held, ("overlay.dht.held.decode_held",), (b"\x01" + bytes(82), b"\x02" + bytes(80) + b"\x04abcd")),
    "unpacked-address": Target(
        local(unpack_address), ("overlay.runtime.address.unpack_address",), (cases.V4.packed, cases.V6.packed)
    ),
    "ticket": Target(
        local(lambda data: parse_ticket(as_text(data))), ("overlay.wire.ticket.parse_ticket",), as_utf8(_TICKET)
    ),
    # The same behind its check letters.
    "ticket-items": Target(
        local(lambda data: parse_ticket(f"p2pnode1:{base32.encode(data)}{base32.check_of(_TICKET_CHECK, data)}")),
        (),
        (base32.decode(base32.normalise(_TICKET.partition(":")[2])[:-4]),),
    ),
    "id": Target(local(lambda data: parse_id(as_text(data))), ("overlay.identity.node_id.parse_id",), as_utf8(_ID)),
    "base32": Target(
        local(lambda data: base32.decode(base32.normalise(as_text(data)))),
        ("overlay.identity.base32.decode",),
        as_utf8(_ID[:-5]),
    ),
    "psk": Target(
        local(lambda data: parse_psk(as_text(data))),
        ("overlay.identity.network.parse_psk",),
        as_utf8(format_psk(bytes(range(32)))),
    ),
    "address": Target(
        local(lambda data: parse_address(as_text(data))),
        ("overlay.runtime.address.parse_address",),
        as_utf8("192.0.2.7:4433", "[2001:db8::1]:4433", "[fe80::1%3]:4433", "[::ffff:1.2.3.4]:1", "1.2.3.4:" + _DIGITS),
    ),
    "seed": Target(
        local(lambda data: parse_seed(as_text(data), _NETWORK)),
        ("p2pnode.transport.seeds.parse_seed", "p2pnode.transport.seeds.parse_place"),
        as_utf8(_TICKET, "host.example:4433", f"{_ID}@192.0.2.7:4433", "[::1]:1", "h:" + _DIGITS),
    ),
    "key-file": Target(
        allowing(HomeError, LocalError)(lambda data: keyfile.parse_key(data, name="x")),
        ("p2pnode.keyfile.parse_key",),
        (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
         b"-----END PRIVATE KEY-----\n",),
    ),
    "recorded-value": Target(
        bad(lambda data: plain.unpack(plain.decode(data))),
        ("p2pnode.record.plain.decode", "p2pnode.record.plain.unpack"),
        (cbor.encode(plain.pack({"a": [1, (b"x", None)], "b": 2.5, "c": 1 << 70})),),
    ),
    "msgpack": Target(
        bad(values.decode_msgpack), ("p2pnode.bridge.values.decode_msgpack",), (b"\x81\xa1a\x93\x01\xc0\xc3",)
    ),
    "bridge-record": Target(
        bad(values.decode_record),
        ("p2pnode.bridge.values.decode_record",),
        (values.inline_record(b"\x01"), b"\x02\x00\x00"),
    ),
    "bridge-value": Target(bad(values.unpack_value), ("p2pnode.bridge.values.unpack_value",), (b"\x01", b"\xa1a")),
    "listing": Target(
        _listing, ("p2pnode.transport.listing.Listings.read",), (b"nid=" + _NID + b"\nkey=" + b"ab" * 32, b"n=\nm=")
    ),
    "peer": Target(
        _peer, ("overlay.peer.Peer.handle_datagram",), (*(_packed((p,)) for p in _payloads()), _packed(_payloads()))
    ),
} | chain_targets.TARGETS  # fmt: skip


def readers() -> dict[str, Callable[..., Any]]:
    """By dotted name: what of overlay, p2pnode and the chain promises by its name to read something of a stranger."""
    found: dict[str, Callable[..., Any]] = {}
    for module in _modules():
        for name, function in vars(module).items():
            if inspect.isroutine(function) and READS.match(name) and function.__module__ == module.__name__:
                found[f"{module.__name__}.{name}"] = function
    return found


def _modules() -> Iterator[ModuleType]:
    for package in (overlay, p2pnode, apps.chain.core):
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)
