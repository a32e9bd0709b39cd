"""Peers that hold up who asks them: headers that lead nowhere, answers that come by drops, work that nobody checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from apps.chain.core import branch, following, gathering
from apps.chain.core.serving import Serving
from apps.chain.core.wire import AskBodies, AskHeaders, Headers, Part, Question, Standing, encode_answer
from overlay.runtime.ports import SECOND
from overlay.streams import Stream
from tests.sim.test_chain_hostile import HONEST, LIAR, barred, nothing, three
from tests.support.chain_swarm import PARAMS, RATE, ChainSwarm
from tests.support.chains import Maker

#: Answers a question in its own way, or says False: then it is answered as everybody does.
Reply = Callable[[Serving, Stream, Question], Awaitable[bool]]
#: Headers of a message here, so that there are some messages in the past of a young swarm.
EACH = 10
#: Behind the first block, of about the least difficulty: a liar's own chain.
_BLOCKS = Maker(PARAMS).line(PARAMS.genesis_id, 45, after_s=14)
LINE = tuple(block.raw_header for block in _BLOCKS)
HEIGHTS = {block.id: block.header.height for block in _BLOCKS}


def lie(monkeypatch: pytest.MonkeyPatch, swarm: ChainSwarm, reply: Reply, **standing: Any) -> None:
    """From now on the liar answers so, and says that it is there."""
    real, true, liar = Serving._answer, Serving.standing, swarm.id(LIAR)

    async def answer(self: Serving, stream: Stream, question: Question) -> None:
        if self.ctx.id != liar or not await reply(self, stream, question):
            await real(self, stream, question)

    def stand(self: Serving) -> Standing:
        return attrs.evolve(true(self), **standing) if self.ctx.id == liar else true(self)

    monkeypatch.setattr(following, "HEADERS_PER_MESSAGE", EACH)
    monkeypatch.setattr(Serving, "_answer", answer)
    monkeypatch.setattr(Serving, "standing", stand)


def newcomer(swarm: ChainSwarm) -> int:
    """Knows of all, and asks the liar first."""
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.chain(late).sync.wake(swarm.id(LIAR))
    return late


async def as_all_do(_serving: Serving, _stream: Stream, _question: Question) -> bool:
    return False


@pytest.mark.parametrize(
    ("headers", "last", "why"),
    [
        (LINE[:1], False, "more to come"),
        ((), False, "more to come"),
        (LINE[:EACH], False, ""),
        (LINE[1 : EACH + 1], False, "stand on nothing"),
        (LINE[1:], True, "more work than its headers have"),
    ],
    ids=["one again and again", "none again and again", "a full answer again and again", "orphans", "the last orphans"],
)
def test_headers_that_lead_nowhere_hold_nobody_up(
    monkeypatch: pytest.MonkeyPatch, headers: tuple[bytes, ...], last: bool, why: str
) -> None:
    asked: list[Question] = []

    async def reply(_serving: Serving, stream: Stream, question: Question) -> bool:
        if not isinstance(question, AskHeaders):
            return False
        asked.append(question)
        await stream.send(encode_answer(Headers(tuple(headers[:EACH]), last)))
        return True

    swarm = three(nothing)
    swarm.until_height(0, 48)
    lie(monkeypatch, swarm, reply, work=1 << 60, height=1 << 40)
    late = newcomer(swarm)
    swarm.run_for(30)
    assert swarm.height(late) == swarm.height(0) >= 48
    assert len(asked) <= 6
    assert why in barred(swarm).get(late, "")


def test_headers_far_above_what_was_claimed_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def reply(_serving: Serving, stream: Stream, question: Question) -> bool:
        if not isinstance(question, AskHeaders):
            return False
        asked.append(stream.peer)
        at = max((HEIGHTS[block] for block in question.locator if block in HEIGHTS), default=0)
        await stream.send(encode_answer(Headers(LINE[at : at + EACH], False)))
        return True

    swarm = three(nothing)
    swarm.until_height(0, 48)
    lie(monkeypatch, swarm, reply, work=1 << 60, height=2 * EACH)
    late = newcomer(swarm)
    swarm.run_for(30)
    assert swarm.height(late) == swarm.height(0) >= 48
    assert barred(swarm) == {}  # its chain may have become another one
    assert 3 <= asked.count(swarm.id(late)) <= 4


def test_headers_that_come_slowly_hold_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reply(serving: Serving, stream: Stream, question: Question) -> bool:
        if not isinstance(question, AskHeaders):
            return False
        await serving.ctx.sleep(19 * SECOND)
        at = max((HEIGHTS[block] for block in question.locator if block in HEIGHTS), default=0)
        found = LINE[at : at + EACH]
        await stream.send(encode_answer(Headers(tuple(found), len(found) < EACH)))
        return True

    swarm = three(nothing)
    swarm.until_height(0, 48)
    lie(monkeypatch, swarm, reply, work=1 << 60, height=1 << 40)
    late = newcomer(swarm)
    swarm.run_for(50)
    assert swarm.height(late) == swarm.height(0) >= 48
    assert barred(swarm) == {}


def test_who_has_blocks_from_the_future_does_not_claim_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock may be ahead: they are held, and it is not barred for work that does not count yet."""
    make = Maker(PARAMS)
    line = [*make.line(PARAMS.genesis_id, 2), make.block(make.line(PARAMS.genesis_id, 2)[-1].id, after_s=5_000)]

    async def reply(_serving: Serving, stream: Stream, question: Question) -> bool:
        if isinstance(question, AskHeaders):
            await stream.send(encode_answer(Headers(tuple(block.raw_header for block in line), True)))
        return isinstance(question, AskHeaders)

    swarm = three(nothing)
    swarm.until_height(0, 3)
    lie(monkeypatch, swarm, reply, work=1 << 60)
    swarm.run_for(100)
    assert {node for node, one in swarm.events("held") if one["peer"] == swarm.id(LIAR)} == set(HONEST)
    assert barred(swarm) == {}


@pytest.mark.parametrize("whole", [False, True], ids=["a byte now and then", "a body now and then"])
def test_bodies_that_come_by_drops_are_fetched_elsewhere(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    async def reply(serving: Serving, stream: Stream, question: Question) -> bool:
        if not isinstance(question, AskBodies):
            return False
        for block in question.blocks:
            body = await serving.desk.serve("body", block) or b""
            for byte in () if whole else body:
                await serving.ctx.sleep(15 * SECOND)
                await stream.send(encode_answer(Part(True, bytes([byte]))))
            await serving.ctx.sleep(15 * SECOND)
            await stream.send(encode_answer(Part(False, body)))
        return True

    swarm = three(nothing)
    swarm.until_height(0, 48)
    swarm.rest(0)
    swarm.run_for(20)
    lie(monkeypatch, swarm, reply)
    late = newcomer(swarm)
    swarm.run_for(45)
    assert swarm.height(late) == swarm.height(0) >= 48
    assert barred(swarm) == {}


def test_work_of_which_nobody_gives_headers_keeps_nobody_from_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A light one is asked for none, so it could boast for ever."""
    swarm = three(nothing)
    swarm.until_height(0, 3)
    lie(monkeypatch, swarm, as_all_do, work=1 << 250, light=True)
    late = newcomer(swarm)
    swarm.run_for(20)
    assert swarm.height(late) == swarm.height(0)
    assert swarm.ask(late, "status")["synced"] is True
    assert barred(swarm) == {}


def test_a_split_longer_than_what_is_gathered_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides keep few headers of a worse branch: the better one is asked for twice, and nobody is barred."""
    monkeypatch.setattr(branch, "MAX_BRANCH", 15)
    monkeypatch.setattr(gathering, "KEPT_BLOCKS", 4)
    swarm = ChainSwarm(4, lan=True, rates={0: RATE, 2: RATE / 2})
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 3)
    swarm.network.partition([0, 1], [2, 3])
    swarm.mine(2)
    swarm.until_height(2, 60)
    swarm.rest(0, 2)
    swarm.network.heal()
    assert len(swarm.tips()) == 2
    asked = [swarm.count_operations(node, "headers") for node in range(4)]
    swarm.run_for(100)
    assert len(swarm.tips()) == 1
    assert swarm.events("bad peer") == []
    assert {depth for _, one in swarm.events("reorg") if isinstance(depth := one["depth"], int)} & set(range(45, 200))
    assert max(map(len, asked)) >= 2
