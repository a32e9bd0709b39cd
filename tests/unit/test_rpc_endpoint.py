"""The endpoint: what becomes of a request, and what of everything that comes in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
import pytest

from overlay.errors import LimitError, LocalError, TimedOut
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.limits import MAX_DATAGRAM, MAX_DATAGRAMS_PER_ADDRESS_S, MAX_UNANSWERED, NAT_OPEN_S, TRIES
from overlay.rpc.contact import Contact, ContactBook
from overlay.rpc.endpoint import Endpoint, Inbound
from overlay.rpc.gather import ask_all
from overlay.rpc.stamps import StampSource
from overlay.runtime.address import Address, parse_address
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.runtime.ports import MS, SECOND, Now, Ok
from overlay.trust.policy import Observation, Verdict
from overlay.wire import messages as m
from overlay.wire.envelope import Envelope, encode_envelope, peek_envelope
from overlay.wire.registry import Kind
from simulations.storage import MemoryStorage
from tests.support.pair import REALM, entropy_of, keys_of
from tests.support.virtual import advance

WALL = 1_800_000_000_000
OWN, PEER, OTHER = keys_of(1), keys_of(2), keys_of(3)
AT, ELSEWHERE = parse_address("10.0.0.2:4433"), parse_address("10.0.0.3:4433")
TOKEN = b"a token!"


@attrs.define
class Ledger:
    """A policy that notes, and refuses whom it is told to."""

    seen: list[tuple[bytes, Observation]] = attrs.field(factory=list)
    refused: set[bytes] = attrs.field(factory=set)

    def verdict(self, key: bytes) -> Verdict:
        return Verdict.REFUSE if key in self.refused else Verdict.ALLOW

    def observe(self, key: bytes, what: Observation, now_ns: int) -> None:
        self.seen.append((key, what))


@attrs.define
class Ear:
    answered: list[Contact] = attrs.field(factory=list)
    requests: list[tuple[Inbound, int]] = attrs.field(factory=list)
    silent: list[Contact] = attrs.field(factory=list)
    twins: list[Address] = attrs.field(factory=list)

    def on_answered(self, contact: Contact, role: int | None) -> None:
        self.answered.append(contact)

    def on_request(self, inbound: Inbound, room: int) -> None:
        self.requests.append((inbound, room))

    def on_silent(self, contact: Contact) -> None:
        self.silent.append(contact)

    def on_twin(self, source: Address, stamp: int) -> None:
        self.twins.append(source)


@attrs.define
class Bench:
    """An endpoint whose datagrams lie in `sent`."""

    endpoint: Endpoint
    loop: Loop
    policy: Ledger
    ear: Ear
    sent: list[tuple[Address, bytes]]
    #: PEER at AT: a book holds none alive.
    contact: Contact
    heard: list[Any] = attrs.field(factory=list)
    stamp: int = WALL

    def ask(self, message: m.Message, to: Contact | Address | None = None, **options: Any) -> Any:
        return self.endpoint.request(
            to if to is not None else self.contact,
            message,
            on_reply=lambda contact, reply: self.heard.append((contact, reply)),
            on_failed=lambda: self.heard.append("failed"),
            on_slow=lambda tries: self.heard.append(tries),
            **options,
        )

    def envelopes(self) -> list[Envelope]:
        return [peek_envelope(data) for _, data in self.sent]

    def datagram(
        self, message: m.Message, *, keys: KeyPair = PEER, to: bytes | None = None, request_id: bytes | None = None,
        token: bytes | None = None, network: Network = REALM, kind: int | None = None, body: list[Any] | None = None,
    ) -> bytes:  # fmt: skip
        self.stamp += 1
        return encode_envelope(
            keys, network, message.KIND if kind is None else kind, request_id or self.stamp.to_bytes(8, "big"),
            self.stamp, self.endpoint.own_id[:8] if to is None else to, token,
            message.encode_body() if body is None else body,
        )  # fmt: skip

    def reply(self, message: m.Message, *, source: Address = AT, **options: Any) -> None:
        request_id = options.pop("request_id", self.envelopes()[-1].request_id)
        self.receive(self.datagram(message, request_id=request_id, **options), source=source)

    def receive(self, data: bytes, *, source: Address = AT) -> None:
        self.endpoint.handle(source, data)
        self.loop.drain()

    def run_for(self, seconds: float) -> None:
        advance(self.loop, self.loop.now.mono_ns + round(seconds * SECOND))

    def count(self, name: str) -> int:
        return self.endpoint.counters.get(name, 0)


def bench(*, ready: bool = True, network: Network = REALM) -> Bench:
    loop = Loop()
    loop.now = Now(SECOND, WALL)
    effects: list[Any] = []
    journal = Journal(loop, MemoryStorage(), effects.append, lambda: len(effects) + 1)
    stamps = StampSource(journal)
    if ready:
        loop.spawn_root(stamps.reserve(loop.now), name="reserve")
        loop.drain()
        journal.flush()
        journal.done(1, Ok())
        loop.drain()
    sent: list[tuple[Address, bytes]] = []
    policy, ear = Ledger(), Ear()
    endpoint = Endpoint(
        loop=loop, network=network, signer=OWN, verifier=verify, own_id=node_id_of(OWN.key), book=ContactBook(),
        stamps=stamps, entropy=entropy_of(1), policy=policy, transmit=lambda to, data: sent.append((to, data)),
        role=lambda address: 1, listener=ear,
    )  # fmt: skip
    return Bench(endpoint, loop, policy, ear, sent, endpoint.book.contact(PEER.key, AT))


PONG = m.Pong(TOKEN, AT.packed, 1)
NODES = m.Nodes(TOKEN, 1, b"", b"")


# --- requests --------------------------------------------------------------------------------


def test_silence_is_met_with_the_same_bytes_a_few_times_and_ends_in_one_failure() -> None:
    b = bench()
    contact = b.contact
    b.ask(m.Ping())
    b.run_for(30)
    assert b.sent == [b.sent[0]] * TRIES
    assert b.heard == [1, 2, "failed"]
    assert b.ear.silent == [contact]
    assert b.policy.seen == [(PEER.key, Observation.SILENT)]
    assert b.endpoint.asked.waiting == 0
    assert b.loop.next_deadline() is None


@pytest.mark.parametrize("cancelled", [False, True])
def test_whoever_was_asked_and_was_silent_may_have_been_let_in_by_that(cancelled: bool) -> None:
    """Our own request opens a NAT on our side: what comes from there later does not show that we can be reached."""
    b = bench()
    pending = b.ask(m.Ping())
    assert b.endpoint.asked.asks(AT)
    if cancelled:
        pending.cancel()
    b.run_for(30)
    assert b.endpoint.asked.asks(AT)
    assert not b.endpoint.asked.asks(ELSEWHERE)
    b.run_for(NAT_OPEN_S)
    assert not b.endpoint.asked.asks(AT)


def test_who_answered_is_no_longer_asked() -> None:
    b = bench()
    pending = b.ask(m.Ping())
    b.reply(PONG)
    pending.cancel()
    assert not b.endpoint.asked.asks(AT)


def test_addresses_that_were_silent_are_bounded() -> None:
    b = bench()
    for number in range(MAX_UNANSWERED + 100):
        b.ask(m.Ping(), Address(bytes((10, 1, *divmod(number, 256))), 4433)).cancel()
    assert len(b.endpoint.asked._unanswered) <= MAX_UNANSWERED


def test_the_time_between_tries_does_not_shrink() -> None:
    b = bench()
    b.ask(m.Ping())
    times = [b.loop.now.mono_ns]
    while b.loop.next_deadline() is not None:
        b.loop.run(Now(b.loop.next_deadline() or 0, WALL))
        times.append(b.loop.now.mono_ns)
    waits = [later - sooner for sooner, later in pairwise(times)]
    assert waits == sorted(waits)
    assert sum(waits) <= 10 * SECOND


def test_a_reply_ends_it() -> None:
    b = bench()
    contact = b.contact
    b.ask(m.Ping())
    b.run_for(0.03)
    b.reply(PONG)
    b.reply(PONG)
    assert b.heard == [(contact, PONG)]
    assert b.ear.answered == [contact]
    assert b.count("dropped: unexpected reply") == 1
    assert b.loop.next_deadline() is None
    state = b.endpoint.peers.get(contact)
    assert state is not None
    assert (state.rtt.smoothed, state.token, state.role) == (30 * MS, TOKEN, 1)


def test_an_answer_after_a_repetition_is_taken_and_is_no_sample() -> None:
    b = bench()
    contact = b.contact
    b.ask(m.Ping())
    b.run_for(0.6)
    assert len(b.sent) == 2
    b.reply(PONG)
    assert b.heard == [1, (contact, PONG)]
    state = b.endpoint.peers.get(contact)
    assert state is not None
    assert state.rtt.smoothed == 0


def test_cancelled_it_is_silent() -> None:
    b = bench()
    pending = b.ask(m.Ping())
    pending.cancel()
    pending.cancel()
    b.reply(PONG)
    b.run_for(30)
    assert (b.heard, len(b.sent), b.endpoint.asked.waiting, b.ear.silent) == ([], 1, 0, [])
    assert b.loop.next_deadline() is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"keys": OTHER}, "reply of another key"),
        ({"source": ELSEWHERE}, "unexpected reply"),
        ({"source": parse_address("10.0.0.2:4434")}, "unexpected reply"),
        ({"request_id": b"guessed!"}, "unexpected reply"),
        ({"to": b"somebody"}, "misaddressed"),
        ({"network": Network("other", puzzle_bits=0)}, "malformed"),
    ],
)
def test_a_reply_counts_only_from_whom_and_where_it_was_asked(options: dict[str, Any], reason: str) -> None:
    b = bench()
    contact = b.contact
    b.ask(m.Ping())
    b.reply(PONG, **options)
    assert b.heard == []
    assert b.count(f"dropped: {reason}") == 1
    assert b.policy.seen == []
    b.reply(PONG)
    assert b.heard == [(contact, PONG)]


@pytest.mark.parametrize(
    "message", [NODES, m.Value(TOKEN, 1, b"", 1), m.Stored(m.StoreStatus.STORED), m.Keys(TOKEN, b"")]
)
def test_a_reply_of_another_kind_is_none(message: m.Message) -> None:
    b = bench()
    b.ask(m.Ping())
    b.reply(message)
    assert b.heard == []
    assert b.count("dropped: reply of another kind") == 1


def test_a_reply_with_a_changed_byte_is_nobodys_fault() -> None:
    b = bench()
    b.ask(m.Ping())
    data = bytearray(b.datagram(PONG, request_id=b.envelopes()[0].request_id))
    data[-1] ^= 1
    b.receive(bytes(data))
    assert (b.heard, b.policy.seen) == ([], [])
    assert b.endpoint.asked.waiting == 1


def test_a_body_that_is_none_under_a_good_signature_is_its_signers_fault() -> None:
    b = bench()
    b.ask(m.Ping())
    b.reply(PONG, body=[TOKEN, b"x", 1])
    assert b.policy.seen == [(PEER.key, Observation.BAD_MESSAGE)]
    assert b.endpoint.asked.waiting == 1


def test_an_address_is_asked_without_knowing_who_lives_there() -> None:
    b = bench()
    b.ask(m.Ping(), AT)
    assert b.envelopes()[0].to is None
    b.reply(PONG)
    assert [(contact.key, contact.address) for contact, _ in b.heard] == [(PEER.key, AT)]


# --- RETRY -----------------------------------------------------------------------------------


def test_retry_is_followed_once_with_the_token_the_same_id_and_a_new_stamp() -> None:
    b = bench()
    contact = b.contact
    b.ask(m.Store(1, b"v", 60))
    b.reply(m.Retry(TOKEN))
    first, second = b.envelopes()
    assert (first.token, second.token) == (None, TOKEN)
    assert second.request_id == first.request_id
    assert second.stamp > first.stamp
    assert second.body == m.Store(1, b"v", 60).encode_body()
    b.reply(m.Retry(b"another!"))
    assert len(b.sent) == 2
    b.reply(m.Stored(m.StoreStatus.STORED))
    assert b.heard == [(contact, m.Stored(m.StoreStatus.STORED))]
    assert b.loop.next_deadline() is None


def test_nothing_but_retries_ends_like_silence() -> None:
    b = bench()
    b.ask(m.Store(1, b"v", 60))
    for _ in range(100):
        b.reply(m.Retry(TOKEN))
        b.run_for(0.1)
    assert b.heard[-1] == "failed"
    assert len(b.sent) <= TRIES + 1
    assert b.ear.answered == []


def test_a_known_token_is_used_and_nothing_is_padded() -> None:
    b = bench()
    b.endpoint.peers.learn_token(b.contact, TOKEN, b.loop.now.mono_ns)
    b.ask(m.FindNode(bytes(32), 3))
    assert b.envelopes()[0].token == TOKEN
    assert len(b.sent[0][1]) < 200
    b.ask(m.Ping())
    retry = b.datagram(m.Retry(TOKEN))
    assert len(b.sent[1][1]) >= len(retry), "its RETRY must not be longer"


# --- bounds ----------------------------------------------------------------------------------


def test_so_many_requests_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.rpc.asked.MAX_PENDING", 3)
    b = bench()
    pending = [b.ask(m.Ping()) for _ in range(3)]
    with pytest.raises(LimitError, match="3 requests"):
        b.ask(m.Ping())
    assert len(b.sent) == 3
    pending[0].cancel()
    b.ask(m.Ping())


def test_a_message_that_does_not_fit_leaves_nothing_behind() -> None:
    b = bench()
    with pytest.raises(LocalError, match="does not fit"):
        b.ask(m.Store(1, bytes(1300), 60))
    assert (b.endpoint.asked.waiting, b.sent, b.loop.next_deadline()) == (0, [], None)


def test_without_a_stamp_nothing_is_sent_and_the_request_fails_in_time() -> None:
    b = bench(ready=False)
    b.ask(m.Ping())
    b.receive(b.datagram(m.Ping()))
    b.run_for(30)
    assert b.sent == []
    assert b.heard[-1] == "failed"
    assert b.count("unsent: no stamp") == TRIES + 1  # each try asks for one


def call(b: Bench, **options: Any) -> Any:
    task = b.loop.spawn_root(b.endpoint.call(b.contact, m.Ping(), **options), name="call")
    task.add_callback(lambda: None)
    b.loop.drain()
    return task


def test_call_awaits_the_reply() -> None:
    b = bench()
    contact = b.contact
    task = call(b)
    b.reply(PONG)
    assert task.result() == (contact, PONG)
    assert b.loop.next_deadline() is None


def test_call_times_out_and_says_whom_it_asked() -> None:
    b = bench()
    task = call(b, tries=2)
    b.run_for(30)
    with pytest.raises(TimedOut, match=r"10\.0\.0\.2:4433 to 2 tries"):
        task.result()
    assert len(b.sent) == 2


def test_a_call_that_is_cancelled_leaves_no_request() -> None:
    b = bench()
    task = call(b)
    task.cancel()
    b.loop.drain()
    assert task.cancelled
    assert (b.endpoint.asked.waiting, b.loop.next_deadline()) == (0, None)


def test_one_message_to_many() -> None:
    b = bench()
    contacts = [b.endpoint.book.contact(keys_of(10 + i).key, Address(bytes((10, 0, 1, i)), 4433)) for i in range(3)]
    task = b.loop.spawn_root(ask_all(b.endpoint, contacts, lambda _: m.Ping()), name="gather")
    b.loop.drain()
    for i in (0, 2):
        request_id = b.envelopes()[i].request_id
        b.receive(b.datagram(PONG, keys=keys_of(10 + i), request_id=request_id), source=contacts[i].address)
    assert not task.done
    b.run_for(30)
    assert task.result() == {contacts[0]: PONG, contacts[1]: None, contacts[2]: PONG}
    assert b.loop.next_deadline() is None


def test_to_nobody_is_answered_at_once_and_to_too_many_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.rpc.asked.MAX_PENDING", 0)
    b = bench()
    for contacts in ([], [b.contact]):
        task = b.loop.spawn_root(ask_all(b.endpoint, contacts, lambda _: m.Ping()), name="gather")
        b.loop.drain()
        assert task.result() == dict.fromkeys(contacts)


# --- what comes in ---------------------------------------------------------------------------


def _sent_by_itself(b: Bench) -> bytes:
    b.ask(m.Ping())
    return b.sent.pop()[1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda b: bytes(MAX_DATAGRAM + 1), "oversize"),
        (lambda b: b"", "malformed"),
        (lambda b: bytes(300), "malformed"),
        (lambda b: b.datagram(m.Ping(), keys=OWN), "own key elsewhere"),
        (lambda b: _sent_by_itself(b), "own"),
        (lambda b: b.datagram(m.Ping(), to=b"somebody"), "misaddressed"),
        (lambda b: b.datagram(m.Ping(), kind=999), "unknown kind"),
        (lambda b: b.datagram(m.Ping(), kind=Kind.GOSSIP), "unserved kind"),
        (lambda b: b.datagram(m.FindNode(bytes(32), 1)), "unserved kind"),
        (lambda b: b.datagram(m.Ping(), network=Network("other", puzzle_bits=0)), "malformed"),
        (lambda b: b.datagram(m.Ping(), body=[7]), "malformed"),
        (lambda b: b.datagram(m.Ping(), keys=OTHER), "refused peer"),
        (lambda b: b.datagram(PONG), "unexpected reply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_dropped_is_counted_and_not_answered(make: Any, reason: str) -> None:
    b = bench()
    b.policy.refused.add(OTHER.key)
    b.receive(make(b))
    assert b.endpoint.counters == {f"dropped: {reason}": 1}
    assert (b.sent, b.ear.requests) == ([], [])
    assert b.ear.twins == ([AT] if reason == "own key elsewhere" else [])


def test_an_address_that_floods_is_not_listened_to_for_the_rest_of_the_second() -> None:
    b = bench()
    for _ in range(MAX_DATAGRAMS_PER_ADDRESS_S):
        b.receive(b"x")
    b.receive(b.datagram(m.Ping(padding=bytes(200))))
    assert b.count("dropped: rate") == 1
    b.receive(b.datagram(m.Ping(padding=bytes(200))), source=ELSEWHERE)
    b.run_for(1)
    b.receive(b.datagram(m.Ping(padding=bytes(200))))
    assert len(b.sent) == 2


def test_a_ping_is_answered_with_what_was_seen() -> None:
    b = bench()
    b.receive(b.datagram(m.Ping(padding=bytes(200)), request_id=b"request!"))
    [(to, data)] = b.sent
    envelope = peek_envelope(data)
    assert (to, envelope.kind, envelope.request_id) == (AT, Kind.PONG, b"request!")
    assert envelope.to == node_id_of(PEER.key)[:8]
    assert envelope.body[1] == AT.packed
    [(inbound, room)] = b.ear.requests
    assert not inbound.proven
    assert room == inbound.size - len(data)


def test_who_answered_once_is_proven_for_half_a_day_at_that_address() -> None:
    b = bench()
    b.ask(m.Ping())
    b.reply(PONG)
    for source, seconds, proven in ((AT, 0, True), (ELSEWHERE, 0, False), (AT, 12 * 3600 - 1, True), (AT, 1, False)):
        b.run_for(seconds)
        b.receive(b.datagram(m.Ping(padding=bytes(200))), source=source)
        assert b.ear.requests[-1][0].proven is proven


@pytest.mark.parametrize("needs_token", [m.Store(1, b"v", 60), m.AppRequest("a", b""), m.DialBack()])
def test_what_needs_a_token_gets_one_and_nothing_else(needs_token: m.Message) -> None:
    b = bench()
    served: list[Inbound] = []
    b.endpoint.serve(needs_token.KIND, served.append)
    padded = [*needs_token.encode_body(), bytes(200)]
    b.receive(b.datagram(needs_token, body=padded))
    [retry] = b.envelopes()
    assert (retry.kind, served) == (Kind.RETRY, [])
    assert b.ear.requests == []
    b.receive(b.datagram(needs_token, token=retry.body[0]))
    assert len(served) == 1
    assert served[0].proven


@pytest.mark.parametrize("token", [None, b"guessed!"])
def test_who_is_proven_but_has_no_token_does_not_act(token: bytes | None) -> None:
    """An answer may be 12 hours old; who has the address now may be somebody else, on the same key's old datagrams."""
    b = bench()
    served: list[Inbound] = []
    b.endpoint.serve(Kind.STORE, served.append)
    b.ask(m.Ping())
    b.reply(PONG)
    b.receive(b.datagram(m.Store(1, b"v", 60), token=token))
    assert (served, b.envelopes()[-1].kind) == ([], Kind.RETRY)


def test_a_late_answer_is_repeated_once_it_is_there() -> None:
    b = bench()
    served: list[Inbound] = []
    b.endpoint.serve(Kind.STORE, served.append)
    token = b.endpoint.token_for(b.contact)
    data = b.datagram(m.Store(1, b"v", 60), token=token)
    b.receive(data)
    b.receive(data)
    assert (len(served), b.sent) == (1, [])
    b.endpoint.reply(served[0], m.Stored(m.StoreStatus.STORED))
    b.receive(data)
    assert len(served) == 1
    assert b.sent == [b.sent[0]] * 2


def test_after_half_a_minute_the_answer_is_forgotten_and_the_request_is_stale() -> None:
    b = bench()
    served: list[Inbound] = []
    b.endpoint.serve(Kind.STORE, served.append)
    data = b.datagram(m.Store(1, b"v", 60), token=b.endpoint.token_for(b.contact))
    b.receive(data)
    b.endpoint.reply(served[0], m.Stored(m.StoreStatus.STORED))
    b.run_for(31)
    b.receive(data)
    assert (len(served), len(b.sent), len(b.endpoint._replies)) == (1, 1, 0)
    assert b.count("dropped: stale") == 1


def test_a_private_network_seals_what_it_sends_and_drops_what_is_not_sealed() -> None:
    b = bench(network=Network("private", puzzle_bits=0, psk=bytes(32)))
    b.receive(b.datagram(m.Ping(padding=bytes(200)), network=b.endpoint.network))
    assert b.endpoint.counters == {"dropped: malformed": 1}
    b.ask(m.Ping())
    assert OWN.key not in b.sent[0][1]
