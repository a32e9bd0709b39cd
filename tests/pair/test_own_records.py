"""What this node publishes again agrees with what its user was told: withdrawn, failed and lost puts are not in it."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.runtime.ports import Failed, Ok
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
