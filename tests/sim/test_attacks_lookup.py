"""Peers that lead lookups astray: nearer and nearer, to the dead, or to a crowd at one place (K4, K5, K12)."""

from __future__ import annotations

import itertools

import pytest

from overlay.identity.keys import KeyPair
from overlay.limits import LOOKUP_DEADLINE_S, MAX_LOOKUP_RPCS
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from tests.support.swarm import LOOPBACK, PORT, Swarm
from tests.support.sybil import corrupt

N = 40
LIARS = range(30, N)


def astray(naming: str) -> tuple[Swarm, str]:
    """A network in which a quarter lies, and a key that was put before."""
    swarm = Swarm(N, seed=4, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    put = swarm.command(0, "put", value=b"value")
    rng, fresh = Rng(9), itertools.count()
    pool = [KeyPair.from_seed(rng.bytes(32)).key for _ in range(1500)]
    held: list[Contact] = []

    def somewhere() -> Address:
        number = next(fresh)
        if naming == "crowd":
            return Address(bytes((201, 1, 2, 3)), 2000 + number % 60_000)
        return Address(bytes((150 + number % 50, number // 50 % 256, number // 12_800 % 256, 9)), PORT)

    def names(target: int) -> list[Contact]:
        """The nearest of fresh keys at addresses where nobody lives."""
        contacts = sorted(
            (swarm._book.contact(key, somewhere()) for key in rng.sample(pool, 200)),
            key=lambda contact: contact.number ^ target,
        )[:20]
        held.extend(contacts)
        return contacts

    for node in LIARS:
        corrupt(swarm.peer(node), names)
    return swarm, put["key"]


@pytest.mark.parametrize("naming", ["dead", "crowd"])
def test_they_cost_time_and_nothing_else(naming: str) -> None:
    swarm, key = astray(naming)
    for node in range(1, 30, 4):
        start_ns = swarm.engine.now_ns
        got = swarm.command(node, "get", key=key)
        assert got["value"] == b"value"
        assert got["rpcs"] <= MAX_LOOKUP_RPCS
        assert swarm.engine.now_ns - start_ns <= 5 * SECOND
        start_ns = swarm.engine.now_ns
        found = swarm.command(node, "lookup", key="5a" * 32)
        assert swarm.engine.now_ns - start_ns <= LOOKUP_DEADLINE_S * SECOND
        assert found["rpcs"] <= MAX_LOOKUP_RPCS
        honest = {swarm.id_text(other) for other in range(30)}
        assert len(honest & set(found["closest"])) >= 10
