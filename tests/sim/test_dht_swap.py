"""Compare-and-swap by several at once, and among holders who lie about it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from overlay.dht.store import PutOutcome
from overlay.runtime.ports import Failed
from tests.support.swarm import LOOPBACK, Swarm


class SharedKey(Swarm):
    """Nodes 0 and 1 are two machines of one owner: one key, so one author of the same records."""

    def keys(self, node: int) -> Any:
        return super().keys(0 if node == 1 else node)


@pytest.mark.parametrize(("seed", "profile"), [(0, "secure"), (1, "secure"), (2, "cheap")])
def test_of_two_machines_that_swap_at_once_at_most_one_wins_and_all_read_its_value(seed: int, profile: str) -> None:
    swarm = SharedKey(12, seed=seed, link=LOOPBACK, fake_keys=True)
    swarm.join(through=2, nodes=[1])
    swarm.run_for(20)
    first = swarm.command(0, "put", value=b"first", name="n")
    args = {"name": "n", "cas": first["seq"], "profile": profile}
    outcomes = swarm.outcomes([(node, "put", {"value": b"%d" % node, **args}) for node in (0, 1)])
    won = [node for node, outcome in enumerate(outcomes) if not isinstance(outcome, Failed)]
    for node, outcome in enumerate(outcomes):
        if not isinstance(outcome, Failed):
            continue
        facts = outcome.facts
        assert facts["expected seq"] == str(first["seq"])
        assert int(facts["found seq"]) > first["seq"]
        seqs = [own["seq"] for own in swarm.command(node, "own")]
        assert seqs == ([first["seq"]] if node == 0 else []), "as before the put"
    assert len(won) <= 1
    swarm.run_for(4000)  # all have published again
    read = {swarm.command(node, "get", key=first["key"])["value"] for node in range(12)}
    assert len(read) == 1
    if won:
        assert read == {b"%d" % won[0]}
        [own] = swarm.command(won[0], "own")
        assert own["seq"] == swarm.command(5, "get", key=first["key"])["seq"]


@attrs.define
class Refusing:
    """A record store that refuses every swap: what a holder looks like who claims to have a newer version."""

    _store: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_signed(self, *args: Any, cas: int | None = None, **kwargs: Any) -> Any:
        return PutOutcome.CAS_MISMATCH if cas is not None else self._store.put_signed(*args, **kwargs)


def test_those_who_claim_a_newer_version_and_show_none_do_not_fail_a_swap() -> None:
    swarm = Swarm(8, seed=1, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    first = swarm.command(0, "put", value=b"first", name="n")
    for node in range(1, 8):
        swarm.peer(node).dht.store = Refusing(swarm.peer(node).dht.store)
    second = swarm.command(0, "put", value=b"second", name="n", cas=first["seq"])
    assert second["others"] == 7, "without cas they take it"
    assert [own["seq"] for own in swarm.command(0, "own")] == [second["seq"]]
