"""What search is made of: signed postings, the list of what can be found here, and the order of what was found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from apps.files.core.catalogue import Catalogue, Entry
from apps.files.core.findings import Findings, Where
from apps.files.core.index import candidates
from apps.files.core.limits import (
    LEASE_S,
    MAX_ASKED_TERMS,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_HOLDS,
    MAX_MATCHES_LOOKED_AT,
    MAX_NAME,
    MAX_PEERS_ASKED,
    MAX_PEERS_PER_PLACE,
    MAX_POSTING,
    MAX_POSTINGS_PER_PEER,
    MAX_POSTINGS_PER_PLACE,
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_TERM_BYTES,
)
from apps.files.core.posting import Posting, check_tags, decode_posting, encode_posting, words_of
from apps.files.core.questions import Find, Found, Holding, Holds
from apps.files.core.terms import terms
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Context, Network
from overlay.limits import MAX_APP_BODY
from overlay.rpc.contact import Contact, ContactBook
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from overlay.typed import decode_message, encode_message
from overlay.wire import cbor, cose

NET = Network("search", puzzle_bits=0)
KEYS = KeyPair.from_seed(bytes(32))
ids = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(codec="utf-8"), max_size=60)
tag_lists = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=MAX_TAGS).map(tuple)
expiries = st.integers(0, 1 << 62)


@st.composite
def raw_postings(draw: Any) -> bytes:
    return encode_posting(
        KEYS, NET, share=draw(ids), name=draw(texts), size=draw(st.integers(0, MAX_FILE_BYTES)),
        files=draw(st.integers(0, MAX_FILES)), tags=draw(tag_lists), expires_ms=draw(expiries),
    )  # fmt: skip


# --- postings ---


@given(ids, texts, tag_lists, expiries)
def test_a_posting_is_read_back(share: bytes, name: str, tags: tuple[str, ...], expires_ms: int) -> None:
    raw = encode_posting(KEYS, NET, share=share, name=name, size=7, files=3, tags=tags, expires_ms=expires_ms)
    assert decode_posting(raw, NET, verify) == Posting(KEYS.key, share, name, 7, 3, tags, expires_ms, raw)


@given(raw_postings(), st.data())
def test_a_changed_posting_is_none(raw: bytes, data: Any) -> None:
    changed = bytearray(raw)
    changed[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadMessage):
        decode_posting(bytes(changed), NET, verify)


@given(st.binary(max_size=MAX_POSTING + 50))
def test_noise_is_no_posting(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_posting(raw, NET, verify)


GOOD: list[Any] = [bytes(32), "name", 1, 1, ["tag"], 1]


@pytest.mark.parametrize(
    ("at", "bad"),
    [
        (0, bytes(31)), (0, "x" * 32), (1, b"name"), (1, "x" * (MAX_NAME + 1)), (2, -1), (2, True),
        (2, MAX_FILE_BYTES + 1), (3, MAX_FILES + 1), (4, "tag"), (4, ["t"] * (MAX_TAGS + 1)),
        (4, ["x" * (MAX_TAG_BYTES + 1)]), (4, [b"t"]), (4, [["t"]]), (5, None), (5, 1 << 63), (6, "one more"),
    ],
)  # fmt: skip
def test_what_no_posting_says_is_refused_though_it_is_signed(at: int, bad: Any) -> None:
    def signed(items: list[Any]) -> bytes:
        return cose.sign1(KEYS, NET.aad(Context.POSTING), cbor.encode(items))

    decode_posting(signed(GOOD), NET, verify)
    with pytest.raises(BadMessage):
        decode_posting(signed([*GOOD[:at], bad, *GOOD[at + 1 :]]), NET, verify)


def test_a_signature_of_another_sort_or_network_is_none() -> None:
    for aad in (NET.aad(Context.RECORD), NET.aad(Context.PROVIDER), Network("other").aad(Context.POSTING)):
        with pytest.raises(BadMessage):
            decode_posting(cose.sign1(KEYS, aad, cbor.encode(GOOD)), NET, verify)


def test_the_longest_of_all_fit_into_datagrams() -> None:
    raw = encode_posting(
        KEYS, NET, share=bytes(32), name="é" * 1000, size=MAX_FILE_BYTES, files=MAX_FILES,
        tags=tuple(f"{n:032}" for n in range(MAX_TAGS)), expires_ms=1 << 62,
    )  # fmt: skip
    assert len(raw) <= MAX_POSTING
    assert decode_posting(raw, NET, verify).name == "é" * 127
    words = tuple(f"{n:0{MAX_TERM_BYTES}}" for n in range(MAX_ASKED_TERMS))
    for message in (
        Found((raw,), more=True), Find(words, MAX_POSTINGS_PER_PEER), Holds((bytes(32),) * MAX_HOLDS),
        Holding((True,) * MAX_HOLDS),
    ):  # fmt: skip
        assert len(encode_message(message)) <= MAX_APP_BODY


@pytest.mark.parametrize(
    "bad",
    [
        ["find", 1, [[], 0]], ["find", 1, [["w"], -1]], ["find", 1, [["w"], MAX_POSTINGS_PER_PEER + 1]],
        ["find", 1, [["w" * (MAX_TERM_BYTES + 1)], 0]], ["find", 1, [[""], 0]], ["find", 1, [["w"] * 17, 0]],
        ["found", 1, [[b"x" * (MAX_POSTING + 1)], False]], ["found", 1, [[b"x"] * 21, False]], ["found", 1, [[], True]],
        ["holds", 1, [[]]], ["holds", 1, [[bytes(31)]]], ["holds", 1, [[bytes(32)] * (MAX_HOLDS + 1)]],
        ["holding", 1, [[1]]],
    ],
)  # fmt: skip
def test_questions_and_answers_out_of_bounds_are_refused(bad: list[Any]) -> None:
    with pytest.raises(BadMessage):
        decode_message(cbor.encode(bad), Find, Found, Holds, Holding)


@pytest.mark.parametrize("bad", ["film", [1], ["..."], [""], ["x" * 33], ["a\nb"], [f"t{n}" for n in range(11)]])
def test_tags_that_are_none_are_refused(bad: Any) -> None:
    with pytest.raises(LocalError):
        check_tags(bad)


def test_tags_are_taken_once() -> None:
    assert check_tags([" film ", "film", "Film"]) == ("film", "Film")
    assert words_of("A moon", ("film", "Film")) == ("film", "a", "moon")


# --- what can be found here ---

NAMES = ["red moon", "blue moon", "moon", "red", "sun 2024"]


class Finding(RuleBasedStateMachine):
    """Against a plain dictionary of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.signed = 0
        self.catalogue = Catalogue(self.sign)
        self.model: dict[bytes, Entry] = {}
        self.now_ns = 0

    def sign(self, entry: Entry, expires_ms: int) -> bytes:
        self.signed += 1
        return entry.share + expires_ms.to_bytes(8, "big")

    @rule(share=st.integers(0, 5), name=st.sampled_from(NAMES), tags=st.sets(st.sampled_from(["film", "moon"])))
    def add(self, share: int, name: str, tags: set[str]) -> None:
        entry = Entry(bytes([share]), name, 1, 1, tuple(sorted(tags)))
        self.catalogue.add(entry, self.now_ns)
        self.model[entry.share] = entry

    @rule(share=st.integers(0, 5))
    def drop(self, share: int) -> None:
        self.catalogue.drop(bytes([share]))
        self.model.pop(bytes([share]), None)

    @rule(seconds=st.sampled_from([1, LEASE_S // 2, 2 * LEASE_S]))
    def time_passes(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND

    @rule()
    def all_words_that_are_due_are_announced(self) -> None:
        announced = []
        while (word := self.catalogue.next_word(self.now_ns)) is not None:
            announced.append(word)
            self.catalogue.postpone(word, LEASE_S // 2, self.now_ns)
        assert len(announced) == len(set(announced))
        due_ns = self.catalogue.next_due_ns()
        assert due_ns is None if not self.model else due_ns is not None and due_ns > self.now_ns

    @rule(query=st.sampled_from(["moon", "red moon", "film", "film red", "2024", "nothing"]))
    def is_found(self, query: str) -> None:
        expected = {entry.share for entry in self.model.values() if entry.words.keys() >= set(terms(query))}
        assert {entry.share for entry in self.catalogue.matching(terms(query))} == expected

    @rule(share=st.integers(0, 5))
    def its_posting_is_signed_in_time(self, share: int) -> None:
        entry = self.model.get(bytes([share]))
        if entry is not None:
            wall_ms = self.now_ns // 1_000_000
            before = self.catalogue.posting(entry, wall_ms)
            signed = self.signed
            assert self.catalogue.posting(entry, wall_ms) == before
            assert self.signed == signed
            left_ms = int.from_bytes(before[1:], "big") - wall_ms
            assert LEASE_S * 500 <= left_ms <= LEASE_S * 1000

    @invariant()
    def nothing_is_kept_of_what_is_gone(self) -> None:
        assert set(self.catalogue._words) == {word for entry in self.model.values() for word in entry.words}
        assert set(self.catalogue._signed) <= set(self.model)
        assert len(self.catalogue) == len(self.model)
        announced = {word for entry in self.model.values() for word in entry.announced}
        assert self.catalogue._wanted == len(announced)


TestFinding = Finding.TestCase


def test_one_node_announces_so_many_words_and_answers_for_all() -> None:
    catalogue = Catalogue(lambda entry, _: entry.share)
    for number in range(120):
        words = " ".join(f"word{number}x{n}" for n in range(10))
        catalogue.add(Entry(number.to_bytes(32, "big"), words, 1, 1, ()), 0)
    announced = 0
    while (word := catalogue.next_word(0)) is not None:
        catalogue.postpone(word, 1, 0)
        announced += 1
    assert (announced, catalogue.left_out) == (1024, 1200 - 1024)
    assert len(catalogue.matching(("word119x9",))) == 1
    catalogue.drop(bytes(32))
    assert catalogue.next_word(0) is not None  # there is room for another one


def test_a_question_for_what_everything_here_has_looks_at_a_part() -> None:
    catalogue = Catalogue(lambda entry, _: entry.share)
    for number in range(3000):
        catalogue.add(Entry(number.to_bytes(32, "big"), f"hot {number}", 1, 1, ()), 0)
    assert len(catalogue.matching(("hot",))) == MAX_POSTINGS_PER_PEER
    assert len(catalogue.matching(("hot", "2999"))) == 1


def test_of_frequent_words_alone_not_all_shares_are_looked_at() -> None:
    """The one that has both is behind MAX_MATCHES_LOOKED_AT that have one of them."""
    for ahead, expected in ((MAX_MATCHES_LOOKED_AT - 1, 1), (MAX_MATCHES_LOOKED_AT, 0)):
        catalogue = Catalogue(lambda entry, _: entry.share)
        for number in range(2 * ahead):
            name = "hot" if number % 2 else "cold"
            catalogue.add(Entry(number.to_bytes(32, "big"), name, 1, 1, ()), 0)
        catalogue.add(Entry(b"x" * 32, "hot cold", 1, 1, ()), 0)
        assert len(catalogue.matching(("hot", "cold"))) == expected


# --- what was found ---

#: (peer, share, name): what peers say.
said = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), st.sampled_from(["moon", "moon film", "Moon!"])))


def posting(peer: int, share: int, name: str, tags: tuple[str, ...] = ()) -> Posting:
    return Posting(bytes([peer]) * 32, bytes([share]) * 32, name, 1, 1, tags, 1, b"")


NOWHERE = Where(b"")


def place(peer: int) -> Where:
    return Where(bytes([peer // 2]))


@given(said, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(said: list[tuple[int, int, str]], random: Any) -> None:
    once = list({(peer, share): (peer, share, name) for peer, share, name in said}.values())
    other = list(once)
    random.shuffle(other)
    listed = []
    for order in (once, other):
        findings = Findings(("moon",))
        for peer, share, name in order:
            findings.add(posting(peer, share, name), place(peer))
        listed.append([{**one, "link": ""} for one in findings.listed()])
    assert listed[0] == listed[1]


@given(said, st.integers(0, 3), st.integers(20, 30))
def test_another_seed_never_makes_a_share_rank_lower(said: list[tuple[int, int, str]], share: int, peer: int) -> None:
    findings = Findings(("moon",))
    for one, of, name in said:
        findings.add(posting(one, of, name), place(one))
    wanted = bytes([share]) * 32
    before = findings.best(10)
    if wanted not in before:
        return
    findings.add_seed(wanted, bytes([peer]) * 32, place(peer))
    assert findings.best(10).index(wanted) <= before.index(wanted)


def test_a_name_that_fits_better_ranks_higher_with_as_many_seeds() -> None:
    findings = Findings(("red", "moon"))
    said = [("sun", ("red", "moon")), ("red sun", ("moon",)), ("red moon x", ()), ("Red Moon", ())]
    for share, (name, tags) in enumerate(said):
        assert findings.add(posting(1, share, name, tags), NOWHERE)
    assert [one["name"] for one in findings.listed()] == ["Red Moon", "red moon x", "red sun", "sun"]


def test_many_keys_at_one_place_say_as_much_as_one() -> None:
    findings = Findings(("moon",))
    for peer in range(30):
        findings.add(posting(peer, 1, "moon FAKE"), Where(b"one subnet"))
    for peer in (40, 41):
        findings.add(posting(peer, 1, "moon"), place(peer * 2))
    [listed] = findings.listed()
    assert (listed["name"], listed["seeds"], listed["publishers"]) == ("moon", 32, 32)


def test_one_place_gives_so_many_postings_and_no_more() -> None:
    findings = Findings(("moon",))
    taken = sum(findings.add(posting(peer, share, "moon"), Where(b"x")) for peer in range(9) for share in range(9))
    assert taken == MAX_POSTINGS_PER_PLACE
    assert findings.add(posting(1, 100, "moon"), Where(b"y"))


def test_what_lacks_a_word_is_not_taken() -> None:
    findings = Findings(("red", "moon"))
    assert not findings.add(posting(1, 1, "moon"), NOWHERE)
    assert findings.add(posting(1, 1, "moon", ("red",)), NOWHERE)
    assert not findings.add(posting(1, 1, "red moon"), NOWHERE)  # it said so already
    assert len(findings) == 1


def test_names_are_shown_without_what_moves_a_cursor() -> None:
    findings = Findings(("moon",))
    findings.add(posting(1, 1, "moon\x1b[2J\u202etxt/..", ("a\x07b",)), NOWHERE)
    [listed] = findings.listed()
    assert (listed["name"], listed["tags"]) == ("moon_[2J_txt_..", ["a_b"])


# --- whom to ask ---

BOOK = ContactBook()
CONTACTS = [BOOK.contact(bytes([n]) * 32, Address(bytes((20 + n // 10, 1, 1, n % 10 + 1)), 4433)) for n in range(150)]


def chosen(*lists: list[Contact], capped: bool = False) -> list[Contact]:
    return candidates(lists, lambda contact: contact.address.ip[:3], lambda _: capped, Rng(1).shuffled)


def test_providers_of_a_rare_word_alone_are_asked() -> None:
    assert set(chosen(CONTACTS[:100], CONTACTS[98:101])) == set(CONTACTS[98:101])
    assert chosen(CONTACTS[:100], []) == []


def test_of_frequent_words_those_who_have_most_are_asked_first() -> None:
    asked = chosen(CONTACTS[:90], CONTACTS[60:150])
    assert set(asked[:30]) == set(CONTACTS[60:90])
    assert len(asked) == len(set(asked)) == MAX_PEERS_ASKED


def test_a_subnet_of_the_internet_is_asked_a_few_times() -> None:
    asked = chosen(CONTACTS, capped=True)
    places = [contact.address.ip[:3] for contact in asked]
    assert max(places.count(place) for place in places) == MAX_PEERS_PER_PLACE
    assert len(asked) == 15 * MAX_PEERS_PER_PLACE


def test_words_are_announced_in_the_order_of_the_name() -> None:
    """A set of texts has another order in every process: what was announced first could not be replayed."""
    words = tuple(f"word{number}" for number in range(20))
    catalogue = Catalogue(lambda entry, until_ms: b"")
    catalogue.add(Entry(bytes(32), " ".join(words), 1, 1, ()), 0)
    said = []
    while (word := catalogue.next_word(0)) is not None:
        said.append(word)
        catalogue.postpone(word, 60, 0)
    assert tuple(said) == words
