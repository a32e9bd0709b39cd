"""The trace hash: whatever decides something moves it, and nothing that a codec does differently."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from overlay.events import AppEvent, GossipDelivered, LookupEnded, LookupStep, Started
from overlay.identity.keys import KeyPair, Signer
from overlay.identity.network import Network
from overlay.runtime.address import Address
from overlay.runtime.ports import Failed, Ok, StreamData, StreamSent
from overlay.wire.codec import WIRE
from overlay.wire.publication import encode_publication
from overlay.wire.records import encode_provider, encode_record
from overlay.wire.registry import Kind
from simulations.fake_keys import FakeKeyPair
from simulations.tracing import Trace, plain, unsigned

REALM = Network("swarm")
REAL = KeyPair.from_seed(bytes(32))
KEYS: tuple[Signer, Signer] = (REAL, FakeKeyPair(REAL.key))
AT = Address(bytes((20, 0, 0, 7)), 4433)


class Colour(enum.Enum):
    RED = 1


def _hash(feed: Callable[[Trace], object] = lambda trace: None) -> str:
    trace = Trace()
    trace.input(5, 1, "handle_network", ((),))
    feed(trace)
    return trace.hexdigest()


#: No two of these are one course.
COURSES: tuple[Callable[[Trace], object], ...] = (
    lambda trace: None,
    lambda trace: trace.input(6, 1, "handle_timer", ()),
    lambda trace: trace.input(7, 1, "handle_timer", ()),
    lambda trace: trace.input(6, 2, "handle_timer", ()),
    lambda trace: trace.input(6, 1, "start", ()),
    lambda trace: trace.input(6, 1, "handle_cancel", (1,)),
    lambda trace: trace.input(6, 1, "handle_command", (1, "app", {"word": "alpha"})),
    lambda trace: trace.input(6, 1, "handle_command", (1, "app", {"word": "bravo"})),
    lambda trace: trace.input(6, 1, "handle_done", (1, Ok())),
    lambda trace: trace.input(6, 1, "handle_done", (2, Ok())),
    lambda trace: trace.input(6, 1, "handle_done", (1, Ok("alpha"))),
    lambda trace: trace.input(6, 1, "handle_done", (1, Ok("bravo"))),
    lambda trace: trace.input(6, 1, "handle_done", (1, Ok(bytes(1000)))),
    lambda trace: trace.input(6, 1, "handle_done", (1, Ok(bytes(999) + b"x"))),
    lambda trace: trace.input(6, 1, "handle_done", (1, Failed("failed", "x"))),
    lambda trace: trace.input(6, 1, "handle_stream", (StreamData(1, b"abc"),)),
    lambda trace: trace.input(6, 1, "handle_stream", (StreamData(1, b"abcd"),)),
    lambda trace: trace.input(6, 1, "handle_stream", (StreamSent(1, 3),)),
    lambda trace: trace.input(6, 1, "handle_datagram", (AT, b"abc")),
    lambda trace: trace.input(6, 1, "handle_datagram", (AT, b"abd")),
    lambda trace: trace.input(6, 1, "handle_datagram", (Address(AT.ip, 1), b"abc")),
    lambda trace: trace.result(6, 1, 1, Ok("alpha")),
    lambda trace: trace.result(6, 1, 1, Ok("bravo")),
    lambda trace: trace.result(6, 1, 2, Ok("alpha")),
    lambda trace: trace.result(6, 1, 1, Failed("failed", "alpha")),
    lambda trace: trace.report(6, 1, Started(bytes(32))),
    lambda trace: trace.report(6, 1, Started(bytes(31) + b"x")),
    lambda trace: trace.report(6, 1, LookupStep(1, bytes(32), 2, 3)),
    lambda trace: trace.report(6, 1, LookupStep(1, bytes(32), 3, 3)),
    lambda trace: trace.report(6, 1, LookupStep(1, bytes(31) + b"x", 2, 3)),
    lambda trace: trace.report(6, 1, LookupEnded(1, bytes(32), 2, 3, True)),
    lambda trace: trace.report(6, 1, LookupEnded(1, bytes(32), 2, 3, False)),
    lambda trace: trace.report(6, 1, AppEvent("chat", "said", (("text", "alpha"),))),
    lambda trace: trace.report(6, 1, AppEvent("chat", "said", (("text", "bravo"),))),
    lambda trace: trace.report(6, 1, GossipDelivered("news", bytes(32), 1, b"alpha" + bytes(100))),
    lambda trace: trace.report(6, 1, GossipDelivered("news", bytes(32), 1, b"bravo" + bytes(100))),
)


def test_every_input_result_and_event_counts() -> None:
    assert len({_hash(course) for course in COURSES}) == len(COURSES)
    assert [_hash(course) for course in COURSES] == [_hash(course) for course in COURSES]


@attrs.frozen
class Pair:
    one: Any
    other: Any


def test_values_are_told_alike_in_every_process() -> None:
    words = [f"word {n}" for n in range(20)]
    assert plain(set(words)) == plain(frozenset(words)) == sorted(map(repr, words))
    told = ("Pair", [("Colour", "RED"), [1, True, None, b"x", 0.5]])
    assert plain(Pair(Colour.RED, (1, True, None, b"x", 0.5))) == told
    assert plain(Kind.PING) == ("Kind", "PING")
    assert plain(object()) == "object"
    assert plain({"a": object()}) == [("a", "object")]
    assert plain(bytes(64)) == bytes(64)
    assert plain(bytes(65)) != plain(bytes(64) + b"x")


# --- datagrams ---


def _record(keys: Any) -> bytes:
    return encode_record(keys, REALM, b"salt", 7, 1 << 41, b"value of the record")


def _provider(keys: Any) -> bytes:
    return encode_provider(keys, REALM, bytes(32), 7, 1 << 41)


BODIES: dict[str, tuple[Kind, Callable[[Any], list[Any]]]] = {
    "nodes": (Kind.NODES, lambda keys: [b"a token!", 1, bytes(range(190)), b""]),
    "two bytes like a signature": (Kind.NODES, lambda keys: [b"a token!", 1, bytes(90) + b"\x58\x40" + bytes(98), b""]),
    "signed value": (Kind.VALUE, lambda keys: [b"a token!", 2, _record(keys), 60]),
    "blob": (Kind.VALUE, lambda keys: [b"a token!", 1, bytes(range(200)), 60]),
    "store": (Kind.STORE, lambda keys: [2, _record(keys), 60, 3]),
    "providers": (Kind.PROVIDERS, lambda keys: [b"a token!", [[_provider(keys), bytes(6)]] * 3, b"a cursor"]),
    "publish": (Kind.GOSSIP, lambda keys: [1, encode_publication(keys, REALM, "news", 7, b"alpha" * 40)]),
}


def _written(name: str) -> list[bytes]:
    """With real and with cheap signatures."""
    kind, body = BODIES[name]
    return [WIRE.encode(keys, REALM, kind, b"request!", 1 << 40, b"to whom!", b"a token!", body(keys)) for keys in KEYS]


@pytest.mark.parametrize("name", BODIES)
def test_a_datagram_says_the_same_with_whatever_signatures(name: str) -> None:
    real, cheap = _written(name)
    assert real != cheap
    assert unsigned(real) == unsigned(cheap)


@pytest.mark.parametrize("name", BODIES)
def test_and_so_it_does_when_it_was_changed(name: str) -> None:
    real, cheap = _written(name)
    for at in range(len(real)):
        one, other = bytearray(real), bytearray(cheap)
        one[at] ^= 4
        other[at] ^= 4
        assert unsigned(bytes(one)) == unsigned(bytes(other)), at
        assert unsigned(real[:at]) == unsigned(cheap[:at]), at
    assert unsigned(real + bytes(9)) == unsigned(cheap + bytes(9))


@pytest.mark.parametrize(
    ("name", "signatures"),
    [("nodes", 1), ("signed value", 2), ("blob", 1), ("store", 2), ("providers", 4), ("publish", 2)],
)
def test_all_of_it_counts_but_the_signatures(name: str, signatures: int) -> None:
    data = _written(name)[0]
    assert len(unsigned(data)) == len(data) - 66 * signatures


def test_ids_of_messages_are_hashes_over_signatures() -> None:
    real, cheap = (
        [
            WIRE.encode(keys, REALM, kind, b"request!", 1 << 40, None, b"a token!", body)
            for kind, body in (
                (Kind.GOSSIP, [3, bytes(32), 1, ids]), (Kind.GOSSIPED, [b"a token!", 1, 0, ids, b"", b""])
            )
        ]
        for keys, ids in ((KEYS[0], bytes(32)), (KEYS[1], b"x" * 32))
    )  # fmt: skip
    assert [*map(unsigned, real)] == [*map(unsigned, cheap)]


def test_what_is_no_datagram_of_a_peer() -> None:
    for junk in (b"", b"x", bytes(70), bytes(109), bytes(500), bytes.fromhex("d2845826") * 40, b"\x58\x40" * 100):
        assert junk.startswith(unsigned(junk)[:66])
