"""Compare-and-swap by several at once, and among holders who lie about it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from overlay.dht.put import put
from overlay.dht.store import PutOutcome
from overlay.errors import LimitError
from overlay.runtime.ports import Failed
from tests.support.swarm import LOOPBACK, Swarm

#: Seeds with which the holders are split so that nobody has more than half of them.
TIES = (7, 8, 11)
SPLITS = (0, 1, 3, 4)


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
    assert len(read) == 1, "nobody reads what failed"
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


class ManyMachines(Swarm):
    """Nodes 0, 1, ... are machines of one owner."""

    machines = 2

    def keys(self, node: int) -> Any:
        return super().keys(0 if node < self.machines else node)


class ThreeMachines(ManyMachines):
    machines = 3


@pytest.mark.parametrize(
    ("kind", "seed"), [(ManyMachines, seed) for seed in TIES] + [(ThreeMachines, seed) for seed in SPLITS]
)
def test_somebody_wins_also_where_the_holders_are_split_evenly(kind: type[ManyMachines], seed: int) -> None:
    machines = range(kind.machines)
    swarm = kind(kind.machines + 6, seed=seed, link=LOOPBACK, fake_keys=True)
    swarm.join(through=kind.machines, nodes=machines)
    swarm.run_for(20)
    first = swarm.command(0, "put", value=b"first", name="n")
    args = {"name": "n", "cas": first["seq"]}
    outcomes = swarm.outcomes([(node, "put", {"value": b"%d" % node, **args}) for node in machines])
    [won] = [node for node, outcome in enumerate(outcomes) if not isinstance(outcome, Failed)]
    swarm.run_for(4000)  # all have published again
    read = {swarm.command(node, "get", key=first["key"])["value"] for node in range(len(swarm))}
    assert read == {b"%d" % won}


def test_a_swap_that_won_is_no_failure_though_the_node_has_no_room_to_tell_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = Swarm(8, seed=1, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    first = swarm.command(0, "put", value=b"first", name="n")
    for node in range(1, 4):
        swarm.peer(node).dht.store = Refusing(swarm.peer(node).dht.store)

    async def busy(dht: Any, out: Any, **kwargs: Any) -> Any:
        if out.cas is None:
            raise LimitError("64 lookups are running already")
        return await put(dht, out, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr("overlay.dht.publish.put", busy)
        second = swarm.command(0, "put", value=b"second", name="n", cas=first["seq"])
    assert [own["seq"] for own in swarm.command(0, "own")] == [second["seq"]]
    swarm.run_for(90)
    key = bytes.fromhex(first["key"])
    held = {swarm.peer(node).dht.store.signed(key, swarm.engine.now_of(node).wall_ms).seq for node in range(8)}
    assert held == {second["seq"]}, "the next round has told them"
