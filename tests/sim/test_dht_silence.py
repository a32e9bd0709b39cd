"""Every lookup ends: with silent peers, slow peers, everybody dead, and at its deadline at the latest."""

from __future__ import annotations

import attrs

from overlay.limits import LOOKUP_DEADLINE_S
from overlay.runtime.ports import MS, SECOND, Failed, Ok
from tests.support.swarm import LOOPBACK, WAN, Swarm

KEY = "77" * 32


def _idle(swarm: Swarm, node: int) -> bool:
    """Nothing of a lookup is left: no request waits, none is counted as running."""
    peer = swarm.peer(node)
    return not peer.dht.lookups_running and not peer._commands


def test_everybody_dead() -> None:
    swarm = Swarm(30, seed=1, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    for node in range(1, 30):
        swarm.kill(node)
    start_ns = swarm.engine.now_ns
    asked = [(0, "lookup", {"key": KEY}), (0, "get", {"key": KEY}), (0, "put", {"value": b"x"}), (0, "put", {
        "value": b"x", "name": "x"}), (0, "provide", {"key": KEY}), (0, "providers", {"key": KEY})]  # fmt: skip
    lookup, get, blob, signed, provide, providers = swarm.outcomes(asked)
    assert swarm.engine.now_ns - start_ns <= 3 * LOOKUP_DEADLINE_S * SECOND
    for asked_in_vain in (lookup, get, providers):
        assert isinstance(asked_in_vain, Failed)
        assert asked_in_vain.code == "timed_out", "silence is not a no"
    for put in (blob, signed):
        assert isinstance(put, Ok)
        assert put.value["stored"] == 1, "only ourselves"
    assert isinstance(provide, Ok)
    idle_by_ns = swarm.engine.now_ns + 2 * LOOKUP_DEADLINE_S * SECOND  # it may be looking around just now
    assert swarm.engine.run_while(lambda: not _idle(swarm, 0), until_ns=idle_by_ns)


def test_alone_from_the_start() -> None:
    swarm = Swarm(1, seed=1)
    assert swarm.command(0, "lookup", key=KEY)["closest"] == []
    put = swarm.command(0, "put", value=b"mine", name="x")
    assert put["stored"] == 1
    assert swarm.command(0, "get", key=put["key"])["value"] == b"mine"


def test_peers_that_fall_silent_during_a_lookup() -> None:
    swarm = Swarm(40, seed=3, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    outcomes: list[object] = []
    for node in range(10):
        swarm.engine.command(node, "lookup", {"key": KEY}, outcomes.append)
    for victim in range(10, 40):  # one every 0.2 ms, while requests and answers fly
        swarm.engine.call_at(swarm.engine.now_ns + (victim - 10) * 200_000, lambda victim=victim: swarm.kill(victim))
    start_ns = swarm.engine.now_ns
    assert swarm.engine.run_while(lambda: len(outcomes) < 10, until_ns=start_ns + LOOKUP_DEADLINE_S * SECOND)
    swarm.run_for(20)
    assert all(_idle(swarm, node) for node in range(10))


def test_slow_peers_cost_a_lookup_little() -> None:
    """Every third peer answers after 3 s: each is asked, and the others go on meanwhile."""
    swarm = Swarm(40, seed=4, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    slow = 1500 * MS
    swarm.network.link = attrs.evolve(LOOPBACK, table=((0, slow), (slow, slow)))
    for one in range(2, 40, 3):
        swarm.network.set_region(one, 1)
    start_ns = swarm.engine.now_ns
    result = swarm.command(0, "lookup", key=KEY)
    assert (swarm.engine.now_ns - start_ns) / SECOND <= 3
    fast = [node for node in swarm.closest(bytes.fromhex(KEY), 40, but=0) if node % 3 != 2]
    assert set(result["closest"]) >= {swarm.id_text(node) for node in fast[:15]}


def test_the_deadline_ends_what_nothing_else_does() -> None:
    """Answers of 2 to 6 s, some of them just in time: lookups would go on and on."""
    swarm = Swarm(40, seed=5, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    swarm.network.link = attrs.evolve(WAN, latency_ns=(950 * MS, 2900 * MS))
    start_ns = swarm.engine.now_ns
    swarm.outcomes([(node, "get" if node % 2 else "lookup", {"key": KEY}) for node in range(12)])
    # A GET that found nothing tries once more.
    assert swarm.engine.now_ns - start_ns <= 2 * LOOKUP_DEADLINE_S * SECOND + SECOND
    # Their rounds of looking around, which have the same deadline, end as well: there is a moment without any.
    for _ in range(15):
        swarm.run_for(4)
        if all(_idle(swarm, node) for node in range(40)):
            return
    raise AssertionError("somebody looked for something all through a minute")


def test_a_cancelled_command_leaves_nothing() -> None:
    swarm = Swarm(20, seed=6, link=WAN, fake_keys=True)
    swarm.run_for(20)
    heard: list[object] = []
    ids = [swarm.engine.command(0, "get", {"key": KEY}, heard.append) for _ in range(10)]
    swarm.run_for(0.03)
    for command in ids:
        swarm.engine.cancel(0, command)
    swarm.run_for(10)
    assert heard == []
    assert _idle(swarm, 0)
    assert swarm.peer(0).endpoint.asked.waiting == 0
