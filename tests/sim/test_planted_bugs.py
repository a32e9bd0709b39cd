"""The swarm finds bugs: one of each kind is planted in the product, and a shipped scenario or an invariant tells.

Each of these runs is also made without the bug, and is well: else finding it would prove nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from overlay import limits
from overlay.dht import get, hold
from overlay.dht.own import OwnRecords
from overlay.dht.server import Server
from overlay.dht.shortlist import Shortlist
from overlay.dht.state import DhtState
from overlay.errors import BadMessage
from overlay.gossip import memory, state, topic
from overlay.identity.keys import Verifier
from overlay.identity.network import Network
from overlay.rpc import asked, stamps
from overlay.rpc.asked import Pending
from overlay.rpc.endpoint import Endpoint, Inbound
from overlay.rpc.stamps import FreshStamps
from overlay.runtime.journal import Journal, Waiter
from overlay.wire.messages import Provide
from overlay.wire.records import SignedRecord, decode_provider, decode_record
from simulations import spec
from simulations.population import Codec
from simulations.swarm import RunEnd, Swarm

ROOT = Path(__file__).parents[2]


def run(name: str, *settings: str, seed: int = 1) -> RunEnd:
    return Swarm(spec.load(name, settings), seed=seed, codec=Codec.OBJECTS).run()


def failed(end: RunEnd) -> set[str]:
    """What told: names of invariants and claims."""
    return {broken.invariant for broken in end.broken} | {verdict.name for verdict in end.verdicts if not verdict.ok}


# --- a choice by the order of a set -------------------------------------------------------

#: Peers that are asked together are asked in the order of a set of their addresses' texts.
_BY_SET = """
import sys
from overlay.dht import put
from overlay.rpc import gather
from tests.sim.test_planted_bugs import run

def by_set(endpoint, contacts, make_message, **options):
    order = {str(contact.address): contact for contact in contacts}
    return ask_all(endpoint, [order[text] for text in set(order)], make_message, **options)

ask_all = gather.ask_all
for ask in (ask_all, by_set):
    put.ask_all = ask
    print(run("churn", "population.nodes=8", "population.arrive_s=2", "duration_s=20", "workload.from_s=8").trace_hash)
"""


def test_a_choice_by_the_order_of_a_set() -> None:
    right, planted = zip(
        *(
            subprocess.run(
                [sys.executable, "-c", _BY_SET], cwd=ROOT, check=True, capture_output=True, text=True,
                env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            ).stdout.split()
            for hash_seed in ("1", "2")
        ),
        strict=True,
    )  # fmt: skip
    assert right[0] == right[1]
    assert planted[0] != planted[1]


# --- a forgotten timeout ------------------------------------------------------------------

_DEATHS = (
    "mass-exit", "population.nodes=16", "population.arrive_s=3", "duration_s=60", "timeline.0.at_s=20",
    "timeline.1.at_s=25",
)  # fmt: skip


@cache
def deaths() -> RunEnd:
    return run(*_DEATHS)


def test_a_forgotten_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "lookups-end" not in failed(deaths())

    def transmit_try(self: Endpoint, pending: Pending) -> None:
        pending.sent_ns = pending.sent_ns or self.loop.now.mono_ns
        pending.sends += 1
        pending.tries_left -= 1
        self._send(pending.address, pending.data)

    monkeypatch.setattr(Endpoint, "_transmit_try", transmit_try)
    assert "lookups-end" in failed(run(*_DEATHS))


# --- a record from the wrong author -------------------------------------------------------

_FORGED = (
    "replay-forge", "population.nodes=14", "population.arrive_s=3", "duration_s=26", "adversaries.from_s=6",
    "workload.from_s=8", "workload.0.gets=80", "workload.1.reads=6",
)  # fmt: skip


@cache
def forged() -> RunEnd:
    return run(*_FORGED)


def test_a_reader_accepts_a_record_of_the_wrong_author(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"values-found", "nobody reads what its author did not sign"} & failed(forged())

    read_record = get.read_record

    def trusting(dht: DhtState, key: bytes, kind: int, inner: bytes) -> get.Record:
        if kind == get.BLOB:
            return read_record(dht, key, kind, inner)
        return decode_record(inner, dht.endpoint.network, lambda *_: True)

    monkeypatch.setattr(get, "read_record", trusting)
    assert {"values-found", "nobody reads what its author did not sign"} <= failed(run(*_FORGED))


def test_a_holder_keeps_a_record_under_the_wrong_author(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing-foreign" not in failed(quiet())

    def mistaken(inner: bytes, network: Network, verify: Verifier) -> SignedRecord:
        return attrs.evolve(decode_record(inner, network, verify), author=bytes(32))

    monkeypatch.setattr(hold, "decode_record", mistaken)
    assert "nothing-foreign" in failed(run(*_QUIET))


@pytest.mark.parametrize(
    ("signature", "author"), [(False, False), (False, True), (True, False)],
    ids=["neither", "no signature", "no author"],
)  # fmt: skip
def test_a_holder_keeps_a_provider_that_did_not_say_so(
    monkeypatch: pytest.MonkeyPatch, signature: bool, author: bool
) -> None:
    assert not {"nothing-foreign", "nobody provides in another's name"} & failed(forged())

    def provide(self: Server, inbound: Inbound) -> None:
        message, dht = inbound.message, self._dht
        assert isinstance(message, Provide)
        verify = dht.endpoint.verifier if signature else lambda *_: True
        with suppress(BadMessage):
            record = decode_provider(message.inner, dht.endpoint.network, verify)
            if not author or record.provider == inbound.contact.key:
                here = inbound.contact.address
                outcome = dht.store.put_provider(record, here, wall_ms=dht.loop.now.wall_ms, groups=dht.diversity)
                self._stored(inbound, outcome, None)

    monkeypatch.setattr(Server, "_provide", provide)
    assert {"nothing-foreign", "nobody provides in another's name"} <= failed(run(*_FORGED))


# --- a cache without a bound --------------------------------------------------------------

_QUIET = (
    "churn", "population.nodes=24", "population.arrive_s=6", "duration_s=75", "churn.from_s=74", "workload.from_s=65",
    "workload.0.count=20", "workload.1.values=6",
)  # fmt: skip


def test_a_cache_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "memory-bounded" not in failed(quiet())
    for module in (limits, stamps):  # far below what this swarm fills
        monkeypatch.setattr(module, "MAX_STAMPS_REMEMBERED", 8)
    assert "memory-bounded" not in failed(run(*_QUIET))
    accept = FreshStamps.accept

    def remembers_all(self: FreshStamps, key: bytes, stamp: int, now_ns: int, *, newest: bool = False) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stamps, "MAX_STAMPS_REMEMBERED", 1 << 60)
            return accept(self, key, stamp, now_ns, newest=newest)

    monkeypatch.setattr(FreshStamps, "accept", remembers_all)
    assert "memory-bounded" in failed(run(*_QUIET))


@pytest.mark.parametrize("name", ["MAX_LATE", "MAX_UNANSWERED"])
def test_what_is_remembered_of_the_silent_without_a_bound(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert "memory-bounded" not in failed(deaths())
    for module in (limits, asked):  # far below what this swarm fills
        monkeypatch.setattr(module, name, 3)
    assert "memory-bounded" not in failed(run(*_DEATHS))
    monkeypatch.setattr(asked, name, 1 << 60)
    assert "memory-bounded" in failed(run(*_DEATHS))


_CHATTING = (
    "chat", "population.nodes=10", "duration_s=60", "timeline=[]", "workload.from_s=30", "workload.0.to_s=40",
)  # fmt: skip


@cache
def chatting() -> RunEnd:
    return run(*_CHATTING)


@pytest.mark.parametrize(
    ("module", "name"),
    [(state, "MAX_KEPT_MESSAGES"), (memory, "MAX_SEEN_MESSAGES"), (memory, "MAX_AUTHORS"), (topic, "MAX_HAVERS")],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_gossip_without_a_bound(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    assert "memory-bounded" not in failed(chatting())
    monkeypatch.setattr(limits, name, 3)  # far below what this swarm fills
    monkeypatch.setattr(module, name, 3)
    assert "memory-bounded" not in failed(run(*_CHATTING))
    monkeypatch.setattr(module, name, 1 << 60)
    assert "memory-bounded" in failed(run(*_CHATTING))


# --- a lookup that ends too early ---------------------------------------------------------


@cache
def quiet() -> RunEnd:
    return run(*_QUIET)


def test_a_lookup_that_ends_without_the_k_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not failed(quiet())
    finished: Callable[[Shortlist], bool] = Shortlist.finished
    monkeypatch.setattr(Shortlist, "finished", lambda self: finished(self) or len(self.answered()) >= 12)
    assert "lookups-exact" in failed(run(*_QUIET))


# --- an acknowledged write lost with the power --------------------------------------------

_POWER = (
    "churn", "population.nodes=8", "population.arrive_s=3", "duration_s=32", "churn.power_loss=true",
    "churn.session_s=15", "churn.offline_s=4", "churn.from_s=12", "workload.from_s=8", "workload.1.get_from_s=20",
)  # fmt: skip


@cache
def power() -> RunEnd:
    return run(*_POWER)


def test_an_acknowledged_write_that_is_lost_with_the_power(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "disk-keeps-seqs" not in failed(power())

    def after_sync(self: Journal, waiter: Waiter) -> None:
        self.after_commit(waiter)  # the kernel has it; the disk does not

    monkeypatch.setattr(Journal, "after_sync", after_sync)
    assert "disk-keeps-seqs" in failed(run(*_POWER))


_CUTS = (
    "power-cuts", "population.nodes=10", "population.arrive_s=3", "duration_s=32", "workload.from_s=8",
    'timeline=[{action="kill", at_s=20, share=0.6, power_loss=true, restart_after_s=2}]', "workload.0.puts=30",
    "workload.0.reads=10", "workload.1.get_from_s=20", "workload.1.values=3", "workload.1.gets=6",
)  # fmt: skip


@cache
def cuts() -> RunEnd:
    return run(*_CUTS)


def test_a_seq_that_is_committed_and_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "disk-keeps-seqs" not in failed(cuts())

    async def next_seq(self: OwnRecords, salt: bytes, wall_ms: int, *, above: int = 0) -> int:
        seq = max(self.stored_seq(salt) + 1, above + 1, wall_ms)
        self._journal.storage.put(b"seq/" + salt, seq.to_bytes(8, "big"))
        await self._journal.committed()
        return seq

    monkeypatch.setattr(OwnRecords, "next_seq", next_seq)
    assert "disk-keeps-seqs" in failed(run(*_CUTS))
