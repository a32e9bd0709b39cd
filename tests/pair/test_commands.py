"""Commands: whatever is typed or sent to the API, there is one answer, and it is a clean one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.commands import _COMMANDS
from overlay.limits import LOOKUP_DEADLINE_S, MAX_COMMANDS
from overlay.runtime.ports import CODES, Failed, Ok
from tests.support.pair import B, Pair, make_peer, pair

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=40), st.text(max_size=70),
    st.sampled_from(
        [
            "", "\ud800", "10.0.0.2:4433", "10.0.0.2:99999", "10.0.0.2:0", "[::1]:4433", "[fe80::1%7]:4433",
            "[::1%x]:1", "a:b:c", "00" * 32, "0" * 63, "zz" * 32, "٣" * 64, "1" * 56, "1111", "l" * 5, "9" * 5000,
            "b" * 833, b"b" * 833, "secure", "cheap", 0, -1, 1 << 70, [], {}, [{}], [{"address": "x"}], [7],
            [{"address": "10.0.0.2:1", "id": 7}], [{"address": None}], [{"id": "x"}],
        ]
    ),
)  # fmt: skip
NAMES = [
    "peer", "value", "name", "salt", "ttl_s", "profile", "cas", "key", "author", "paths", "addresses", "keep", "values",
]  # fmt: skip


@pytest.fixture(scope="module")
def met() -> Pair:
    return pair().met()


@settings(max_examples=300)
@given(
    name=st.sampled_from([*_COMMANDS, "", "no such", "\ud800"]),
    args=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
)
def test_any_arguments_have_a_clean_answer(met: Pair, name: str, args: dict[str, Any]) -> None:
    asked = met.ask("a", name, args)
    met.wire = [one for one in met.wire if one.to == B or one.side == "b"]
    for _ in range(1300):
        if ("a", asked) in met.results:
            break
        met.deliver_all()
        met.advance(0.1)
    outcome = met.results["a", asked]
    assert isinstance(outcome, Ok | Failed)
    if isinstance(outcome, Failed):
        assert outcome.code in CODES
        assert outcome.message


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("frob", {}, "usage"),
        ("put", {}, "usage"),
        ("put", {"value": "text"}, "usage"),
        ("put", {"value": b"v", "ttl_s": 0}, "usage"),
        ("put", {"value": b"v", "ttl_s": 86_401}, "usage"),
        ("put", {"value": b"v", "ttl_s": True}, "usage"),
        ("put", {"value": b"v", "profile": "fast"}, "usage"),
        ("put", {"value": b"v", "cas": 1}, "usage"),
        ("put", {"value": b"v", "name": "n" * 33}, "usage"),
        ("put", {"value": b"v", "name": "\ud800"}, "usage"),
        ("provide", {"key": "00" * 32, "ttl_s": -1}, "usage"),
        ("provide", {"key": "00" * 32, "ttl_s": 1 << 70}, "usage"),
        ("get", {}, "usage"),
        ("get", {"key": "00"}, "usage"),
        ("get", {"author": "1111"}, "usage"),
        ("get", {"key": "00" * 32}, "not_found"),
        ("ping", {"peer": "10.0.0.9:4433"}, "timed_out"),
        ("ping", {"peer": "0000"}, "not_found"),
        ("join", {"addresses": [{"address": "nowhere"}]}, "usage"),
    ],
)
def test_how_a_command_fails(met: Pair, name: str, args: dict[str, Any], code: str) -> None:
    met.settle(3)  # if it said goodbye just before, it sends nothing for 2 s (stamps.give_back)
    assert met.fails("a", name, args).code == code


def test_so_many_commands_at_once_and_each_has_its_answer() -> None:
    link = pair()
    asked = [link.ask("a", "ping", {"peer": "10.0.0.9:4433"}) for _ in range(MAX_COMMANDS + 3)]
    refused = [number for number in asked if ("a", number) in link.results]
    assert refused == asked[MAX_COMMANDS:]
    link.advance(10)
    assert all(("a", number) in link.results for number in asked)


@pytest.mark.parametrize("name", ["put", "get", "lookup", "provide", "providers"])
def test_more_lookups_than_there_may_be_end_cleanly_and_upkeep_goes_on(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("overlay.dht.lookup.MAX_LOOKUPS", 3)
    monkeypatch.setattr("overlay.dht.put.K", 0)  # two lookups a put
    link = pair().met()
    args: dict[str, Any] = {"value": b"v", "name": "n"} if name == "put" else {"key": "11" * 32}
    asked = [link.ask("a", name, args) for _ in range(20)]
    link.wire.clear()  # b is silent
    for _ in range(4 * LOOKUP_DEADLINE_S + 60):
        link.advance(1)
        link.wire.clear()
    outcomes = [link.results["a", number] for number in asked]
    assert any(isinstance(outcome, Failed) and "lookups are running" in outcome.message for outcome in outcomes)
    assert link.a.dht.lookups_running <= 3
    link.command("a", "status")


def test_a_command_given_before_the_disk_is_ready_waits() -> None:
    link = pair()
    link.storage_works = False
    link.replace("a", make_peer(1, life=1))
    asked = link.ask("a", "status")
    link.advance(5)
    assert ("a", asked) not in link.results
    assert link.sent_by("a") == []
    link.answer_storage()
    assert isinstance(link.results["a", asked], Ok)


def test_cancelled_it_is_not_answered() -> None:
    link = pair()
    asked = link.ask("a", "ping", {"peer": "10.0.0.9:4433"})
    link.feed("a", link.a.handle_cancel, asked)
    link.feed("a", link.a.handle_cancel, asked)
    link.settle(10)
    assert ("a", asked) not in link.results
    assert link.a._commands == {}
