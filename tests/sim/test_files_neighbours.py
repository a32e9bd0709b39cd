"""Neighbours on a LAN have what the DHT knows nobody for."""

from __future__ import annotations

import pytest

from apps.files.core.app import Files
from apps.files.core.limits import LOOK_AGAIN_S, MAX_NEAR_ROUNDS, MAX_NEIGHBOURS_ASKED
from apps.files.core.memory_disk import make_share
from apps.files.core.questions import Find, Found, Holding, Holds
from apps.files.core.search import Search
from apps.files.core.share import Share
from tests.support.files_swarm import FilesSwarm

FILM = make_share(b"film", {(b"film",): 70_000})
SECRET = make_share(b"secret", {(b"secret",): 70_000}, private=True)
LIBRARY = {made.info.id: made for made in (FILM, SECRET)}


class Unannounced(Files):
    """Has no provider record in the DHT."""

    def _announce(self, share: Share) -> None:
        pass


def swarm_of(nodes: int, *, lan: bool) -> FilesSwarm:
    swarm = FilesSwarm(nodes, LIBRARY, seed=1, lan=lan, kinds=dict.fromkeys(range(nodes), Unannounced))
    swarm.run_for(5)
    return swarm


def state(swarm: FilesSwarm, node: int, share: bytes) -> str:
    return str(swarm.ask(node, "status", share=share.hex())["state"])


@pytest.mark.parametrize("lan", [True, False])
def test_a_neighbour_is_found_by_the_id_alone(lan: bool) -> None:
    swarm = swarm_of(5, lan=lan)
    swarm.ask(0, "share", path="film")
    swarm.ask(1, "get", link=FILM.info.id.hex(), folder="/downloads")
    swarm.run_for(10)
    assert state(swarm, 1, FILM.info.id) == ("complete" if lan else "finding")


def test_neighbours_are_not_told_of_a_private_share() -> None:
    swarm = swarm_of(3, lan=True)
    swarm.ask(0, "share", path="secret")
    swarm.ask(1, "get", link=SECRET.info.id.hex(), folder="/downloads")
    swarm.run_for(10)
    assert state(swarm, 1, SECRET.info.id) == "finding"


@pytest.mark.parametrize(("told", "blamed"), [((True,), False), ((True, True), True), ((), True)])
def test_neighbours_that_lie_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch, told: tuple[bool, ...], blamed: bool
) -> None:
    answer = Search.answer

    async def lie(search: Search, asker: bytes, question: Find | Holds) -> Found | Holding:
        if search is swarm.files[0].search:
            return await answer(search, asker, question)
        return Holding(told)

    monkeypatch.setattr(Search, "answer", lie)
    swarm = swarm_of(6, lan=True)
    swarm.ask(0, "share", path="film")
    swarm.ask(1, "get", link=FILM.info.id.hex(), folder="/downloads")
    swarm.run_for(15)
    assert state(swarm, 1, FILM.info.id) == "complete"
    reasons = {fields["reason"] for node, fields in swarm.events("bad peer") if node == 1}
    assert reasons == ({"an answer to another question"} if blamed else set())


def test_a_banned_neighbour_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[type] = []
    answer = Search.answer

    async def noted(search: Search, asker: bytes, question: Find | Holds) -> Found | Holding:
        asked.append(type(question))
        return await answer(search, asker, question)

    monkeypatch.setattr(Search, "answer", noted)
    swarm = swarm_of(2, lan=True)
    swarm.files[1].around.bans.convict(swarm.id(0), b"evidence")
    swarm.ask(1, "get", link=FILM.info.id.hex(), folder="/downloads")
    swarm.run_for(10)
    assert asked == []


def test_few_neighbours_are_asked_and_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bytes, float]] = []
    answer = Search.answer

    async def noted(search: Search, asker: bytes, question: Find | Holds) -> Found | Holding:
        if isinstance(question, Holds):
            asked.append((question.shares[0], search.ctx.now.mono_ns / 1e9))
        return await answer(search, asker, question)

    monkeypatch.setattr(Search, "answer", noted)
    swarm = swarm_of(MAX_NEIGHBOURS_ASKED + 6, lan=True)
    swarm.ask(1, "get", link=FILM.info.id.hex(), folder="/downloads")
    swarm.run_for(60)
    rounds = 5  # at once, and after 2, 4, 8, 16 s more
    assert 2 * MAX_NEIGHBOURS_ASKED <= len(asked) <= (rounds + 1) * MAX_NEIGHBOURS_ASKED
    assert len([at_s for _, at_s in asked if at_s < asked[0][1] + LOOK_AGAIN_S]) == MAX_NEIGHBOURS_ASKED
    asked.clear()
    swarm.commands(
        (2, "app", {"app": "files", "command": "get", "args": {"link": bytes([n] * 32).hex(), "folder": "/d"}})
        for n in range(20)
    )
    swarm.run_for(0.5)
    assert len({share for share, _ in asked} - {FILM.info.id}) == MAX_NEAR_ROUNDS
