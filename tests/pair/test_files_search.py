"""Search against a peer whose copy of file sharing answers what it likes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest

from apps.files.core.app import Files
from apps.files.core.catalogue import Entry
from apps.files.core.limits import (
    LEASE_S,
    MAX_HOLDERS_ASKED,
    MAX_LEASE_S,
    MAX_POSTINGS_PER_PEER,
    MAX_SEARCHES,
    MAX_SEED_LOOKUPS,
    MAX_SEEDS_LOOKED_UP,
)
from apps.files.core.memory_disk import MemoryDisk
from apps.files.core.posting import encode_posting
from apps.files.core.questions import Find, Found, Holding, Holds
from apps.files.core.sources import provider_key
from apps.files.core.terms import term_key
from overlay import App, AppContext
from overlay.events import AppEvent
from overlay.identity.keys import Signer
from overlay.identity.network import Network
from overlay.rpc.contact import Contact, ContactBook
from overlay.runtime.address import Address
from overlay.runtime.ports import MS, SECOND, Ok
from overlay.wire import cbor
from tests.support.pair import REALM, B, Pair, keys_of, pair

#: What the other side answers: a message, or bytes.
Answer = Callable[[AppContext, Find | Holds], Awaitable[Any]]


@attrs.define(eq=False)
class Other(App):
    """Provides "moon" and a share, and answers as the test says."""

    say: Answer
    asked: list[Find | Holds] = attrs.Factory(list)
    name = "files"

    async def run(self, ctx: AppContext) -> None:
        async def answer(_: bytes, question: Find | Holds) -> Any:
            self.asked.append(question)
            return await self.say(ctx, question)

        ctx.serve(answer, Find, Holds)
        await ctx.sleep(2 * SECOND)
        await ctx.announce(term_key("moon"), ttl_s=LEASE_S)
        await ctx.announce(provider_key(bytes(32)), ttl_s=LEASE_S)


def posting(
    ctx: AppContext, number: int = 1, *, name: str = "moon", lease_s: int = LEASE_S, signer: Signer | None = None,
    network: Network = REALM,
) -> bytes:  # fmt: skip
    return encode_posting(
        signer or ctx.dht.endpoint.signer, network, share=number.to_bytes(32, "big"), name=name, size=5, files=1,
        tags=(), expires_ms=ctx.now.wall_ms + lease_s * 1000,
    )  # fmt: skip


def met(say: Answer) -> tuple[Pair, Other]:
    other = Other(say)
    link = pair(apps_a=[Files(MemoryDisk({}).operations())], apps_b=[other]).met()
    link.settle(5)
    return link, other


def begin(link: Pair, **args: Any) -> int:
    return link.ask("a", "app", {"app": "files", "command": "search", "args": {"words": "moon", **args}})


def searched(link: Pair, *, within_s: float = 6) -> dict[str, Any]:
    number = begin(link)
    link.settle(within_s)
    outcome = link.results["a", number]
    assert isinstance(outcome, Ok), outcome
    return dict(outcome.value)


def blamed(link: Pair) -> list[object]:
    return [
        dict(event.fields)["reason"]
        for side, event in link.events
        if side == "a" and isinstance(event, AppEvent) and event.name == "bad peer"
    ]


def test_a_posting_is_listed_with_where_to_get_it() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return Found((posting(ctx),), more=False) if isinstance(question, Find) else Holding((True,))

    link, other = met(say)
    [listed] = searched(link)["results"]
    assert listed["id"] == (1).to_bytes(32, "big").hex()
    assert listed["link"].endswith(f"&dn=moon&x.p2pnode={link.id_text('b').replace('-', '')}@{B}")
    assert (listed["name"], listed["size"], listed["seeds"], listed["publishers"]) == ("moon", 5, 1, 1)
    assert other.asked == [Find(("moon",), 0)]  # who gave a posting is not asked whether it holds the share


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda ctx: (posting(ctx, signer=keys_of(66)),), "a posting of somebody else"),
        (lambda ctx: (posting(ctx, network=Network("other")),), "the signature is not valid"),
        (lambda ctx: (posting(ctx)[:-1] + b"x",), "the signature is not valid"),
        (lambda ctx: (b"junk",), "not a COSE_Sign1 of this protocol"),
    ],
)
def test_only_what_the_peer_itself_signed_counts(bad: Callable[[AppContext], tuple[bytes, ...]], reason: str) -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return Found(bad(ctx), more=False)

    link, _ = met(say)
    assert searched(link) == {"results": [], "asked": 1}
    assert blamed(link) == [reason]


@pytest.mark.parametrize("lease_s", [-1, 0, MAX_LEASE_S + 60])
def test_a_lease_that_is_over_or_has_no_end_is_none(lease_s: int) -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return Found((posting(ctx, lease_s=lease_s),), more=False)

    link, _ = met(say)
    assert searched(link)["results"] == []
    assert blamed(link) == []  # its clock may be wrong


def test_what_lacks_the_words_is_not_listed() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return Found((posting(ctx, name="buy my pills"),), more=False)

    assert searched(met(say)[0])["results"] == []


def test_one_peer_is_asked_for_so_many_postings() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        if isinstance(question, Holds):
            return Holding((False,) * len(question.shares))
        first = question.first
        return Found(tuple(posting(ctx, first + n) for n in range(3)), more=True)

    link, other = met(say)
    results = searched(link)["results"]
    assert len(results) == MAX_POSTINGS_PER_PEER
    assert [question.first for question in other.asked if isinstance(question, Find)] == [*range(0, 20, 3)]
    assert blamed(link) == []


def test_an_answer_with_nothing_in_it_that_goes_on_ends_the_questions() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return cbor.encode(["found", 1, [[], True]])

    link, other = met(say)
    assert searched(link)["results"] == []
    assert len(other.asked) == 1
    assert blamed(link) == ["an answer with nothing in it that goes on"]


@attrs.define(eq=False)
class Crowded:
    """In the place of an Asker: each share has providers of its own, who are asked and say nothing."""

    given: int = 0
    asked: list[Contact] = attrs.Factory(list)

    async def providers(self, key: bytes, most: int, within_ns: int) -> list[Contact]:
        self.given += most
        book = ContactBook()
        return [
            book.contact(number.to_bytes(32, "big"), Address(bytes((60, 1, number // 200, 1 + number % 200)), 4433))
            for number in range(self.given - most, self.given)
        ]

    async def ask(self, peers: Sequence[Contact], question: object) -> None:
        self.asked.extend(peers)


def test_so_many_holders_are_asked_and_no_more() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        first = question.first if isinstance(question, Find) else 0
        return Found(tuple(posting(ctx, first + n) for n in range(2)), more=True)

    files, crowd = Files(MemoryDisk({}).operations()), Crowded()
    link = pair(apps_a=[files], apps_b=[Other(say)]).met()
    link.settle(5)
    files.search.asker = crowd  # type: ignore[assignment]
    assert len(searched(link)["results"]) == MAX_POSTINGS_PER_PEER
    assert crowd.given == MAX_SEED_LOOKUPS * MAX_SEEDS_LOOKED_UP > MAX_HOLDERS_ASKED
    assert len(crowd.asked) == len(set(crowd.asked)) == MAX_HOLDERS_ASKED


def test_the_same_posting_over_and_over_is_listed_once() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return Found((posting(ctx),), more=True)

    link, other = met(say)
    assert len(searched(link)["results"]) == 1
    assert len(other.asked) == MAX_POSTINGS_PER_PEER


@pytest.mark.parametrize("answer", [b"junk", Holding((True,)), b""])
def test_another_answer_than_was_asked_for_is_nobodys_posting(answer: Any) -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return answer

    link, _ = met(say)
    assert searched(link)["results"] == []
    assert len(blamed(link)) == 1


def test_who_never_answers_is_waited_for_until_the_time_is_over() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        await ctx.sleep(10**6 * SECOND)

    link, _ = met(say)
    begun_ns, number = link.now.mono_ns, begin(link, seconds=2)
    while ("a", number) not in link.results:
        link.settle(0.1)
    assert link.now.mono_ns - begun_ns <= 2 * SECOND + 200 * MS
    assert blamed(link) == []


def test_a_holder_that_answers_for_more_or_fewer_shares_is_blamed() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        return Found((), more=False) if isinstance(question, Find) else Holding((True, True))

    other = Other(say)
    link = pair(apps_a=[Sharing(MemoryDisk({}).operations())], apps_b=[other]).met()
    link.settle(5)
    [listed] = searched(link)["results"]
    assert (listed["seeds"], listed["publishers"]) == (1, 1)  # this node itself
    assert isinstance(other.asked[-1], Holds)
    assert blamed(link) == ["an answer to another question"]


class Sharing(Files):
    """Has a posting of its own, of a share that the other side provides, too."""

    def _whole(self, share_id: bytes) -> bool:
        return True

    async def run(self, ctx: AppContext) -> None:
        await super().run(ctx)
        self.search.catalogue.add(Entry(bytes(32), "moon", 1, 1, ()), ctx.now.mono_ns)


def test_searches_at_once_and_their_arguments_are_bounded() -> None:
    async def say(ctx: AppContext, question: Find | Holds) -> Any:
        await ctx.sleep(10**6 * SECOND)

    link, _ = met(say)
    for _ in range(MAX_SEARCHES):
        begin(link)
    ask = {"app": "files", "command": "search"}
    assert "8 searches are under way" in link.fails("a", "app", {**ask, "args": {"words": "moon"}}).message
    for bad in ({"words": ""}, {"words": "..."}, {"words": 7}, {"words": "x" * 600}, {"words": "moon", "seconds": 0},
                {"words": "moon", "seconds": 61}, {"words": "moon", "seconds": True},
                {"words": " ".join(f"w{n}" for n in range(17))}):  # fmt: skip
        link.fails("a", "app", {**ask, "args": bad})
    link.settle(6)
    assert searched(link)["results"] == []
