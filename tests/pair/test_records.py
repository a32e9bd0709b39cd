"""STORE, GET and what is in between, against a peer that signs what it likes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from overlay.dht.get import RecordCollector
from overlay.dht.held import NO_DIGEST, Held
from overlay.errors import BadMessage, LocalError
from overlay.events import Equivocation
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from overlay.limits import LOOKUP_DEADLINE_S, MAX_OWN_RECORDS, MAX_VALUE, REPLY_CACHE_PER_PEER
from overlay.rpc.contact import ContactBook
from overlay.rpc.endpoint import Inbound
from overlay.runtime.ports import SECOND, Failed, Ok
from overlay.trust.policy import NeutralPolicy, Observation
from overlay.wire import messages as m
from overlay.wire.records import blob_key, decode_provider, decode_record, encode_provider, encode_record, signed_key
from overlay.wire.registry import RecordType
from tests.support.link import InFlight
from tests.support.pair import ELSEWHERE, REALM, A, B, Pair, Stranger, keys_of, make_peer, messages, opened, pair

DAY_MS = 24 * 3600 * 1000
MALLORY = keys_of(66)
NAME = b"name"


#: Two values, the one with the smaller SHA-256 first.
WINNER, LOSER = sorted((b"left", b"right"), key=lambda value: sha256(value).digest())


def signed(
    link: Pair, *, keys: KeyPair = MALLORY, seq: int | None = None, value: bytes = b"v", life_ms: int = DAY_MS // 2,
    network: Network = REALM,
) -> bytes:  # fmt: skip
    now = link.now.wall_ms
    return encode_record(keys, network, NAME, now if seq is None else seq, now + life_ms, value)


def key_of(keys: KeyPair) -> bytes:
    return signed_key(node_id_of(keys.key), NAME)


def store(link: Pair, stranger: Stranger, message: m.Message) -> m.Stored:
    answers = messages(stranger.send(stranger.datagram(message, token=stranger.token())))
    stored = [answer for answer in answers if isinstance(answer, m.Stored)]
    assert len(stored) == 1, answers
    return stored[0]


class Noting(NeutralPolicy):
    def __init__(self, seen: list[Observation]) -> None:
        self.seen = seen

    def observe(self, key: bytes, what: Observation, now_ns: int) -> None:
        self.seen.append(what)


def holds(link: Pair, key: bytes) -> bool:
    return link.b.dht.store.get(key, link.now.wall_ms) is not None


# --- what works ------------------------------------------------------------------------------


def test_put_here_get_there() -> None:
    link = pair().met()
    put = link.command("a", "put", {"value": b"v", "name": "name"})
    got = link.command("b", "get", {"author": link.id_text("a"), "name": "name"})
    assert (got["value"], got["seq"], got["holders"], put["stored"]) == (b"v", put["seq"], 2, 2)


@pytest.mark.parametrize("size", [0, 1, MAX_VALUE])
@pytest.mark.parametrize("name", [None, "name"])
def test_a_value_of_any_allowed_size_reaches_the_other(size: int, name: str | None) -> None:
    link = pair().met()
    put = link.command("a", "put", {"value": bytes(size), "name": name})
    assert put["stored"] == 2
    assert link.command("b", "get", {"key": put["key"]})["value"] == bytes(size)


@pytest.mark.parametrize("name", [None, "name"])
def test_a_value_that_does_not_fit_is_refused_before_anything_is_sent(name: str | None) -> None:
    link = pair().met()
    before = len(link.sent)
    assert link.fails("a", "put", {"value": bytes(MAX_VALUE + 1), "name": name}).code == "failed"
    assert len(link.sent) == before
    assert link.command("a", "own") == []


def test_what_put_says_is_stored_survives_a_kill() -> None:
    link = pair().met()
    link.storage_works = False
    asked = link.ask("a", "put", {"value": b"v"})
    link.settle(3)
    assert ("a", asked) not in link.results
    link.answer_storage()
    link.settle(3)
    link.answer_storage()
    link.settle(3)
    assert isinstance(link.results["a", asked], Ok)


def test_a_disk_that_refuses_is_told_to_who_puts() -> None:
    link = pair().met()
    link.storage_works = False
    asked = link.ask("a", "put", {"value": b"v"})
    for _ in range(4):
        link.settle(2)
        link.answer_storage(Failed("failed", "disk full"))
    outcome = link.results["a", asked]
    assert isinstance(outcome, Failed)
    assert "disk full" in outcome.message


def test_a_holder_whose_disk_refuses_does_not_count_as_one() -> None:
    link = pair().met()
    link.storage_works = False
    stranger = Stranger(link)
    stranger.send(stranger.datagram(m.Store(1, b"v", 60), token=stranger.token()))
    link.answer_storage(Failed("failed", "disk full"))
    assert not any(isinstance(message, m.Stored) for message in messages(link.sent_by("b", to=ELSEWHERE)))
    assert link.counted("b", "store failures") == 1


# --- who may change what ---------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, b"guessed!"])
@pytest.mark.parametrize(
    "make",
    [
        lambda link: m.Store(1, b"v", 60),
        lambda link: m.Store(2, signed(link), 60),
        lambda link: m.Provide(bytes(32), encode_provider(MALLORY, REALM, bytes(32), 7, link.now.wall_ms + 60_000)),
    ],
    ids=["blob", "signed", "provide"],
)
def test_without_a_valid_token_nothing_is_stored(make: Callable[[Pair], m.Message], token: bytes | None) -> None:
    link = pair()
    stranger = Stranger(link)
    answers = messages(stranger.send(stranger.datagram(make(link), token=token)))
    assert all(isinstance(answer, m.Retry | m.Ping) for answer in answers)
    assert len(link.b.dht.store) == link.b.dht.store.provider_count == 0


def test_a_token_is_for_one_key_at_one_address() -> None:
    link = pair()
    stranger, other = Stranger(link), Stranger(link, keys=keys_of(67))
    for sender, source in ((other, ELSEWHERE), (stranger, A)):
        data = sender.datagram(m.Store(1, b"v", 60), token=stranger.token())
        assert not any(isinstance(x, m.Stored) for x in messages(sender.send(data, source=source)))
    assert len(link.b.dht.store) == 0


@pytest.mark.parametrize("to", ["a", None])
def test_a_store_for_somebody_else_does_nothing(to: str | None) -> None:
    link = pair()
    stranger = Stranger(link)
    data = stranger.datagram(m.Store(1, b"v", 60), to="a", token=stranger.token())
    assert stranger.send(data) == []
    assert link.counted("b", "dropped: misaddressed") == 1
    assert to in ("a", None)


def test_a_record_of_another_author_needs_his_signature() -> None:
    link = pair()
    stranger = Stranger(link)
    genuine = signed(link, keys=keys_of(5))
    forged = genuine.replace(keys_of(5).key, MALLORY.key)
    other_value = genuine[:-67] + b"x" + genuine[-66:]
    elsewhere = signed(link, keys=keys_of(5), network=Network("other", puzzle_bits=0))
    as_provider = encode_provider(keys_of(5), REALM, bytes(32), 7, link.now.wall_ms + 60_000)
    for inner in (forged, other_value, elsewhere, as_provider, b"", bytes(500)):
        assert store(link, stranger, m.Store(2, inner, 60)).status is m.StoreStatus.INVALID
    assert len(link.b.dht.store) == 0
    assert store(link, stranger, m.Store(2, genuine, 60)).status is m.StoreStatus.STORED, "passing on is allowed"
    assert holds(link, key_of(keys_of(5)))
    assert not holds(link, key_of(MALLORY))


def test_nobody_provides_for_another() -> None:
    link = pair()
    stranger = Stranger(link)
    expires = link.now.wall_ms + 60_000
    for inner in (
        encode_provider(keys_of(5), REALM, bytes(32), 7, expires),
        encode_provider(MALLORY, REALM, b"k" * 32, 7, expires),
        encode_provider(MALLORY, Network("other", puzzle_bits=0), bytes(32), 7, expires),
    ):
        assert store(link, stranger, m.Provide(bytes(32), inner)).status is m.StoreStatus.INVALID
    assert link.b.dht.store.provider_count == 0


def test_the_address_of_a_provider_is_the_one_it_proved() -> None:
    link = pair().met()
    stranger = Stranger(link)
    inner = encode_provider(MALLORY, REALM, bytes(32), 7, link.now.wall_ms + 60_000)
    assert store(link, stranger, m.Provide(bytes(32), inner)).status is m.StoreStatus.STORED
    [row] = link.command("a", "providers", {"key": bytes(32).hex()})["providers"]
    assert (row["id"], row["address"]) == (format_id(node_id_of(MALLORY.key)), str(ELSEWHERE))


def test_who_holds_no_provider_names_nearer_peers_from_whatever_point_it_is_asked() -> None:
    """An empty page would look like that of a holder, and end a lookup that asks from a point of its own."""
    link = pair().met()
    stranger = Stranger(link)

    def asked(after: bytes | None) -> m.Message:
        data = stranger.datagram(m.FindProviders(bytes(32), after=after), token=stranger.token())
        [answer] = [one for one in messages(stranger.send(data)) if not isinstance(one, m.Ping)]
        return answer

    assert isinstance(asked(None), m.Nodes)
    assert isinstance(asked(b"\xff" * 8), m.Nodes)
    inner = encode_provider(MALLORY, REALM, bytes(32), 7, link.now.wall_ms + 60_000)
    store(link, stranger, m.Provide(bytes(32), inner))
    last = asked(b"\xff" * 8)
    assert isinstance(last, m.Providers)
    assert last.providers == ()


def test_pages_of_providers_have_an_end_however_late_each_comes() -> None:
    link = pair().met().aged("a")
    asked: list[Inbound] = []
    link.b.endpoint.serve(m.FindProviders.KIND, asked.append)
    number = link.ask("a", "providers", {"key": bytes(32).hex()})
    begun_ns, answered = link.now.mono_ns, 0
    while ("a", number) not in link.results:
        link.settle(2.5 if answered else 0)  # each just before it is given up
        for inbound in asked[answered:]:
            answered += 1
            page = m.Providers(link.b.endpoint.token_for(inbound.contact), (), next=bytes((answered,)) * 8)
            link.feed("b", lambda now, i=inbound, p=page: link.b.endpoint.reply(i, p))
    assert answered >= 5
    assert link.now.mono_ns - begun_ns <= (LOOKUP_DEADLINE_S + 3) * SECOND


# --- replays ---------------------------------------------------------------------------------


def stores_of(link: Pair) -> int:
    return sum(1 for side, event in link.events if side == "b" and type(event).__name__ == "RecordStored")


def captured(link: Pair) -> tuple[InFlight, bytes]:
    """a's STORE on its way to b, which has arrived, and the key."""
    put = link.command("a", "put", {"value": b"v"})
    [one] = [x for x in link.sent_by("a", to=B) if isinstance(messages([x])[0], m.Store)]
    assert stores_of(link) == 1
    return one, bytes.fromhex(put["key"])


@pytest.mark.parametrize("seconds", [0, 1, 29, 31, 45, 59, 61, 700, 1300])
def test_a_store_that_comes_again_does_nothing(seconds: float) -> None:
    link = pair().met()
    one, key = captured(link)
    for step in range(round(seconds)):  # both are in touch meanwhile
        link.advance(1)
        if step % 10 == 0:
            link.deliver_all()
        else:
            link.wire.clear()
    link.b.dht.store.remove(key)
    link.inject("b", A, one.data)
    assert stores_of(link) == 1
    assert not holds(link, key)


@pytest.mark.parametrize("seconds", [0, 29, 31, 45, 61])
def test_also_if_nothing_else_was_heard_of_its_sender(seconds: float) -> None:
    link = pair()
    stranger = Stranger(link)
    data = stranger.datagram(m.Store(1, b"v", 60), token=stranger.token())
    stranger.send(data)
    link.advance(seconds)
    link.b.dht.store.remove(blob_key(b"v"))
    stranger.send(data)
    assert stores_of(link) == 1


def test_the_answer_is_said_again() -> None:
    link = pair()
    stranger = Stranger(link)
    data = stranger.datagram(m.Store(1, b"v", 60), token=stranger.token())
    first, again = ([one for one in stranger.send(data) if isinstance(messages([one])[0], m.Stored)] for _ in "12")
    assert [one.data for one in first] == [one.data for one in again] != []


def test_not_even_if_so_many_came_between_that_it_was_forgotten() -> None:
    link = pair()
    stranger = Stranger(link)
    token = stranger.token()
    data = stranger.datagram(m.Store(1, b"v", 60), token=token)
    stranger.send(data)
    for i in range(REPLY_CACHE_PER_PEER + 1):
        stranger.send(stranger.datagram(m.Store(1, b"%d" % i, 60), token=token))
    link.b.dht.store.remove(blob_key(b"v"))
    assert stranger.send(data) == []
    assert not holds(link, blob_key(b"v"))


def test_from_another_address_it_does_nothing() -> None:
    link = pair().met()
    one, key = captured(link)
    link.b.dht.store.remove(key)
    link.inject("b", ELSEWHERE, one.data)
    assert not holds(link, key)


def test_after_a_restart_of_the_receiver_it_does_nothing() -> None:
    link = pair().met()
    one, key = captured(link)
    link.replace("b", make_peer(2, life=1))
    link.inject("b", A, one.data)
    assert not holds(link, key)


# --- versions --------------------------------------------------------------------------------


def test_the_larger_seq_wins_and_an_old_record_does_not_come_back() -> None:
    link = pair()
    stranger = Stranger(link)
    old, new = signed(link, seq=10, value=b"old"), signed(link, seq=11, value=b"new")
    assert store(link, stranger, m.Store(2, old, 600)).status is m.StoreStatus.STORED
    assert store(link, stranger, m.Store(2, new, 600)).status is m.StoreStatus.STORED
    refused = store(link, stranger, m.Store(2, old, 600))
    assert (refused.status, refused.seq) == (m.StoreStatus.OLDER, 11)


@pytest.mark.parametrize("reverse", [False, True])
def test_two_values_with_one_seq_end_the_same_everywhere_and_are_shown(reverse: bool) -> None:
    link = pair().met()
    stranger = Stranger(link)
    both = [signed(link, seq=10, value=value) for value in (WINNER, LOSER)]
    for inner in reversed(both) if reverse else both:
        store(link, stranger, m.Store(2, inner, 600))
    shown = [event for side, event in link.events if side == "b" and isinstance(event, Equivocation)]
    assert shown == [Equivocation(key_of(MALLORY), node_id_of(MALLORY.key), 10)]
    got = link.command("a", "get", {"key": key_of(MALLORY).hex()})
    assert got["value"] == WINNER
    other = link.b.dht.store.other(key_of(MALLORY), link.now.wall_ms)
    assert other is not None


def test_a_reader_who_meets_both_says_so() -> None:
    link = pair().met()
    key = key_of(MALLORY)
    for side, value in (("a", WINNER), ("b", LOSER)):
        peer = link.peer(side)
        stranger = Stranger(link)
        data = stranger.datagram(m.Store(2, signed(link, seq=10, value=value), 600), to=side,
                                 token=stranger.token(side=side))  # fmt: skip
        stranger.send(data, side=side)
        assert peer.dht.store.get(key, link.now.wall_ms) is not None  # type: ignore[attr-defined]
    before = len(link.events)
    for side in ("a", "b"):
        assert link.command(side, "get", {"key": key.hex()})["value"] == WINNER
    assert [side for side, event in link.events[before:] if isinstance(event, Equivocation)] == ["a", "b"]


@pytest.mark.parametrize(("ahead_ms", "status"), [(DAY_MS, m.StoreStatus.STORED), (DAY_MS + 1, m.StoreStatus.INVALID)])
def test_a_seq_is_at_most_a_day_ahead(ahead_ms: int, status: m.StoreStatus) -> None:
    link = pair()
    inner = signed(link, seq=link.now.wall_ms + ahead_ms)
    assert store(link, Stranger(link), m.Store(2, inner, 600)).status is status


@pytest.mark.parametrize("claim", [10**13, (1 << 64) - 1])
def test_who_claims_to_hold_a_newer_one_does_not_push_our_seq(claim: int) -> None:
    link = pair().met()
    link.command("a", "put", {"value": b"1", "name": "name"})
    # In the place of b somebody who answers every STORE with a lie.
    liar = Stranger(link, keys=keys_of(2), address=B)
    link.ask("a", "put", {"value": b"2", "name": "name"})
    lied = 0
    for _ in range(300):
        while link.wire:
            one = link.drop()
            if one.to != B:
                link.inject("a", B, one.data)
                continue
            if isinstance(messages([one])[0], m.Store):
                lied += 1
                reply = m.Stored(m.StoreStatus.OLDER, seq=claim)
                request_id = _request_id(one)
                link.inject("a", B, liar.datagram(reply, to="a", request_id=request_id, stamp=1 << 50))
            else:
                link.inject("b", A, one.data)
        link.advance(0.01)
    assert lied
    assert link.a.own.stored_seq(NAME) <= link.now.wall_ms


def _request_id(one: InFlight) -> bytes:
    return opened(one.data)[0].request_id


def test_our_own_far_record_out_of_a_liars_store_does_not_break_the_next_put() -> None:
    """Whoever once had the key can have signed any seq; no honest holder keeps that."""
    link = pair().met()
    far = signed(link, keys=keys_of(1), seq=(1 << 64) - 1)
    link.b.dht.store._write(key_of(keys_of(1)), _held(far, link.now.wall_ms + 60_000))  # what a liar would do
    put = link.command("a", "put", {"value": b"mine", "name": "name"})
    assert put["seq"] <= link.now.wall_ms
    assert link.command("a", "get", {"key": put["key"]})["value"] == b"mine"


def _held(raw: bytes, expires_ms: int, *, network: Network = REALM) -> Held:
    record = decode_record(raw, network, verify)
    return Held(RecordType.SIGNED, expires_ms, record.seq, NO_DIGEST, record.author_id, b"", raw)


# --- compare and swap ------------------------------------------------------------------------


def test_compare_and_swap() -> None:
    link = pair().met()
    first = link.command("a", "put", {"value": b"1", "name": "name", "cas": 0})
    assert "has seq" in link.fails("a", "put", {"value": b"x", "name": "name", "cas": 0}).message
    second = link.command("a", "put", {"value": b"2", "name": "name", "cas": first["seq"]})
    assert second["seq"] > first["seq"]
    assert second["stored"] == 2
    assert link.command("b", "get", {"key": first["key"]})["value"] == b"2"


@pytest.mark.parametrize(("cas", "status"), [(9, m.StoreStatus.CAS_MISMATCH), (10, m.StoreStatus.STORED)])
def test_a_holder_compares_too(cas: int, status: m.StoreStatus) -> None:
    link = pair()
    stranger = Stranger(link)
    store(link, stranger, m.Store(2, signed(link, seq=10, value=b"1"), 600))
    answer = store(link, stranger, m.Store(2, signed(link, seq=11, value=b"2"), 600, cas=cas))
    assert answer.status is status
    assert answer.seq == (10 if cas == 9 else 11)


# --- time and quotas -------------------------------------------------------------------------


def test_an_expired_record_is_neither_taken_nor_given() -> None:
    link = pair().met()
    stranger = Stranger(link)
    over = signed(link, life_ms=0)
    assert store(link, stranger, m.Store(2, over, 600)).status is m.StoreStatus.INVALID
    assert store(link, stranger, m.Store(1, b"v", 0)).status is m.StoreStatus.INVALID
    store(link, stranger, m.Store(2, signed(link, life_ms=5000), 600))
    store(link, stranger, m.Store(1, b"v", 5))
    for key in (key_of(MALLORY), blob_key(b"v")):
        assert link.command("a", "get", {"key": key.hex()})["value"] == b"v"
    link.settle(6)
    for key in (key_of(MALLORY), blob_key(b"v")):
        assert link.fails("a", "get", {"key": key.hex()}).code == "not_found"


def test_a_reader_does_not_take_an_expired_record_from_whoever_gives_it() -> None:
    link = pair().met()
    raw = signed(link, life_ms=-5)
    link.b.dht.store._write(key_of(MALLORY), _held(raw, link.now.wall_ms + 60_000))
    assert link.fails("a", "get", {"key": key_of(MALLORY).hex()}).code == "not_found"


@pytest.mark.parametrize(("over_ms", "blamed"), [(1000, False), (DAY_MS - 60_000, False), (DAY_MS + 60_000, True)])
def test_who_gives_a_record_that_just_expired_is_not_blamed(over_ms: int, blamed: bool) -> None:
    """Our clock may be fast by what is granted to that of an author."""
    link = pair().met()
    seen: list[Observation] = []
    link.a.endpoint.policy = Noting(seen)
    raw = signed(link, life_ms=-over_ms)
    message = m.Value(bytes(8), 2, raw, 600)
    collector = RecordCollector(link.a.dht, key_of(MALLORY), 3)
    [holder] = link.a.table.contacts()
    if blamed:
        with pytest.raises(BadMessage, match="expired"):
            collector.take(holder, message)
    else:
        assert not collector.take(holder, message)
        assert link.counted("a", "expired records passed over") == 1
    assert collector.best is None
    link.b.dht.store._write(key_of(MALLORY), _held(raw, link.now.wall_ms + 60_000))
    assert link.fails("a", "get", {"key": key_of(MALLORY).hex()}).code == "not_found"
    assert (Observation.INVALID_DATA in seen) == blamed
    assert (link.counted("a", "invalid records refused") > 0) == blamed


def test_what_the_disk_holds_of_another_network_is_not_ours() -> None:
    link = pair().met()
    other = Network("other", puzzle_bits=0)
    raw = signed(link, keys=keys_of(5), network=other)
    now = link.now.wall_ms
    link.a.dht.store._write(key_of(keys_of(5)), _held(raw, now + 60_000, network=other))
    provider = decode_provider(encode_provider(MALLORY, other, bytes(32), 7, now + 60_000), other, verify)
    link.a.dht.store.put_provider(provider, ELSEWHERE, wall_ms=now)
    assert link.fails("a", "get", {"key": key_of(keys_of(5)).hex()}).code == "not_found"
    assert link.command("a", "providers", {"key": bytes(32).hex()})["providers"] == []


@pytest.mark.parametrize("other", [Network("other", puzzle_bits=0), Network("pair", puzzle_bits=0, psk=bytes(32))])
def test_a_home_of_one_network_is_not_taken_into_another(other: Network) -> None:
    """Its records would be published there, on a public network those of a private one."""
    link = pair().met()
    link.command("a", "put", {"value": b"secret"})
    with pytest.raises(LocalError, match=r"this home belongs to network 'pair'.*--home"):
        make_peer(1, network=other, storage=link.a.journal.storage, life=1)
    make_peer(1, storage=link.a.journal.storage, life=2)


def test_who_was_asked_in_vain_is_told_in_words() -> None:
    assert "this node is alone and does not hold" in pair().fails("a", "get", {"key": "ab" * 32}).message
    assert "the only peer that answered does not" in pair().met().fails("a", "get", {"key": "ab" * 32}).message


def test_an_author_has_his_share(monkeypatch: pytest.MonkeyPatch) -> None:
    link = pair()
    monkeypatch.setattr(link.b.dht.store._quota, "_per_author", 3)
    stranger = Stranger(link)
    statuses = [store(link, stranger, m.Store(1, b"%d" % i, 600)).status for i in range(20)]
    assert len(link.b.dht.store) == 3
    assert m.StoreStatus.QUOTA in statuses


def test_so_many_own_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.dht.own.MAX_OWN_RECORDS", 2)
    assert MAX_OWN_RECORDS > 2
    link = pair()
    for i in range(2):
        link.command("a", "put", {"value": b"%d" % i})
    assert link.fails("a", "put", {"value": b"x"}).code == "failed"
    link.command("a", "put", {"value": b"1"})


def test_contacts_of_other_books_are_other_contacts() -> None:
    """Stranger.token uses a book of its own; a token depends on key and address alone."""
    link = pair()
    stranger = Stranger(link)
    assert stranger.token() == link.b.endpoint.token_for(ContactBook().contact(MALLORY.key, ELSEWHERE))
