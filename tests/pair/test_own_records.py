"""What this node publishes again agrees with what its user was told: withdrawn, failed and lost puts are not in it."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.dht.put import put
from overlay.errors import LimitError
from overlay.runtime.ports import Failed, Ok
from overlay.wire.records import signed_key
from simulations.storage import MemoryStorage
from tests.support.pair import Pair, make_peer, pair

DISK_FULL = Failed("failed", "No space left on device")
KEY = "ab" * 32
PUTS: list[tuple[str, dict[str, Any]]] = [
    ("put", {"value": b"v"}), ("put", {"value": b"v", "name": "n"}), ("provide", {"key": KEY}),
]  # fmt: skip


def listed(link: Pair) -> list[tuple[str, object]]:
    return [(own["kind"], own["name"]) for own in link.command("a", "own")]


# --- forget ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args"), PUTS, ids=["blob", "signed", "provider"])
def test_what_is_forgotten_is_not_published_again_also_after_a_restart(name: str, args: dict[str, Any]) -> None:
    disk = MemoryStorage()
    link = Pair(make_peer(1, storage=disk), make_peer(2))
    link.start()
    link.advance(1)
    key = link.met().command("a", name, args)["key"]
    kind = link.command("a", "own")[0]["kind"]

    assert link.command("a", "forget", {"key": key}) == {"key": key, "withdrawn": [kind]}

    assert listed(link) == []
    link.replace("a", make_peer(1, storage=disk, life=1))
    link.settle(5)
    assert listed(link) == []
    assert link.fails("a", "forget", {"key": key}).code == "not_found"


@pytest.mark.parametrize("salt", [{"name": "n"}, {"salt": b"\xff\x00"}], ids=["name", "salt"])
def test_a_record_is_forgotten_by_its_name_and_its_copies_live_on(salt: dict[str, Any]) -> None:
    link = pair().met()
    key = link.command("a", "put", {"value": b"v", **salt})["key"]
    link.command("a", "put", {"value": b"another", "name": "other"})

    assert link.command("a", "forget", salt) == {"key": key, "withdrawn": ["signed"]}

    assert listed(link) == [("signed", b"other")]
    assert link.command("b", "get", {"key": key})["value"] == b"v"


def test_forget_of_a_key_takes_record_and_announcement() -> None:
    link = pair().met()
    key = link.command("a", "put", {"value": b"v"})["key"]
    link.command("a", "provide", {"key": key})
    assert sorted(link.command("a", "forget", {"key": key})["withdrawn"]) == ["blob", "provider"]


@pytest.mark.parametrize("args", [{}, {"key": KEY, "name": "n"}, {"key": "xyz"}])
def test_forget_wants_a_key_or_a_name(args: dict[str, Any]) -> None:
    assert pair().fails("a", "forget", args).code == "usage"


def test_a_forget_that_is_not_on_disk_failed_and_withdrew_nothing() -> None:
    link = pair().met()
    link.command("a", "put", {"value": b"v"})
    link.storage_works = False
    asked = link.ask("a", "forget", {"key": link.command("a", "own")[0]["key"]})
    link.answer_storage(DISK_FULL)
    assert isinstance(link.results["a", asked], Failed)
    assert listed(link) == [("blob", None)]


class NoAnnouncedRecord(MemoryStorage):
    """A disk without room for one own record, and with room for the next."""

    full = False

    def put(self, key: bytes, value: bytes) -> None:
        if self.full and key.startswith(b"own/") and not key.startswith(b"own/p"):
            raise LimitError("the store is behind")
        super().put(key, value)


def test_a_forget_that_failed_restores_what_the_disk_takes() -> None:
    disk = NoAnnouncedRecord()
    link = Pair(make_peer(1, storage=disk), make_peer(2))
    link.start()
    link.advance(1)
    key = link.met().command("a", "put", {"value": b"v"})["key"]
    link.command("a", "provide", {"key": key})
    link.storage_works, disk.full = False, True
    link.ask("a", "forget", {"key": key})
    link.answer_storage(DISK_FULL)
    assert listed(link) == [("provider", None)]


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(None, 30, None), (3600, 30, 3600), (30, 3600, 3600), (3600, None, None)]
)
def test_of_two_lives_of_a_blob_the_longer_counts(first: int | None, second: int | None, kept: int | None) -> None:
    link = pair().met()
    answers = [link.command("a", "put", {"value": b"v", "ttl_s": ttl_s}, seconds=1) for ttl_s in (first, second)]
    [own] = link.command("a", "own")
    for told in (answers[1]["expires_s"], own["expires_s"]):
        assert (told is None) == (kept is None)
        assert kept is None or kept - 5 <= told <= kept


def test_a_life_that_is_over_does_not_count() -> None:
    link = pair().met()
    link.command("a", "put", {"value": b"v", "ttl_s": 5})
    link.settle(6)
    assert link.command("a", "put", {"value": b"v", "ttl_s": 3}, seconds=1)["expires_s"] <= 3


# --- what `own` says -------------------------------------------------------------------------


def test_own_gives_names_as_bytes_and_leaves_out_what_is_over() -> None:
    link = pair().met()
    link.command("a", "put", {"value": b"1", "salt": b"\xff\xfe"})
    link.command("a", "put", {"value": b"2", "ttl_s": 20})
    assert sorted(listed(link), key=str) == [("blob", None), ("signed", b"\xff\xfe")]
    link.advance(20)  # at once, not when the next round sweeps it out
    assert listed(link) == [("signed", b"\xff\xfe")]


# --- a disk that refuses ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args"), PUTS, ids=["blob", "signed", "provider"])
def test_a_put_that_failed_for_a_full_disk_is_not_published_later(name: str, args: dict[str, Any]) -> None:
    link = pair().met()
    link.storage_works = False
    asked = link.ask("a", name, args)
    for _ in range(4):
        link.settle(2)
        link.answer_storage(DISK_FULL)
    assert isinstance(link.results["a", asked], Failed)
    link.storage_works = True
    assert listed(link) == []


def test_a_version_that_failed_leaves_the_one_before_in_the_list() -> None:
    link = pair().met()
    first = link.command("a", "put", {"value": b"old", "name": "n"})
    link.storage_works = False
    asked = link.ask("a", "put", {"value": b"new", "name": "n"})
    link.answer_storage()  # the seq is written, the record is not
    for _ in range(4):
        link.settle(2)
        link.answer_storage(DISK_FULL)
    assert isinstance(link.results["a", asked], Failed)
    link.storage_works = True
    assert [own["seq"] for own in link.command("a", "own")] == [first["seq"]]


def test_a_put_that_failed_because_the_node_was_busy_is_not_published_later(monkeypatch: pytest.MonkeyPatch) -> None:
    link = pair().met()
    monkeypatch.setattr("overlay.dht.lookup.MAX_LOOKUPS", 0)
    assert "lookups are running" in link.fails("a", "put", {"value": b"v"}).message
    assert listed(link) == []


# --- compare-and-swap ------------------------------------------------------------------------


def test_of_two_that_swap_at_once_at_one_node_one_wins() -> None:
    link = pair().met()
    first = link.command("a", "put", {"value": b"0", "name": "n"})
    asked = [link.ask("a", "put", {"value": value, "name": "n", "cas": first["seq"]}) for value in (b"1", b"2")]
    link.settle(5)
    outcomes = {value: link.results["a", number] for value, number in zip((b"1", b"2"), asked, strict=True)}
    [lost] = [outcome for outcome in outcomes.values() if isinstance(outcome, Failed)]
    [(value, won)] = [(value, outcome.value) for value, outcome in outcomes.items() if isinstance(outcome, Ok)]
    assert lost.facts["expected seq"] == str(first["seq"])
    assert lost.facts["found seq"] == str(won["seq"])
    assert [own["seq"] for own in link.command("a", "own")] == [won["seq"]]
    assert link.command("b", "get", {"key": won["key"]})["value"] == value


def seqs(link: Pair) -> list[int]:
    return [own["seq"] for own in link.command("a", "own")]


def swap_cut_short(link: Pair, cas: int) -> int:
    """a has asked b to swap, b has done so, and its answer is in flight."""
    asked = link.ask("a", "put", {"value": b"swapped", "name": "n", "cas": cas})
    key = signed_key(link.a.id, b"n")
    for _ in range(100_000):
        held = link.b.dht.store.signed(key, link.now.wall_ms)
        if held is not None and held.seq > cas:
            assert ("a", asked) not in link.results
            return asked
        if link.wire:
            link.deliver()
        else:
            link.advance(0.01)
    raise AssertionError("b was not asked")


def test_a_swap_that_was_cancelled_is_not_published_again() -> None:
    link = pair().met()
    first = link.command("a", "put", {"value": b"first", "name": "n"})
    asked = swap_cut_short(link, first["seq"])
    link.feed("a", link.a.handle_cancel, asked)
    link.settle(1)
    assert seqs(link) == [first["seq"]]
    held = link.a.dht.store.signed(bytes.fromhex(first["key"]), link.now.wall_ms)
    assert held is None or held.seq == first["seq"], "our own copy of it is gone"


def test_a_swap_that_a_crash_cut_short_is_not_published_again() -> None:
    disk = MemoryStorage()
    link = Pair(make_peer(1, storage=disk), make_peer(2))
    link.start()
    link.advance(1)
    first = link.met().command("a", "put", {"value": b"first", "name": "n"})
    swap_cut_short(link, first["seq"])
    link.wire.clear()
    link.replace("a", make_peer(1, storage=disk, life=1))
    assert seqs(link) == [first["seq"]]


def test_neither_a_lost_swap_nor_a_put_beside_it_that_failed_is_in_the_list() -> None:
    link = pair().met()
    first = link.command("a", "put", {"value": b"first", "name": "n"})
    swap = swap_cut_short(link, first["seq"])
    beside = link.ask("a", "put", {"value": b"beside", "name": "n"})
    for asked in (swap, beside):
        link.feed("a", link.a.handle_cancel, asked)
    link.settle(1)
    assert seqs(link) == [first["seq"]]


# --- newer versions of ours that others hold -------------------------------------------------


def second_machine(link: Pair, *, value: bytes = b"ahead") -> int:
    """In a's place: another machine with its key, whose clock was an hour ahead and which put `value`. Its seq."""
    link.replace("a", make_peer(1, life=1))
    link.met()
    link.a.own.raise_seq(b"n", link.now.wall_ms + 3_600_000)
    seq: int = link.command("a", "put", {"value": value, "name": "n", "profile": "cheap"})["seq"]
    return seq


def test_a_put_that_all_refuse_as_older_is_signed_once_more_above_what_they_hold() -> None:
    link = pair().met()
    ahead = second_machine(link)
    link.replace("a", make_peer(1, life=2))  # its disk is lost, and the cheap profile does not ask before it signs
    link.met()
    link.a.dht.store.remove(signed_key(link.a.id, b"n"))
    third = link.command("a", "put", {"value": b"third", "name": "n", "profile": "cheap"})
    assert third["others"] == 1
    assert third["seq"] > ahead
    assert link.command("b", "get", {"key": third["key"]})["value"] == b"third"
    assert seqs(link) == [third["seq"]]


def test_of_two_puts_at_once_at_one_node_the_later_stays_the_newest() -> None:
    link = pair().met()
    link.command("a", "put", {"value": b"0", "name": "n"})
    for value in (b"1", b"2"):
        link.ask("a", "put", {"value": value, "name": "n"})
    for _ in range(1000):
        if not link.wire:
            break
        link.reorder()  # what b is to store comes in the wrong order
        link.deliver()
    link.settle(5)
    [own] = link.command("a", "own", {"values": True})
    assert own["value"] == b"2"
    assert link.command("b", "get", {"key": own["key"]})["value"] == b"2"


def test_a_version_that_a_newer_one_of_ours_has_replaced_is_not_published_every_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = MemoryStorage()
    link = Pair(make_peer(1, storage=disk), make_peer(2))
    link.start()
    link.advance(1)
    link.met().command("a", "put", {"value": b"old", "name": "n"})
    second_machine(link)
    puts = []

    async def counted(*args: Any, **kwargs: Any) -> Any:
        puts.append(link.now.mono_ns)
        return await put(*args, **kwargs)

    monkeypatch.setattr("overlay.dht.publish.put", counted)
    link.replace("a", make_peer(1, storage=disk, life=2))
    link.met()
    link.settle(600)
    assert 1 <= len(puts) <= 2, "at its start"


def test_names_count_as_read_back_once_somebody_could_answer() -> None:
    link = pair()
    link.command("a", "put", {"value": b"1", "name": "n"})
    assert link.a.own.needs_read_back(b"n"), "nobody was there"
    link.met().command("a", "put", {"value": b"2", "name": "n"})
    assert not link.a.own.needs_read_back(b"n")
