"""Bodies: what each kind accepts, and what makes it a bad message."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.errors import BadMessage
from overlay.runtime.address import parse_address
from overlay.wire import gossip as g
from overlay.wire import messages as m
from overlay.wire.decode import decode_body
from overlay.wire.registry import Kind
from tests.support.dht import named_in

T = bytes(8)
KEY = bytes(range(32))
V4 = parse_address("192.0.2.7:4433")
V6 = parse_address("[2001:db8::7]:4433")

BAD: list[tuple[Kind, list[Any]]] = [
    (Kind.PING, ["padding"]),
    (Kind.PONG, [T, V4.packed]),
    (Kind.PONG, [T, V4.packed, 3]),
    (Kind.PONG, [T, V4.packed, -1]),
    (Kind.PONG, [T, V4.packed, True]),
    (Kind.PONG, [T, V4.packed + b"x", 1]),
    (Kind.PONG, [T[:7], V4.packed, 1]),
    (Kind.RETRY, []),
    (Kind.RETRY, [None]),
    (Kind.FIND_NODE, [KEY]),
    (Kind.FIND_NODE, [KEY[:31], 1]),
    (Kind.FIND_NODE, [KEY, 0]),
    (Kind.FIND_NODE, [KEY, 4]),
    (Kind.FIND_NODE, [KEY, 1, 0]),
    (Kind.NODES, [T, 1, bytes(37), b""]),
    (Kind.NODES, [T, 1, b"", bytes(51)]),
    (Kind.NODES, [T, 1, bytes(38 * 21), b""]),
    (Kind.NODES, [T, 1, bytes(38 * 10), bytes(50 * 11)]),
    (Kind.NODES, [T, 1, [], b""]),
    (Kind.NODES, [T, 1, b""]),
    (Kind.FIND_VALUE, ["key", 1]),
    (Kind.VALUE, [T, 0, b"", 1]),
    (Kind.VALUE, [T, 3, b"", 1]),
    (Kind.VALUE, [T, 1, bytes(833), 1]),
    (Kind.VALUE, [T, 2, bytes(1001), 1]),
    (Kind.VALUE, [T, 1, b"", -1]),
    (Kind.VALUE, [T, 1, b"", 86_401]),
    (Kind.STORE, [1, b"", 1]),
    (Kind.STORE, [1, "text", 1, None]),
    (Kind.STORE, [1, b"", 86_401, None]),
    (Kind.STORE, [1, b"", 1, -1]),
    (Kind.STORED, [5, None]),
    (Kind.STORED, [0, b""]),
    (Kind.STORED, [0]),
    (Kind.PROVIDE, [KEY, bytes(1001)]),
    (Kind.PROVIDE, [None, b""]),
    (Kind.FIND_PROVIDERS, [KEY, bytes(9)]),
    (Kind.FIND_PROVIDERS, [KEY]),
    (Kind.PROVIDERS, [T, [[b"", V4.packed]] * 6, None]),
    (Kind.PROVIDERS, [T, [[b"", b"short"]], None]),
    (Kind.PROVIDERS, [T, [[b""]], None]),
    (Kind.PROVIDERS, [T, [b""], None]),
    (Kind.PROVIDERS, [T, b"", None]),
    (Kind.PROVIDERS, [T, [], 0]),
    (Kind.APP_REQUEST, ["", b""]),
    (Kind.APP_REQUEST, ["x" * 33, b""]),
    (Kind.APP_REQUEST, ["é" * 17, b""]),
    (Kind.APP_REQUEST, ["x", bytes(901)]),
    (Kind.APP_REQUEST, [b"x", b""]),
    (Kind.APP_REPLY, [4, b""]),
    (Kind.APP_REPLY, [0, None]),
    (Kind.DIALBACK, []),
    (Kind.DIALBACK, [bytes(7)]),
    (Kind.DIALBACK, ["192.0.2.7:4433"]),
    (Kind.FIND_KEYS, [KEY, 257, None]),
    (Kind.FIND_KEYS, [KEY, 0, bytes(8)]),
    (Kind.FIND_KEYS, [KEY, 0]),
    (Kind.KEYS, [T, bytes(33)]),
    (Kind.KEYS, [T, bytes(32 * 33)]),
    (Kind.KEYS, [T]),
    (Kind.GOSSIP, []),
    (Kind.GOSSIP, [1]),
    (Kind.GOSSIP, [0, b""]),
    (Kind.GOSSIP, [5, KEY]),
    (Kind.GOSSIP, [5, KEY, bytes(15)]),
    (Kind.GOSSIP, [5, KEY, "text of 16 bytes"]),
    (Kind.GOSSIP, [6, KEY, bytes(16)]),
    (Kind.GOSSIP, [True, b""]),
    (Kind.GOSSIP, [1, "text"]),
    (Kind.GOSSIP, [2, bytes(31)]),
    (Kind.GOSSIP, [3, KEY, 1, 60, b""]),
    (Kind.GOSSIP, [3, KEY, 1, 3601, b"", b""]),
    (Kind.GOSSIP, [3, KEY, 1, 60, bytes(37), b""]),
    (Kind.GOSSIP, [3, KEY, 1, 60, bytes(38 * 5), bytes(50 * 4)]),
    (Kind.GOSSIP, [4, KEY, 0]),
    (Kind.GOSSIP, [4, KEY, 3, b""]),
    (Kind.GOSSIP, [4, KEY, 0, bytes(15)]),
    (Kind.GOSSIP, [4, KEY, 0, bytes(16 * 61)]),
    (Kind.GOSSIPED, [T, 0, 0, b"", b""]),
    (Kind.GOSSIPED, [T, 0, 0, bytes(17), b"", b""]),
    (Kind.GOSSIPED, [T, 0, -1, b"", b"", b""]),
    (Kind.GOSSIPED, [bytes(7), 0, 0, b"", b"", b""]),
    (Kind.EVIDENCE, [1]),
]


@pytest.mark.parametrize(("kind", "body"), BAD)
def test_a_body_that_breaks_a_rule_is_refused(kind: Kind, body: list[Any]) -> None:
    with pytest.raises(BadMessage):
        decode_body(kind, body)


GOOD: list[m.Message] = [
    m.Ping(),
    m.Pong(T, V6.packed, m.Role.SUPER),
    m.Retry(T),
    m.FindNode(KEY, m.V4 | m.V6),
    m.Nodes(T, m.Role.CLIENT, bytes(38 * 10), bytes(50 * 10)),
    m.FindValue(KEY, m.V6),
    m.Value(T, m.RecordType.BLOB, bytes(832), 86_400),
    m.Store(m.RecordType.SIGNED, bytes(1000), 0, cas=0),
    m.Stored(m.StoreStatus.QUOTA),
    m.Provide(KEY, b""),
    m.FindProviders(KEY),
    m.Providers(T, ((b"a", V4.packed), (b"b", V6.packed))),
    m.AppRequest("é" * 16, bytes(900)),
    m.AppReply(m.AppStatus.REFUSED),
    m.DialBack(),
    m.FindKeys(KEY, 256, after=KEY),
    m.Keys(T, KEY * 32),
    m.Leave(),
    g.Publish(b"signed"),
    g.Graft(KEY),
    g.Prune(KEY, m.GossipStatus.STRANGER, 0, bytes(38 * 4), bytes(50 * 4)),
    g.Have(KEY, m.GossipStatus.MESH, bytes(16 * 60)),
    m.Gossiped(T, m.GossipStatus.KNOWN, 3600, bytes(16 * 60), b"", b""),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda message: message.KIND.name)
def test_what_a_later_version_appends_is_ignored(message: m.Message) -> None:
    body = message.encode_body()
    if hasattr(message, "padding"):
        assert decode_body(message.KIND, [*body, b"pad"]).encode_body() == [*body, b"pad"]
        body = [*body, b"pad"]

    assert decode_body(message.KIND, [*body, 1, ["later"]]).encode_body() == body


def test_numbers_become_members_of_their_enums() -> None:
    stored = decode_body(Kind.STORED, [0, None])
    pong = decode_body(Kind.PONG, [T, V4.packed, 1])

    assert isinstance(stored, m.Stored)
    assert stored.status is m.StoreStatus.STORED
    assert isinstance(pong, m.Pong)
    assert pong.role is m.Role.FULL


def test_contacts_are_read_in_order_and_none_is_skipped() -> None:
    nowhere = parse_address("0.0.0.0:0")
    v4 = KEY + V4.packed + KEY[::-1] + nowhere.packed
    v6 = KEY + V6.packed

    assert named_in(v4, v6) == [(KEY, V4), (KEY[::-1], nowhere), (KEY, V6)]


def test_a_mapped_address_comes_out_as_ipv4() -> None:
    mapped = bytes(10) + b"\xff\xff" + V4.packed

    assert named_in(b"", KEY + mapped) == [(KEY, V4)]


def test_every_kind_is_reserved_or_has_a_body() -> None:
    bodies = {message.KIND for message in GOOD}

    assert {kind.name for kind in Kind if kind not in bodies} == {"BEACON", "WITNESS", "CONNECT", "EVIDENCE"}


def test_what_acts_needs_a_token_and_is_a_request() -> None:
    acts = {kind for kind in Kind if kind.acts}

    assert acts == {Kind.STORE, Kind.PROVIDE, Kind.APP_REQUEST}
    assert all(kind.needs_token and kind.replies for kind in acts)


def test_a_reply_answers_something_and_is_no_request() -> None:
    for kind in Kind:
        answered = [asked for asked in Kind if kind in asked.replies]
        assert kind.is_reply == bool(answered)
        assert not (kind.is_reply and kind.replies)
        assert not kind.replies or Kind.RETRY in kind.replies
