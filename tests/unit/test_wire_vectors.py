"""The golden vectors, both ways: bytes to values and values to bytes."""

from __future__ import annotations

import hashlib

import pytest

from apps.files.core.header import check_header, peek_header
from apps.files.core.merkle import hash_unit, proves
from apps.files.core.posting import decode_posting
from overlay.identity.keys import verify
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.wire import cbor
from overlay.wire.bodies import decode_body_message, encode_body_message
from overlay.wire.decode import decode_body
from overlay.wire.envelope import decode_envelope
from overlay.wire.publication import decode_publication, message_id, topic_key
from overlay.wire.records import blob_key, decode_provider, decode_record
from overlay.wire.registry import Kind
from overlay.wire.seal import open_sealed
from overlay.wire.ticket import parse_ticket
from tests.vectors import cases as c
from tests.vectors.make import datagram, peers_of, vectors
from tests.vectors.text import FOLDER, names, read_vector


@pytest.mark.parametrize("name", c.MESSAGES)
def test_a_message_is_what_its_vector_says(name: str) -> None:
    message, padded = c.MESSAGES[name]
    signer, to = peers_of(message)
    data = read_vector(name)

    envelope = decode_envelope(data, c.PUBLIC, verify)
    assert (envelope.key, envelope.kind, envelope.request_id) == (signer.key, message.KIND, c.REQUEST_ID)
    assert (envelope.stamp, envelope.to) == (c.TIME, to)
    assert envelope.token == (None if padded or message.KIND.is_reply else c.TOKEN)
    decoded = decode_body(message.KIND, envelope.body)
    assert decoded.encode_body()[: len(message.encode_body())] == message.encode_body()
    assert padded or decoded == message


@pytest.mark.parametrize("name", c.MESSAGES)
def test_a_message_is_written_as_its_vector_says(name: str) -> None:
    assert datagram(*c.MESSAGES[name]).hex() == read_vector(name).hex()


def test_every_kind_in_use_has_a_vector() -> None:
    used = {kind for kind in Kind if kind.replies or kind.is_reply or kind is Kind.LEAVE}

    assert {message.KIND for message, _ in c.MESSAGES.values()} == used


@pytest.mark.parametrize("name", sorted(vectors()))
def test_commentary_and_bytes_are_what_this_version_writes(name: str) -> None:
    assert (FOLDER / f"{name}.txt").read_text() == vectors()[name]


def test_there_is_no_file_without_a_case() -> None:
    assert names() == sorted(vectors())


def test_signed_objects() -> None:
    record = decode_record(read_vector("object-record"), c.PUBLIC, verify)
    provider = decode_provider(read_vector("object-provider"), c.PUBLIC, verify)

    assert (record.author, record.salt, record.value) == (c.ALICE.key, b"greeting", b"hello")
    assert (record.seq, record.expires_ms) == (c.TIME, c.TIME + c.DAY)
    assert (provider.provider, provider.key) == (c.ALICE.key, blob_key(c.BLOB))
    assert (provider.seq, provider.expires_ms) == (c.TIME, c.TIME + c.DAY)


def test_a_message_of_a_topic() -> None:
    publication = decode_publication(read_vector("object-publication"), c.PUBLIC, verify)

    assert (publication.author, publication.topic) == (c.ALICE.key, "chat")
    assert (publication.seq, publication.body) == (c.TIME, b"hello, all")
    assert topic_key("chat") == hashlib.sha256(b"p2pnode/topic/1chat").digest()
    assert message_id(publication.raw) == hashlib.sha256(b"p2pnode/publish/1" + publication.raw).digest()[:16]


def test_the_header_of_a_unit() -> None:
    raw = read_vector("object-chunk")
    data = b"w" * 2**18 + b"xxx"

    key, header = peek_header(raw)
    check_header(raw, c.PUBLIC, verify)
    assert key == c.ALICE.key
    assert header.node == hash_unit(b"xxx", 4)
    assert (header.length, header.height, header.index) == (len(data), 4, 1)
    assert proves(header.root, len(data), 4, 1, header.node, [hash_unit(data[: 2**18], 4)])


def test_a_message_whose_body_goes_by_stream() -> None:
    publication = decode_publication(read_vector("object-announcement"), c.PUBLIC, verify)

    assert (publication.author, publication.topic, publication.body) == (c.ALICE.key, "chat", b"")
    assert (publication.seq, publication.size) == (c.TIME + 1, len(c.LARGE_BODY))
    assert publication.digest == hashlib.sha256(b"p2pnode/body/1" + c.LARGE_BODY).digest()


@pytest.mark.parametrize("name", c.BODIES)
def test_what_is_said_of_a_body_is_what_its_vector_says(name: str) -> None:
    assert decode_body_message(read_vector(name)) == c.BODIES[name]
    assert encode_body_message(c.BODIES[name]) == read_vector(name)


def test_a_posting() -> None:
    posting = decode_posting(read_vector("object-posting"), c.PUBLIC, verify)

    assert (posting.author, posting.share, posting.name) == (c.ALICE.key, bytes(range(32)), "Red Moon.mkv")
    assert (posting.size, posting.files, posting.tags) == (734_003_200, 1, ("film", "Luna"))
    assert posting.expires_ms == c.TIME + 7_200_000


def test_identity() -> None:
    key, node_id = read_vector("identity")[:32], read_vector("identity")[32:]

    assert key == c.ALICE.key
    assert node_id == node_id_of(key)


@pytest.mark.parametrize(("name", "network"), [("network-public", c.PUBLIC), ("network-private", c.PRIVATE)])
def test_networks(name: str, network: Network) -> None:
    data = read_vector(name)

    assert cbor.decode(data)[1:4] == [network.name, network.puzzle_bits, dict(network.params)]
    assert hashlib.sha256(data).digest() == network.network_id


def test_a_sealed_datagram() -> None:
    assert c.PRIVATE.sealing_key is not None
    plain = open_sealed(c.PRIVATE.sealing_key, read_vector("sealed-leave"))

    envelope = decode_envelope(plain, c.PRIVATE, verify)
    assert (envelope.kind, envelope.key) == (Kind.LEAVE, c.ALICE.key)


def test_the_ticket() -> None:
    name, bits, private, key, packed = cbor.decode(read_vector("object-ticket"))
    line = (FOLDER / "object-ticket.txt").read_text().splitlines()[1].removeprefix("# ")

    ticket = parse_ticket(line)
    assert (ticket.network, ticket.puzzle_bits, ticket.private, ticket.key) == (name, bits, private, key)
    assert [address.packed for address in ticket.addresses] == packed
    assert ticket.addresses == (c.V4, c.V6)
