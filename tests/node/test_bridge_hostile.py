"""The foreign side of the bridge under peers that do not keep to anything."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import trio
import umsgpack
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage
from p2pnode.bridge import limits
from p2pnode.bridge.contacts import Contacts
from p2pnode.bridge.protocol import _checked
from tests.node.bridge_fakes import Overlay, foreign_peers, running, stranger

ID = b"S" * 20
KEY = b"k" * 20

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.one_of(anything, st.tuples(st.sampled_from(["ping", "store", "find_node", "find_value"]), anything).map(list))
)
def test_no_message_passes_the_guard_with_odd_arguments(message: object) -> None:
    try:
        name = _checked(message)
    except BadMessage:
        return
    assert isinstance(message, list)
    assert name in ("ping", "store", "find_node", "find_value")
    assert all(type(arg) is bytes and len(arg) == 20 for arg in message[1][:2])


def junk(rng: random.Random) -> Iterator[bytes]:
    call = b"\x00" + rng.randbytes(20)
    good = call + umsgpack.packb(["store", [ID, KEY, b"v" * 50]])
    odd: list[object] = [None, 1, -1, 1.5, "x", b"", [], {}, [[]], {"a": [1]}, b"x" * 19, b"x" * 21, "k" * 20, True]
    names: list[object] = [
        "ping",
        "store",
        "find_node",
        "find_value",
        "stun",
        "welcome_if_new",
        "",
        None,
        7,
        b"ping",
        "__init__",
    ]
    for name in names:
        yield call + umsgpack.packb([name, []])
        for a in odd:
            yield call + umsgpack.packb([name, [a]])
            yield call + umsgpack.packb([name, a])
            yield call + umsgpack.packb([name, [ID, a]])
            yield call + umsgpack.packb([name, [ID, a, a]])
            yield call + umsgpack.packb([name, [a, KEY, 1]])
    for value in (None, [1], {"a": 1}, {1: {2: 3}}, [[1]] * 5):
        yield call + umsgpack.packb(["store", [ID, KEY, value]])
    yield call + b"\x91" * 8000  # nesting
    yield call + b"\xdd\xff\xff\xff\xff"  # an array of 2**32 items
    yield call + b"\xc6\xff\xff\xff\xff"  # 4 GB of bytes
    yield call + b"\xd7\xff" + b"\xff" * 8  # a timestamp far away
    yield b"x" * 60_000
    for size in (*range(1, 23), 100, 8214):
        yield rng.randbytes(size)
    for first in range(256):
        yield bytes([first]) + good[1:50]
    for _ in range(300):
        mutated = bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            mutated[rng.randrange(21, len(mutated))] = rng.randrange(256)
        yield bytes(mutated)
    for _ in range(100):
        yield b"\x01" + rng.randbytes(20) + umsgpack.packb({"value": 1})


async def test_malformed_datagrams_are_counted_and_a_good_peer_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DATAGRAM_BURST_PER_ADDRESS", 5000)
    overlay = Overlay()
    async with running(overlay, "left") as left, foreign_peers(left, 1) as west, stranger(left) as bad:
        for sent, data in enumerate(junk(random.Random(1))):
            await bad.send(data)
            if not sent % 50:  # as fast as the bridge reads, or the kernel drops them
                await trio.testing.wait_all_tasks_blocked(0.001)
        assert await west[0].set("key", 1)
        assert overlay.seq == 1
        assert left.counters["malformed"] > 600
        assert left.counters["unasked"] >= 100
        assert "failed" not in left.counters


async def test_wrong_length_keys_are_never_stored() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left, stranger(left) as bad:
        for key in (b"", b"k", b"k" * 19, b"k" * 21, b"k" * 4000, "k" * 20, 5, None):
            await bad.call("store", ID, key, 1)
        await bad.call("find_node", ID, KEY)
        await bad.answer_pings()
        assert left.counters["malformed"] == 8
        assert overlay.signed == {}


@pytest.mark.parametrize(
    ("name", "args"), [("ping", [ID]), ("find_node", [ID, KEY]), ("find_value", [ID, KEY]), ("store", [ID, KEY, 0])]
)
async def test_before_proof_of_address_no_more_bytes_leave_than_came(name: str, args: list[object]) -> None:
    async with running(Overlay(), "left") as left, foreign_peers(left, 5), stranger(left) as forged:
        sent = await forged.call(name, *args)
        received = len(await forged.receive())
        # A second datagram would have been sent in the same turn; loopback keeps the order.
        await trio.testing.wait_all_tasks_blocked(0.005)
        with pytest.raises(BlockingIOError):
            received += len(forged.sock._sock.recv(65536))  # type: ignore[attr-defined]
        assert 0 < received <= sent
        assert left.status()["contacts"] == 5


async def test_a_claimed_id_that_the_address_does_not_answer_to_is_not_served() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left, stranger(left) as bad:
        await bad.call("store", b"claimed, not answered"[:20], KEY, 1)
        ping = await bad.receive()
        await bad.send(b"\x01" + ping[1:21] + umsgpack.packb(ID))
        await bad.call("find_node", ID, KEY, message_id=b"N" * 20)
        answer = await bad.answer_pings()
        assert answer[1:21] == b"N" * 20
        assert left.counters["unproven"] == 1
        assert overlay.signed == {}


async def test_a_pong_counts_from_the_address_asked_only() -> None:
    async with running(Overlay(), "left") as left, stranger(left) as victim, stranger(left) as forger:
        await victim.call("find_node", ID, KEY)
        ping = await victim.receive()
        await forger.send(b"\x01" + ping[1:21] + umsgpack.packb(b"F" * 20))
        await forger.call("find_node", ID, KEY)
        await forger.answer_pings()
        assert left.counters["unasked"] == 1
        assert not left._protocol._contacts.is_proven(victim.sock.getsockname(), b"F" * 20)


@pytest.mark.parametrize("pong", [None, 7, "S" * 20, b"", b"S" * 21, [ID], {"value": 1}])
async def test_an_odd_pong_proves_nothing(pong: object) -> None:
    async with running(Overlay(), "left") as left, stranger(left) as bad:
        await bad.call("find_node", ID, KEY)
        ping = await bad.receive()
        await bad.send(b"\x01" + ping[1:21] + umsgpack.packb(pong))
        await bad.call("find_node", ID, KEY)
        assert (await bad.receive())[0] == 0  # pinged again, not answered
        assert left.status()["contacts"] == 0
        assert left.counters["malformed"] == 1


async def test_a_flood_is_dropped_before_it_is_decoded() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left, stranger(left) as bad, foreign_peers(left, 1) as west:
        call = b"\x00" + b"M" * 20 + umsgpack.packb(["ping", [ID]])
        for _ in range(20):
            for _ in range(100):
                await bad.send(call)
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert left.counters["dropped_rate"] > 0
        assert left.counters["asked_ping"] < 2 * limits.DATAGRAM_BURST_PER_ADDRESS
        assert await west[0].set("key", 1)


async def test_the_ports_of_one_host_share_its_datagrams_except_on_loopback(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(Overlay(), "left") as left:
        for port in range(20_000, 20_000 + 2 * limits.DATAGRAM_BURST_PER_ADDRESS):
            left._protocol.datagram_received(b"x", ("192.0.2.1", port))
        assert left.counters["malformed"] == left.counters["dropped_rate"] == limits.DATAGRAM_BURST_PER_ADDRESS
        left._protocol.datagram_received(b"x", ("192.0.2.2", 20_000))
        for port in range(20_000, 20_000 + 2 * limits.DATAGRAM_BURST_PER_ADDRESS):
            left._protocol.datagram_received(b"x", ("127.0.0.1", port))
        assert left.counters["dropped_rate"] == limits.DATAGRAM_BURST_PER_ADDRESS


async def test_held_requests_of_one_address_are_bounded() -> None:
    async with running(Overlay(), "left") as left, stranger(left) as bad:
        for i in range(limits.MAX_HELD_PER_ADDRESS + 5):
            await bad.call("find_node", ID, KEY, message_id=i.to_bytes(20, "big"))
        ping = await bad.receive()
        await trio.testing.wait_all_tasks_blocked(0.001)
        assert left.counters["dropped_unproven"] == 5
        await bad.send(b"\x01" + ping[1:21] + umsgpack.packb(ID))
        for _ in range(limits.MAX_HELD_PER_ADDRESS):
            assert (await bad.receive())[0] == 1
        assert left._protocol._held == {}


async def test_a_peer_that_stops_answering_is_handed_out_no_more(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Overlay(), "left") as left, stranger(left) as gone, foreign_peers(left, 1):
        await gone.call("find_node", ID, KEY)
        await gone.answer_pings()
        assert left.status()["contacts"] == 2
        await trio.sleep(limits.CONTACT_PING_S + 2 * (limits.UPKEEP_S + limits.PROOF_S) + limits.UPKEEP_S)
        assert left.status()["contacts"] == 1


# --- contacts --------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=20, max_size=20), unique=True, max_size=60), st.binary(min_size=20, max_size=20))
def test_contacts_returns_exactly_the_closest(ids: list[bytes], target: bytes) -> None:
    contacts = Contacts(lambda: 0.0)
    for port, node_id in enumerate(ids):
        contacts.prove(("127.0.0.1", port), node_id)
    point = int.from_bytes(target, "big")
    want = sorted(ids, key=lambda node_id: int.from_bytes(node_id, "big") ^ point)[:20]
    assert [node_id for node_id, _, _ in contacts.closest(target, ("127.0.0.1", 9999))] == want


def test_contacts_are_bounded_in_all_and_per_host() -> None:
    contacts = Contacts(lambda: 0.0)
    accepted = [contacts.prove(("192.0.2.1", port), ID) for port in range(100)]
    assert accepted.count(True) == limits.MAX_CONTACTS_PER_HOST
    for port in range(10_000):
        contacts.prove(("127.0.0.1", port), ID)
    assert len(contacts) == limits.MAX_CONTACTS
    assert len(contacts._proofs) == limits.MAX_PROOFS
    # Who finds the table full is served all the same.
    assert not contacts.prove(("192.0.2.9", 4000), ID)
    assert contacts.is_proven(("192.0.2.9", 4000), ID)


def test_a_silent_contact_goes_after_two_pings_and_a_proof_ages() -> None:
    now = 0.0
    contacts = Contacts(lambda: now)
    where = ("127.0.0.1", 4000)
    contacts.prove(where, ID)
    assert contacts.silent(limits.CONTACT_PING_S, 10) == []
    now = limits.CONTACT_PING_S + 1
    assert contacts.silent(limits.CONTACT_PING_S, 10) == [where]
    contacts.fail(where)
    assert contacts.closest(KEY, ("127.0.0.1", 1)) == []
    contacts.fail(where)
    assert len(contacts) == 0
    assert contacts.is_proven(where, ID)
    now = limits.PROVEN_S + 1
    assert not contacts.is_proven(where, ID)


def test_loopback_contacts_are_given_to_loopback_only() -> None:
    contacts = Contacts(lambda: 0.0)
    contacts.prove(("127.0.0.1", 4000), ID)
    contacts.prove(("192.0.2.1", 4000), b"T" * 20)
    assert len(contacts.closest(KEY, ("127.0.0.1", 1))) == 2
    assert contacts.closest(KEY, ("192.0.2.2", 4000)) == [(b"T" * 20, "192.0.2.1", 4000)]
