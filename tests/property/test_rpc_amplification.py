"""Nobody can make a peer send more bytes to an address than came from there, before it proved itself."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.app import App, AppContext
from overlay.identity.network import Network
from overlay.runtime.address import Address, parse_address
from overlay.wire import messages as m
from overlay.wire.records import encode_provider, encode_record
from tests.support.link import Link
from tests.support.pair import REALM, Pair, Stranger, keys_of, pair

SEALED = Network("sealed", puzzle_bits=0, psk=bytes(32))
NETWORKS = [REALM, SEALED]
KEY, OTHER = bytes(32), bytes(31) + b"\1"
#: A LAN of ours, the internet, IPv6.
SOURCES = [parse_address(text) for text in ("10.0.0.66:4433", "60.1.2.3:999", "[2600::7]:4433", "127.0.0.1:4433")]


FRIENDS = [keys_of(1000 + i).key for i in range(30)]


class Talker(App):
    name = "talker"

    async def run(self, ctx: AppContext) -> None:
        async def answer(caller: bytes, body: bytes) -> bytes:
            return bytes(900)

        ctx.serve(answer)


def padding() -> st.SearchStrategy[bytes | None]:
    return st.none() | st.integers(0, 900).map(bytes)


def record(seq: int, size: int) -> bytes:
    return encode_record(keys_of(66), REALM, b"n", seq, 1 << 41, bytes(size))


REQUESTS: st.SearchStrategy[m.Message] = st.one_of(
    st.builds(m.Ping, padding=padding()),
    st.builds(m.FindNode, st.just(KEY), st.integers(1, 3), padding=padding()),
    st.builds(m.FindValue, st.sampled_from([KEY, OTHER]), st.integers(1, 3), padding=padding()),
    st.builds(m.FindProviders, st.just(KEY), after=st.none() | st.just(bytes(8)), padding=padding()),
    st.builds(m.FindKeys, st.just(KEY), st.integers(0, 8), after=st.none() | st.just(KEY), padding=padding()),
    st.builds(lambda size: m.Store(1, bytes(size), 60), st.integers(0, 832)),
    st.builds(lambda seq, size: m.Store(2, record(seq, size), 60), st.integers(0, 1 << 41), st.integers(0, 800)),
    st.builds(lambda: m.Provide(KEY, encode_provider(keys_of(66), REALM, KEY, 7, 1 << 41))),
    st.builds(m.AppRequest, st.sampled_from(["talker", "nobody"]), st.integers(0, 900).map(bytes)),
    st.builds(m.DialBack, address=st.none() | st.sampled_from([source.packed for source in SOURCES])),
    st.builds(m.Leave),
    # Answers to nothing.
    st.builds(m.Pong, st.just(bytes(8)), st.just(bytes(6)), st.just(1)),
    st.builds(m.Retry, st.just(bytes(8))),
)


@attrs.define
class Ledger:
    """Bytes from and to each address."""

    received: dict[Address, int] = attrs.field(factory=dict)

    def sent(self, link: Link) -> dict[Address, int]:
        totals: dict[Address, int] = {}
        for one in link.sent:
            if one.side == "b":
                totals[one.to] = totals.get(one.to, 0) + len(one.data)
        return totals


def full(network: Network) -> Pair:
    """b knows 30 others, holds the longest values and providers, and serves an application."""
    link = pair(network=network, apps_b=[Talker()])
    for i, key in enumerate(FRIENDS):
        link.b.table.seen(link.b.endpoint.book.contact(key, Address(bytes((10, 0, 1, 1 + i)), 4433)), link.now.mono_ns)
    for key, size in ((KEY, 832), (OTHER, 1)):
        link.b.dht.store.put_blob(key, bytes(size), wall_ms=link.now.wall_ms, ttl_s=3600, author=KEY, group=b"")
    return link


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@settings(max_examples=50)
@given(data=st.data())
def test_bytes_out_are_at_most_bytes_in_before_proof(network: Network, data: st.DataObject) -> None:
    link = full(network)
    ledger = Ledger()
    strangers = [Stranger(link, keys=keys_of(66 + i), network=network) for i in range(2)]
    for _ in range(data.draw(st.integers(1, 12), label="datagrams")):
        stranger = data.draw(st.sampled_from(strangers))
        source = data.draw(st.sampled_from(SOURCES))
        message = data.draw(REQUESTS)
        token = data.draw(st.sampled_from([None, b"guessed!"]))
        to = data.draw(st.sampled_from(["b", None]))
        if message.KIND.is_reply:
            token = None
        datagram = stranger.datagram(message, to=to, token=token, padded=token is None and data.draw(st.booleans()))
        for _ in range(data.draw(st.integers(1, 2), label="copies")):
            ledger.received[source] = ledger.received.get(source, 0) + len(datagram)
            stranger.send(datagram, source=source)
        link.advance(data.draw(st.sampled_from([0, 0.3, 5])))
        for to_address, sent in ledger.sent(link).items():
            if to_address in SOURCES:
                assert sent <= ledger.received.get(to_address, 0), to_address
    link.advance(30)  # retries
    for to_address, sent in ledger.sent(link).items():
        if to_address in SOURCES:
            assert sent <= ledger.received.get(to_address, 0), to_address


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize("source", SOURCES[:3], ids=str)
def test_a_padded_ping_pays_for_its_pong_and_for_a_ping_back(network: Network, source: Address) -> None:
    link = full(network)
    stranger = Stranger(link, network=network)
    sent = stranger.send(stranger.datagram(m.Ping(), padded=True), source=source)
    assert len(sent) == 2


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_padded_question_is_answered_at_once(network: Network) -> None:
    link = full(network)
    stranger = Stranger(link, network=network)
    for message in (m.FindNode(KEY, 1), m.FindValue(KEY, 1), m.FindKeys(KEY, 0), m.FindProviders(KEY)):
        [answer, *_] = stranger.send(stranger.datagram(message, padded=True))
        assert len(answer.data) > 200


def test_with_a_token_the_answer_may_be_longer() -> None:
    link = full(REALM)
    stranger = Stranger(link)
    question = stranger.datagram(m.FindValue(KEY, 1), token=stranger.token())
    [answer, *_] = stranger.send(question)
    assert len(answer.data) > 2 * len(question)
