"""A peer of a chain that lies, withholds, floods: who is barred for what, and that the others go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from apps.chain.core.books import Books
from apps.chain.core.compact import encode_compact
from apps.chain.core.limits import (
    KEPT_BLOCKS,
    MAX_EARLY,
    MAX_INVALID_TXS_PER_MINUTE,
    MAX_ORPHANS_PER_SOURCE,
    MAX_PEERS,
    MAX_SERVED,
    MAX_SERVED_PER_PEER,
)
from apps.chain.core.miner import Miner
from apps.chain.core.operations import Pay
from apps.chain.core.params import simulated
from apps.chain.core.relay import MAX_METERED_AUTHORS
from apps.chain.core.tx import encode_tx
from apps.chain.core.wire import (
    PROTOCOL,
    AskBodies,
    AskPool,
    blocks_topic,
    encode_question,
    encode_standing,
    encode_txs,
    txs_topic,
)
from overlay.app import AppContext
from overlay.errors import LocalError, OverlayError
from overlay.runtime.ports import SECOND
from overlay.streams import Stream
from overlay.wire import cbor
from simulations.adversaries.chain_liars import LiarChain
from simulations.chain.world import SwarmChain
from tests.support.chain_swarm import PARAMS, RATE, ChainSwarm
from tests.support.chains import Maker

#: Node 0 mines and is honest, node 1 is honest, node 2 is not.
HONEST, LIAR = (0, 1), 2

Act = Callable[["Hostile", AppContext], Any]


class Hostile(SwarmChain):
    """Runs as all do, and then does what the test says."""

    def __init__(self, books: Books, miner: Miner | None, act: Act) -> None:
        super().__init__(books, miner=miner)
        self.act = act
        #: What it answers in the place of its books, by operation.
        self.answers: dict[str, Callable[..., Any]] = {}
        real = self.operations
        self.operations = {name: partial(self._answer, name, real[name]) for name in real}

    def _answer(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        return self.answers.get(name, real)(*args)

    async def run(self, ctx: AppContext) -> None:
        await super().run(ctx)
        ctx.spawn(self.act(self, ctx), name="hostile")


def three(act: Act | None = None, *, lie: str = "", **more: Any) -> ChainSwarm:
    kind = partial(liar, lie) if act is None else partial(hostile, act)
    swarm = ChainSwarm(3, lan=True, rates={0: RATE}, kinds={LIAR: kind}, **more)
    swarm.run_for(5)
    swarm.mine(0)
    return swarm


def liar(lie: str, books: Books, miner: Miner | None) -> SwarmChain:
    return LiarChain(books, miner, lie, lambda: None)


def hostile(act: Act, books: Books, miner: Miner | None) -> SwarmChain:
    return Hostile(books, miner, act)


def barred(swarm: ChainSwarm) -> dict[int, str]:
    """By whom the liar was barred, and why; nobody else ever is."""
    told = swarm.events("bad peer")
    assert {one["peer"] for _, one in told} <= {swarm.id(LIAR)}
    return {node: str(one["reason"]) for node, one in told if node != LIAR}


def goes_on(swarm: ChainSwarm) -> None:
    height = swarm.height(0)
    swarm.until_height(0, height + 3)
    swarm.run_for(2)
    assert swarm.height(1) == swarm.height(0)


async def nothing(_chain: Hostile, _ctx: AppContext) -> None:
    pass


# --- headers -----------------------------------------------------------------------------------


def test_who_claims_more_work_than_it_has_is_barred() -> None:
    swarm = three(lie="boast")
    swarm.run_for(100)
    assert set(barred(swarm)) == set(HONEST)
    assert "claims more work than its headers have" in barred(swarm)[0]
    goes_on(swarm)


def test_headers_that_break_a_rule_bar_who_gives_them() -> None:
    async def act(chain: Hostile, ctx: AppContext) -> None:
        maker = Maker(PARAMS)
        good = maker.block(PARAMS.genesis_id, after_s=1)
        bad = attrs.evolve(maker.header(good.id), difficulty=good.header.difficulty + 1)
        headers = [good.raw_header, maker.mined(bad)]
        chain.answers["after"] = lambda _locator: (headers, attrs.astuple(chain.books.summary()))

        async def stand(_peer: bytes, _body: bytes) -> bytes:
            return encode_standing(attrs.evolve(chain.serving.standing(), work=1 << 60))

        ctx.serve(stand)

    swarm = three(act)
    swarm.run_for(100)
    assert set(barred(swarm)) == set(HONEST)
    assert "H10" in barred(swarm)[0]
    goes_on(swarm)


def test_a_chain_of_little_work_is_not_kept() -> None:
    maker = Maker(simulated(b"swarm", maturity=2))
    line = maker.line(PARAMS.genesis_id, 30, after_s=15)

    async def act(chain: Hostile, ctx: AppContext) -> None:
        headers = [block.raw_header for block in line]
        chain.answers["after"] = lambda _locator: (headers, attrs.astuple(chain.books.summary()))

        async def stand(_peer: bytes, _body: bytes) -> bytes:
            return encode_standing(attrs.evolve(chain.serving.standing(), work=1 << 60))

        ctx.serve(stand)

    swarm = ChainSwarm(3, lan=True, rates={0: RATE / 4})
    # Before the liar comes they have more than that of these thirty by all that is ever kept beside the best chain.
    swarm.engine.kill(LIAR)
    swarm.world.others[LIAR] = partial(hostile, act)
    swarm.mine(0)
    while (tip := swarm.chain(0).desk.summary).work < (KEPT_BLOCKS + 40) * tip.difficulty:
        swarm.run_for(10)
    swarm.engine.start(LIAR)
    swarm.join(nodes=[LIAR])
    swarm.run_for(120)
    assert set(barred(swarm)) == set(HONEST)
    assert all(swarm.world.store(node).header(line[-1].id) is None for node in HONEST)


# --- bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", ["withhold", "change"])
def test_bodies_that_do_not_come_are_fetched_elsewhere(lie: str) -> None:
    swarm = three(lie=lie)
    swarm.until_height(0, 40)
    swarm.rest(0)
    swarm.run_for(110)
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(60)
    assert swarm.height(late) == swarm.height(0)
    if lie == "withhold":  # silence may be the network's
        assert barred(swarm) == {}


def test_a_body_that_was_changed_bars_who_gave_it_and_marks_no_header() -> None:
    swarm = three(lie="change")
    swarm.until_height(0, 20)
    swarm.rest(0)
    swarm.run_for(110)
    swarm.engine.kill(0)
    swarm.engine.kill(1)
    late = swarm.add()
    swarm.join(through=LIAR, nodes=[late])
    swarm.chain(late).sync.wake(swarm.id(LIAR))
    swarm.run_for(40)
    assert swarm.height(late) == 0
    assert barred(swarm)[late].startswith("B2")
    swarm.engine.start(0)
    swarm.join(through=late, nodes=[0])
    swarm.chain(late).sync.wake(swarm.id(0))
    swarm.run_for(60)
    assert swarm.height(late) == swarm.height(0) >= 20


# --- what is published ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compact", "why"),
    [
        (b"junk", "B1"),
        (cbor.encode([PARAMS.raw_genesis, b""]), ""),  # known: nothing happens
        (cbor.encode([Maker(PARAMS).mined(Maker(PARAMS).header(PARAMS.genesis_id)), b"12345678"]), "B2"),
        (cbor.encode([PARAMS.raw_genesis[:-8] + b"\xff" * 8, b""]), "H12"),
    ],
)
def test_an_invalid_compact_block_bars_its_author(compact: bytes, why: str) -> None:
    async def act(_chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        await ctx.publish(blocks_topic(PARAMS.chain_id), compact)

    swarm = three(act)
    swarm.run_for(25)
    assert {node: reason.partition(":")[0] for node, reason in barred(swarm).items()} == (
        dict.fromkeys(HONEST, why) if why else {}
    )
    goes_on(swarm)


def test_orphans_of_a_stranger_are_bounded_and_cost_few_questions() -> None:
    maker = Maker(PARAMS)
    line = maker.line(PARAMS.genesis_id, 200, after_s=15)

    async def act(chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        for block in line[1:]:  # the first one never comes
            await ctx.publish(blocks_topic(PARAMS.chain_id), cbor.encode([block.raw_header, b""]))
            await ctx.sleep(SECOND // 50)

    swarm = three(act)
    swarm.run_for(21)
    asked = swarm.count_operations(LIAR, "after")
    swarm.run_for(14)
    books = swarm.world.running[1].books
    assert len(books.ledger._orphans) <= MAX_ORPHANS_PER_SOURCE
    assert len(books._early) <= MAX_EARLY
    assert len(asked) <= 60
    goes_on(swarm)


def test_who_publishes_many_invalid_transactions_is_no_longer_heard() -> None:
    async def act(chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        for number in range(MAX_INVALID_TXS_PER_MINUTE + 20):
            raw = encode_tx(
                ctx.dht.endpoint.signer, bytes(8), [Pay(bytes(32), 1)], nonce=number, fee=100, first=0, last=9
            )
            await ctx.publish(txs_topic(PARAMS.chain_id), encode_txs([raw]))
            await ctx.sleep(SECOND // 20)

    swarm = three(act)
    swarm.run_for(40)
    told = swarm.events("deaf")
    assert {node for node, _ in told} == set(HONEST)
    assert all("X3" in str(one["reason"]) for _, one in told)
    assert barred(swarm) == {}  # another chain's may be a mistake
    conduct = swarm.chain(1).txs._conduct
    assert len(conduct) <= MAX_METERED_AUTHORS
    assert conduct[swarm.id(LIAR)].invalid == MAX_INVALID_TXS_PER_MINUTE
    goes_on(swarm)


def test_a_message_that_is_no_list_of_transactions_bars_its_author() -> None:
    async def act(_chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        await ctx.publish(txs_topic(PARAMS.chain_id), b"junk")

    swarm = three(act)
    swarm.run_for(25)
    assert set(barred(swarm)) == set(HONEST)


async def asking(chain: Hostile, ctx: AppContext) -> Stream:
    """A stream to somebody, on which it may say what it likes."""
    peer = next(iter(chain.peers.known))
    chain.talks.end(peer)
    return await ctx.connect(peer, protocol=PROTOCOL)


# --- questions -----------------------------------------------------------------------------------


def test_a_question_that_is_none_bars_who_asks() -> None:
    async def act(chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        stream = await asking(chain, ctx)
        await stream.send(b"junk")

    swarm = three(act)
    swarm.run_for(25)
    assert len(barred(swarm)) == 1
    goes_on(swarm)


def test_what_is_not_there_is_answered_and_costs_nothing_more() -> None:
    got: list[bytes] = []

    async def act(chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        stream = await asking(chain, ctx)
        await stream.send(encode_question(AskBodies((bytes(32), bytes(32)))))
        got.extend([await stream.receive(), await stream.receive()])

    swarm = three(act)
    swarm.run_for(25)
    assert got == [cbor.encode([2, False, b""])] * 2
    assert barred(swarm) == {}


@pytest.mark.parametrize(
    ("own", "others", "is_answered"),
    [
        (MAX_SERVED_PER_PEER - 1, 0, True), (MAX_SERVED_PER_PEER, 0, False),
        (0, MAX_SERVED - 1, True), (0, MAX_SERVED, False),
    ],
)  # fmt: skip
def test_streams_that_are_answered_are_few_of_one_peer_and_of_all(own: int, others: int, is_answered: bool) -> None:
    """Ours opens one to a peer; a hostile one may open many."""
    told: list[str] = []

    async def act(chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        chain.talks.end(next(iter(chain.peers.known)))
        await ctx.sleep(3 * SECOND)
        try:
            stream = await asking(chain, ctx)
            await stream.send(encode_question(AskPool()))
            await stream.receive()
        except OverlayError as error:
            told.append(str(error))
        else:
            told.append("an answer")

    swarm = three(act)
    swarm.run_for(17)
    for node in HONEST:
        served = swarm.chain(node).serving._served
        assert served.get(swarm.id(LIAR), 0) == 0
        served |= {swarm.id(LIAR): own, b"others": others - sum(served.values())}
    swarm.run_for(10)
    [one] = told
    assert ("an answer" if is_answered else "no room") in one
    assert barred(swarm) == {}


def test_blocks_of_a_barred_author_are_not_heard() -> None:
    async def act(_chain: Hostile, ctx: AppContext) -> None:
        await ctx.sleep(20 * SECOND)
        await ctx.publish(blocks_topic(PARAMS.chain_id), encode_compact(Maker(PARAMS).block(PARAMS.genesis_id)))

    swarm = three(act)
    swarm.run_for(10)
    swarm.chain(1).peers.bar(swarm.id(LIAR), "so says the test")
    heard = {node: swarm.count_operations(node, "compact") for node in HONEST}
    swarm.run_for(30)
    by_liar = {node: sum(author == swarm.id(LIAR) for _, author, _ in calls) for node, calls in heard.items()}
    assert by_liar == {0: 1, 1: 0}
    assert len(heard[1]) > 0


def test_peers_that_are_claimed_do_not_push_out_those_that_answer() -> None:
    swarm = three(nothing)
    swarm.run_for(60)
    peers = swarm.chain(1).peers
    before = set(peers.known)
    for number in range(3 * MAX_PEERS):
        peers.heard_of(number.to_bytes(32, "big"))
    assert len(peers.known) == MAX_PEERS
    assert before <= set(peers.known)


# --- our own disk ----------------------------------------------------------------------------------


def test_a_disk_that_fails_blames_nobody() -> None:
    swarm = three(nothing)
    swarm.run_for(30)
    names = ("chain.compact", "chain.headers", "chain.blocks")
    real = {name: swarm.apps._by_node[1, name] for name in names}

    def fails(*_args: Any) -> Any:
        raise LocalError("the disk is full")

    swarm.apps._by_node.update({(1, name): fails for name in names})
    swarm.until_height(0, swarm.height(0) + 3)
    assert {str(one["error"]) for node, one in swarm.events("trouble") if node == 1} == {"the disk is full"}
    status = swarm.ask(1, "status")
    assert (status["synced"], status["trouble"]) == (False, "the disk is full")
    swarm.apps._by_node.update({(1, name): operation for name, operation in real.items()})
    swarm.run_for(60)
    assert barred(swarm) == {}
    status = swarm.ask(1, "status")
    assert (status["synced"], status["trouble"]) == (True, None)
    goes_on(swarm)

