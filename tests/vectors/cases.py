"""What the vectors hold, as values: one case per kind of message and inner object.

A vector that changes is a new protocol. `python -m tests.vectors.make` writes missing files and
says which existing ones differ; it overwrites nothing.
"""

from __future__ import annotations

from apps.files.core import merkle
from apps.files.core.header import Header, encode_header
from apps.files.core.posting import encode_posting
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.runtime.address import parse_address
from overlay.secure.handshake import encode_binding
from overlay.secure.noise import public_of
from overlay.wire import bodies as b
from overlay.wire import gossip as g
from overlay.wire import messages as m
from overlay.wire.publication import body_digest, encode_publication, message_id, topic_key
from overlay.wire.records import blob_key, encode_provider, encode_record
from overlay.wire.registry import BodyRefusal

#: Two peers; their seeds are the bytes 00..1f and 20..3f.
ALICE = KeyPair.from_seed(bytes(range(32)))
BOB = KeyPair.from_seed(bytes(range(32, 64)))

PUBLIC = Network.default()
#: Its key is the bytes 40..5f.
PRIVATE = Network("home", puzzle_bits=8, params=(("beacon", "none"), ("block_s", 60)), psk=bytes(range(64, 96)))

#: 2026-01-01T00:00:00Z in ms: stamp, seq; records end a day later.
TIME = 1_767_225_600_000
DAY = 86_400_000
REQUEST_ID = bytes.fromhex("0102030405060708")
#: The token that Bob gave to Alice; requests carry it unless they are padded.
TOKEN = bytes.fromhex("a0a1a2a3a4a5a6a7")
CURSOR = bytes.fromhex("c0c1c2c3c4c5c6c7")
#: The nonce of the sealed datagram.
NONCE = bytes(range(96, 120))
TO = node_id_of(BOB.key)[:8]

V4 = parse_address("192.0.2.7:4433")
V6 = parse_address("[2001:db8::7]:4433")

BLOB = b"hello, network"
RECORD = encode_record(ALICE, PUBLIC, b"greeting", TIME, TIME + DAY, b"hello")
PROVIDER = encode_provider(ALICE, PUBLIC, blob_key(BLOB), TIME, TIME + DAY)
#: Of topic "chat".
POSTING = encode_posting(
    ALICE, PUBLIC, share=bytes(range(32)), name="Red Moon.mkv", size=734_003_200, files=1, tags=("film", "Luna"),
    expires_ms=TIME + 7_200_000,
)  # fmt: skip
PUBLICATION = encode_publication(ALICE, PUBLIC, "chat", TIME, b"hello, all")
#: Of the same topic, a body of 1,000 bytes that goes by stream.
LARGE_BODY = bytes(range(250)) * 4
ANNOUNCEMENT = encode_publication(ALICE, PUBLIC, "chat", TIME + 1, LARGE_BODY)
TOPIC = topic_key("chat")
#: Of the X25519 key whose private half is 32 times a1.
BINDING = encode_binding(ALICE, PUBLIC, public_of(bytes([0xA1]) * 32), TIME + DAY)

#: Of the second unit, all x, of a file of 256 KiB of w and 3 bytes of x.
WXXX_ROOT = merkle.root_of_layer(
    (WXXX_UNITS := merkle.hash_unit(b"w" * 2**18, 4) + merkle.hash_unit(b"xxx", 4)), 2**18 + 3, 4
)
CHUNK = encode_header(ALICE, PUBLIC, Header(WXXX_ROOT, 2**18 + 3, 4, 1, WXXX_UNITS[32:]))

#: name -> (message, it goes without token and is padded to its size).
MESSAGES: dict[str, tuple[m.Message, bool]] = {
    "ping": (m.Ping(), False),
    "ping-padded": (m.Ping(), True),
    "pong": (m.Pong(TOKEN, V4.packed, m.Role.FULL), False),
    "retry": (m.Retry(TOKEN), False),
    "find-node": (m.FindNode(node_id_of(ALICE.key), m.V4 | m.V6), False),
    "find-node-padded": (m.FindNode(node_id_of(ALICE.key), m.V4 | m.V6), True),
    "nodes": (m.Nodes(TOKEN, m.Role.FULL, ALICE.key + V4.packed, ALICE.key + V6.packed), False),
    "find-value": (m.FindValue(blob_key(BLOB), m.V4), False),
    "value-blob": (m.Value(TOKEN, m.RecordType.BLOB, BLOB, 3600), False),
    "value-signed": (m.Value(TOKEN, m.RecordType.SIGNED, RECORD, 3600), False),
    "store-blob": (m.Store(m.RecordType.BLOB, BLOB, 86_400), False),
    "store-signed": (m.Store(m.RecordType.SIGNED, RECORD, 86_400, cas=TIME - 1), False),
    "stored": (m.Stored(m.StoreStatus.CAS_MISMATCH, seq=TIME), False),
    "provide": (m.Provide(blob_key(BLOB), PROVIDER), False),
    "find-providers": (m.FindProviders(blob_key(BLOB), after=CURSOR), False),
    "providers": (m.Providers(TOKEN, ((PROVIDER, V4.packed),), next=CURSOR), False),
    "app-request": (m.AppRequest("chat", b"hello, Bob"), False),
    "app-reply": (m.AppReply(m.AppStatus.OK, body=b"hello, Alice"), False),
    "dialback": (m.DialBack(), False),
    "dialback-address": (m.DialBack(address=V6.packed), False),
    "find-keys": (m.FindKeys(node_id_of(ALICE.key), 12), False),
    "keys": (m.Keys(TOKEN, bytes(range(32)) + blob_key(BLOB)), False),
    "leave": (m.Leave(), False),
    "gossip-publish": (g.Publish(PUBLICATION), False),
    "gossip-graft": (g.Graft(TOPIC), False),
    "gossip-prune": (
        g.Prune(TOPIC, m.GossipStatus.KNOWN, 60, ALICE.key + V4.packed, ALICE.key + V6.packed), False,
    ),
    "gossip-have": (g.Have(TOPIC, m.GossipStatus.MESH, message_id(PUBLICATION)), False),
    "gossip-announce": (g.Publish(ANNOUNCEMENT), False),
    "gossip-call": (g.Call(TOPIC, message_id(ANNOUNCEMENT)), False),
    "gossiped": (
        g.Gossiped(TOKEN, m.GossipStatus.KNOWN, 60, message_id(PUBLICATION), ALICE.key + V4.packed, b""), False,
    ),
}  # fmt: skip

#: What is said on a stream of gossip.
BODIES: dict[str, b.Ask | b.Part | b.No] = {
    "body-ask": b.Ask(1, body_digest(LARGE_BODY)),
    "body-part": b.Part(1, LARGE_BODY),
    "body-no": b.No(1, BodyRefusal.NOT_NOW),
}
