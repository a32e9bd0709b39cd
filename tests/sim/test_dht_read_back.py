"""The secure PUT believes no STORED: it reads back what it stored, from others than itself."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.dht.store import PutOutcome
from tests.support.swarm import LOOPBACK, Swarm

N = 26


class Forgetful:
    """A record store that says STORED and keeps nothing: what a lying holder looks like from outside."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_blob(self, *args: Any, **kwargs: Any) -> PutOutcome:
        return PutOutcome.STORED

    def put_signed(self, *args: Any, **kwargs: Any) -> PutOutcome:
        return PutOutcome.STORED


def repeated(swarm: Swarm, node: int) -> int:
    return int(swarm.peer(node).endpoint.counters.get("puts repeated", 0))


@pytest.fixture
def swarm() -> Swarm:
    swarm = Swarm(N, seed=9, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    return swarm


@pytest.mark.parametrize("name", [{}, {"name": "greeting"}], ids=["blob", "signed"])
def test_holders_who_keep_nothing_are_noticed_although_the_author_has_a_copy(
    swarm: Swarm, name: dict[str, str]
) -> None:
    for node in range(1, N):
        swarm.peer(node).dht.store = Forgetful(swarm.peer(node).dht.store)
    puts = [{"value": b"value %d" % number, **name} for number in range(4)]
    for args in puts:
        swarm.command(0, "put", **args)
    assert len(swarm.peer(0).dht.store) > 0, "the author was never among the closest: nothing was shown"
    assert repeated(swarm, 0) == len(puts)


def test_a_version_that_others_had_before_is_not_what_was_put(swarm: Swarm) -> None:
    swarm.command(0, "put", value=b"first", name="versions")
    for node in range(1, N):
        swarm.peer(node).dht.store = Forgetful(swarm.peer(node).dht.store)
    swarm.command(0, "put", value=b"second", name="versions")
    assert repeated(swarm, 0) == 1


def test_honest_holders_are_asked_once(swarm: Swarm) -> None:
    for number in range(8):
        swarm.command(number, "put", value=b"value %d" % number, **({"name": "n"} if number % 2 else {}))
    assert sum(repeated(swarm, node) for node in range(N)) == 0
