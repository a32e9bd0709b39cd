"""How long things live: records to their ttl, or for ever while their author publishes; providers likewise; quotas."""

from __future__ import annotations

import pytest

from overlay.limits import K
from overlay.runtime.chance import Rng
from tests.support.swarm import LOOPBACK, CommandFailed, Swarm

N = 26
HOUR = 3600


def _holders(swarm: Swarm, key: str) -> list[int]:
    return [
        node
        for node in swarm.alive()
        if swarm.peer(node).dht.store.get(bytes.fromhex(key), swarm.engine.now_of(node).wall_ms) is not None
    ]


def _swarm(seed: int, n: int = N) -> Swarm:
    swarm = Swarm(n, seed=seed, link=LOOPBACK, fake_keys=True)
    swarm.run_for(30)
    return swarm


def test_a_record_is_over_at_its_ttl_everywhere() -> None:
    swarm = _swarm(1)
    keys = [
        swarm.command(2, "put", value=b"blob", ttl_s=600)["key"],
        swarm.command(3, "put", value=b"signed", name="x", ttl_s=600)["key"],
    ]
    swarm.run_for(590)
    assert [swarm.command(9, "get", key=key)["value"] for key in keys] == [b"blob", b"signed"]
    swarm.run_for(15)
    for key in keys:
        for node in (0, 2, 3, 9):
            with pytest.raises(CommandFailed, match="none of the"):
                swarm.command(node, "get", key=key)
    swarm.run_for(120)
    assert [len(swarm.peer(node).dht.store) for node in range(N)] == [0] * N, "and swept within two minutes"
    assert swarm.command(2, "own") == swarm.command(3, "own") == []


def test_authors_and_providers_keep_their_records_alive_beyond_a_day() -> None:
    """On the disks of others a record lives a day at most; its author and a provider publish again every hour."""
    swarm = Swarm(3, seed=2, link=LOOPBACK, lan=True, fake_keys=True)
    swarm.run_for(30)
    key = swarm.command(2, "put", value=b"kept", name="x")["key"]
    swarm.command(2, "provide", key=key, ttl_s=1200)
    swarm.command(1, "provide", key=key)

    def providers() -> list[str]:
        return sorted(row["id"] for row in swarm.command(0, "providers", key=key)["providers"])

    assert providers() == sorted([swarm.id_text(1), swarm.id_text(2)])
    swarm.run_for(1260)
    assert providers() == [swarm.id_text(1)]
    swarm.run_for(25 * HOUR)
    assert swarm.command(0, "get", key=key)["value"] == b"kept"
    assert providers() == [swarm.id_text(1)]
    swarm.kill(2)
    wall_ms = swarm.engine.now_of(0).wall_ms
    for node in (0, 1):
        held = swarm.peer(node).dht.store.get(bytes.fromhex(key), wall_ms)
        assert held is not None
        assert 22 * HOUR * 1000 < held.expires_ms - wall_ms <= 24 * HOUR * 1000, "a day after the last publication"


def test_newcomers_take_over_what_is_theirs_to_hold() -> None:
    """Nobody pushes; after ten minutes of life they ask their neighbours. The author is gone by then."""
    swarm = _swarm(3)
    keys = [swarm.command(node, "put", value=b"value %d" % node)["key"] for node in range(N)]
    newcomers = [swarm.add() for _ in range(10)]
    swarm.join(nodes=newcomers)
    swarm.run_for(300)
    assert [len(swarm.peer(node).dht.store) for node in newcomers] == [0] * 10
    swarm.run_for(360)
    should = held = 0
    for key in keys:
        for node in swarm.closest(bytes.fromhex(key), K):
            if node in newcomers:
                should += 1
                held += node in _holders(swarm, key)
    assert should >= N * 3
    assert held >= 0.95 * should, f"{held} of {should}"
    # What the newcomers hold serves when all the old ones are gone.
    for node in range(N):
        swarm.kill(node)
    swarm.run_for(10)
    values = [swarm.outcomes([(newcomers[number % 10], "get", {"key": key})])[0] for number, key in enumerate(keys)]
    found = sum(hasattr(outcome, "value") for outcome in values)
    assert found == sum(any(node in newcomers for node in _holders(swarm, key)) for key in keys)


def test_a_flood_of_records_leaves_what_is_nearest_and_no_more_than_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """With quotas of a hundredth: one flooding peer, then many."""
    from overlay.dht import store

    def smaller(storage: object, own_number: int, *, secret: bytes) -> store.RecordStore:
        return store.RecordStore(storage, own_number, secret=secret, total=100, per_author=20, per_group=50)  # type: ignore[arg-type]

    monkeypatch.setattr("overlay.peer.RecordStore", smaller)
    swarm = Swarm(30, seed=5, link=LOOPBACK, fake_keys=True)
    swarm.run_for(30)
    kept = [swarm.command(node, "put", value=b"dear %d" % node)["key"] for node in range(20)]
    rng = Rng(1)
    for _ in range(3):
        swarm.outcomes((29, "put", {"value": rng.bytes(64), "profile": "cheap", "ttl_s": 3600}) for _ in range(50))
    assert max(len(swarm.peer(node).dht.store) for node in range(29)) <= 100
    assert [swarm.command(28, "get", key=key)["value"] for key in kept] == [b"dear %d" % node for node in range(20)]
    for flooder in range(20, 29):
        swarm.outcomes((flooder, "put", {"value": rng.bytes(64), "profile": "cheap", "ttl_s": 3600}) for _ in range(25))
    for node in range(30):
        peer = swarm.peer(node)
        rows = sum(1 for _ in peer.journal.storage.scan(b"rec/"))
        assert rows == len(peer.dht.store) <= 100, "memory is bounded, and so is the disk"
        distances = sorted(
            int.from_bytes(key[4:], "big") ^ peer.dht.own_number for key, _ in peer.journal.storage.scan(b"rec/")
        )
        if rows == 100:  # what is left lies nearer than the middle of all
            assert distances[len(distances) // 2] < 1 << 255
