"""Every message, record and ticket under any damage: only BadMessage, or the very same message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network
from overlay.runtime.address import Address
from overlay.wire import cbor, cose
from overlay.wire import gossip as g
from overlay.wire import messages as m
from overlay.wire.decode import decode_body
from overlay.wire.envelope import Envelope, decode_envelope, encode_envelope, peek_envelope
from overlay.wire.records import (
    ProviderRecord,
    SignedRecord,
    decode_provider,
    decode_record,
    encode_provider,
    encode_record,
)
from overlay.wire.registry import Kind
from overlay.wire.seal import open_sealed, seal
from overlay.wire.ticket import Ticket, make_ticket, parse_ticket
from tests.support.dht import named_in

PAIR = KeyPair.from_seed(bytes(range(32)))
NETWORK = Network.default()


def fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


U64 = st.integers(0, (1 << 64) - 1)
EIGHT, KEY = fixed(8), fixed(32)
ADDRESS = fixed(6) | fixed(18)
PADDING = st.none() | st.binary(max_size=100)
INNER = st.binary(max_size=1000)
TTL = st.integers(0, 86_400)
CONTACTS = st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(lambda n: sum(n) <= 20)


def _nodes(token: bytes, role: m.Role, counts: tuple[int, int], fill: bytes) -> m.Nodes:
    v4, v6 = 38 * counts[0], 50 * counts[1]
    return m.Nodes(token, role, (fill * v4)[:v4], (fill * v6)[:v6])


ROLES = st.sampled_from(m.Role)
TYPED = st.tuples(st.just(1), st.binary(max_size=832)) | st.tuples(st.just(2), INNER)
STANDING = st.sampled_from(m.GossipStatus)
IDS = st.integers(0, 60).flatmap(lambda n: fixed(16 * n))
BACKOFF = st.integers(0, 3600)
FEW = st.tuples(st.integers(0, 4).map(lambda n: bytes(38 * n)), st.integers(0, 4).map(lambda n: bytes(50 * n)))
GOSSIP = st.one_of(
    st.builds(g.Publish, st.binary(max_size=1030)),
    st.builds(g.Graft, KEY),
    st.builds(lambda key, status, wait, few: g.Prune(key, status, wait, *few), KEY, STANDING, BACKOFF, FEW),
    st.builds(g.Have, KEY, STANDING, IDS),
    st.builds(g.Call, KEY, fixed(16)),
)
# Contacts answer a GRAFT, ids a HAVE: never both.
GOSSIPED = st.one_of(
    st.builds(
        lambda token, status, wait, few: g.Gossiped(token, status, wait, b"", *few), EIGHT, STANDING, BACKOFF, FEW
    ),
    st.builds(lambda token, status, ids: g.Gossiped(token, status, 0, ids, b"", b""), EIGHT, STANDING, IDS),
)
BY_KIND: dict[Kind, st.SearchStrategy[m.Message]] = {
    Kind.PING: st.builds(m.Ping, padding=PADDING),
    Kind.PONG: st.builds(m.Pong, EIGHT, ADDRESS, ROLES),
    Kind.RETRY: st.builds(m.Retry, EIGHT),
    Kind.FIND_NODE: st.builds(m.FindNode, KEY, st.integers(1, 3), padding=PADDING),
    Kind.NODES: st.builds(_nodes, EIGHT, ROLES, CONTACTS, st.binary(min_size=1, max_size=50)),
    Kind.FIND_VALUE: st.builds(m.FindValue, KEY, st.integers(1, 3), padding=PADDING),
    Kind.VALUE: st.builds(lambda token, typed, ttl_s: m.Value(token, *typed, ttl_s), EIGHT, TYPED, TTL),
    Kind.STORE: st.builds(lambda typed, ttl_s, cas: m.Store(*typed, ttl_s, cas=cas), TYPED, TTL, st.none() | U64),
    Kind.STORED: st.builds(m.Stored, st.sampled_from(m.StoreStatus), seq=st.none() | U64),
    Kind.PROVIDE: st.builds(m.Provide, KEY, st.binary(max_size=900)),
    Kind.FIND_PROVIDERS: st.builds(m.FindProviders, KEY, after=st.none() | EIGHT, padding=PADDING),
    Kind.PROVIDERS: st.builds(
        lambda token, providers, cursor: m.Providers(token, tuple(providers), next=cursor),
        EIGHT,
        st.lists(st.tuples(st.binary(max_size=164), ADDRESS), max_size=5),
        st.none() | EIGHT,
    ),
    Kind.APP_REQUEST: st.builds(
        m.AppRequest, st.text("abcdefghij-0123456789", min_size=1, max_size=32), st.binary(max_size=900)
    ),
    Kind.APP_REPLY: st.builds(m.AppReply, st.sampled_from(m.AppStatus), body=st.binary(max_size=900)),
    Kind.DIALBACK: st.builds(m.DialBack, address=st.none() | ADDRESS),
    Kind.FIND_KEYS: st.builds(
        m.FindKeys, KEY, st.integers(0, 256), after=st.none() | KEY, padding=PADDING
    ),
    Kind.KEYS: st.builds(m.Keys, EIGHT, st.integers(0, 32).flatmap(lambda n: fixed(32 * n))),
    Kind.LEAVE: st.just(m.Leave()),
    Kind.GOSSIP: GOSSIP,
    Kind.GOSSIPED: GOSSIPED,
}  # fmt: skip
MESSAGES = st.one_of(*BY_KIND.values())
ENVELOPES = st.builds(
    lambda message, request_id, stamp, to, token: Envelope(
        PAIR.key, message.KIND, request_id, stamp, to, token, message.encode_body()
    ),
    MESSAGES,
    EIGHT,
    U64,
    st.none() | EIGHT,
    st.none() | EIGHT,
)


def encode(e: Envelope) -> bytes:
    assert e.kind is not None
    return encode_envelope(PAIR, NETWORK, e.kind, e.request_id, e.stamp, e.to, e.token, e.body)


def test_every_kind_in_use_is_tried() -> None:
    assert set(BY_KIND) == {kind for kind in Kind if kind.replies or kind.is_reply or kind is Kind.LEAVE}


@given(ENVELOPES)
def test_an_envelope_and_its_message_are_read_back(envelope: Envelope) -> None:
    decoded = decode_envelope(encode(envelope), NETWORK, verify)

    assert decoded == envelope
    assert decoded.kind is not None
    message = decode_body(decoded.kind, decoded.body)
    assert message.encode_body() == envelope.body
    assert message.KIND is envelope.kind


@given(MESSAGES, st.lists(st.integers() | st.binary(max_size=4), min_size=1, max_size=3))
def test_trailing_items_do_not_change_a_message(message: m.Message, trailing: list[Any]) -> None:
    if getattr(message, "padding", b"") is None:
        trailing = [b"", *trailing]
        message = decode_body(message.KIND, [*message.encode_body(), b""])

    assert decode_body(message.KIND, [*message.encode_body(), *trailing]) == message


def accept_all(key: bytes, data: bytes, signature: bytes) -> bool:
    return True


@given(ENVELOPES, st.data())
def test_a_damaged_datagram_is_a_bad_message(envelope: Envelope, data: st.DataObject) -> None:
    good = encode(envelope)
    damaged = damage(good, data)

    if damaged != good:
        with pytest.raises(BadMessage):
            decode_envelope(damaged, NETWORK, verify)


@given(ENVELOPES, st.data())
def test_what_a_hostile_peer_signs_is_a_message_in_its_one_form_or_bad(envelope: Envelope, data: st.DataObject) -> None:
    """Damage under a valid signature: the payload is changed and then signed."""
    _, payload = cose.parse1(encode(envelope))
    changed = damage(payload, data)
    signed = cose.sign1(PAIR, b"", changed)
    try:
        read = peek_envelope(signed)
        message = decode_body(read.kind, read.body) if read.kind else None
    except BadMessage:
        return
    number = cbor.decode(changed)[0]
    assert cbor.encode([number, read.request_id, read.stamp, read.to, read.token, read.body]) == changed
    if message is not None:
        body = message.encode_body()
        assert read.body[: len(body)] == body
        assert decode_body(message.KIND, body) == message


def damage(good: bytes, data: st.DataObject) -> bytes:
    """Bytes replaced, dropped, inserted or cut off."""
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    return bytes(changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.booleans()) else changed)


@given(st.binary(max_size=1300))
@example(b"")
@example(bytes.fromhex("d2845826a2013204 5820") + bytes(33))
def test_any_bytes_are_a_bad_message(data: bytes) -> None:
    """No hypothesis run finds a signature, so the decoders behind an accepting verifier are tried too."""
    for decode in (decode_envelope, decode_record, decode_provider):
        with pytest.raises(BadMessage):
            decode(data, NETWORK, accept_all)
    with pytest.raises(BadMessage):
        open_sealed(bytes(32), data)


ITEMS = st.recursive(
    st.none() | st.booleans() | U64 | st.binary(max_size=50) | st.text(max_size=5) | EIGHT | KEY | ADDRESS,
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(Kind), st.lists(ITEMS, max_size=5))
def test_any_body_is_a_message_or_bad(kind: Kind, body: list[Any]) -> None:
    try:
        message = decode_body(kind, body)
    except BadMessage:
        return
    assert message.KIND is kind
    assert decode_body(kind, message.encode_body()) == message


@given(st.integers(0, 20).flatmap(lambda n: fixed(38 * n)), st.integers(0, 20).flatmap(lambda n: fixed(50 * n)))
def test_every_packed_contact_is_yielded(v4: bytes, v6: bytes) -> None:
    contacts = named_in(v4, v6)

    assert [key for key, _ in contacts] == [
        packed[at : at + 32] for packed, size in ((v4, 38), (v6, 50)) for at in range(0, len(packed), size)
    ]


@given(st.binary(max_size=32), U64, U64, st.binary(max_size=832))
def test_a_record_is_read_back(salt: bytes, seq: int, expires_ms: int, value: bytes) -> None:
    raw = encode_record(PAIR, NETWORK, salt, seq, expires_ms, value)

    assert decode_record(raw, NETWORK, verify) == SignedRecord(PAIR.key, salt, seq, expires_ms, value, raw)


@given(KEY, U64, U64)
def test_a_provider_is_read_back(key: bytes, seq: int, expires_ms: int) -> None:
    raw = encode_provider(PAIR, NETWORK, key, seq, expires_ms)

    assert decode_provider(raw, NETWORK, verify) == ProviderRecord(PAIR.key, key, seq, expires_ms, raw)


@given(st.data())
def test_a_damaged_record_is_a_bad_message(data: st.DataObject) -> None:
    good = encode_record(PAIR, NETWORK, b"salt", 5, 6, b"value")
    damaged = damage(good, data)

    if damaged != good:
        with pytest.raises(BadMessage):
            decode_record(damaged, NETWORK, verify)


@given(fixed(32), st.binary(max_size=1192), fixed(24))
def test_a_sealed_datagram_is_read_back(key: bytes, plain: bytes, nonce: bytes) -> None:
    assert open_sealed(key, seal(key, plain, lambda _: nonce)) == plain


ADDRESSES = st.builds(Address, fixed(4), st.integers(0, 65_535)) | st.builds(
    Address, fixed(16).filter(lambda ip: ip[:12] != bytes(10) + b"\xff\xff"), st.integers(0, 65_535)
)


@given(st.integers(0, 32), st.none() | KEY, st.lists(ADDRESSES, max_size=8))
def test_a_ticket_is_read_back(bits: int, psk: bytes | None, addresses: list[Address]) -> None:
    network = Network("home", puzzle_bits=bits, psk=psk)
    text = make_ticket(network, PAIR.key, tuple(addresses))

    assert parse_ticket(text) == Ticket("home", bits, psk is not None, PAIR.key, tuple(addresses))


@given(st.text(max_size=200) | st.text("0123456789abcdefghjkmnpqrstvwxyz", max_size=200))
def test_any_text_is_a_ticket_or_a_local_error(text: str) -> None:
    with pytest.raises(LocalError):
        parse_ticket(f"p2pnode1:{text}")
