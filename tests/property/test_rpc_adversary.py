"""Whatever peers answer: no exception, an end to every command, and memory within its limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from overlay import limits
from overlay.app import App, AppContext
from overlay.dht.size import MIN_SAMPLES
from overlay.errors import OverlayError
from overlay.identity.node_id import format_id, node_id_of
from overlay.limits import KEYS_PER_PAGE, LOOKUP_DEADLINE_S
from overlay.runtime.address import Scope
from overlay.wire.records import signed_key
from overlay.wire.registry import Kind
from tests.support.adversary import DOOR, KEY, NAME, ODD, POOL, VICTIM, Arena, Style, is_clean
from tests.support.pair import make_peer

THEIRS = signed_key(node_id_of(POOL[0].key), NAME)
JOIN = {"addresses": [{"address": str(DOOR), "id": None}]}
#: A lookup, its retry, and the last tries of requests.
GET_S = 2 * LOOKUP_DEADLINE_S + 15
#: Command, arguments, virtual seconds that it may take.
COMMANDS: list[tuple[str, dict[str, Any], float]] = [
    ("get", {"key": THEIRS.hex()}, GET_S),
    ("get", {"author": format_id(node_id_of(POOL[0].key)), "name": "name", "paths": 1}, GET_S),
    ("get", {"key": bytes(32).hex()}, GET_S),
    ("put", {"value": b"v"}, 2 * LOOKUP_DEADLINE_S + GET_S + 30),
    ("put", {"value": b"v", "name": "name"}, 2 * LOOKUP_DEADLINE_S + 2 * GET_S + 30),
    ("put", {"value": b"v", "name": "name", "profile": "cheap"}, 2 * LOOKUP_DEADLINE_S + 2 * GET_S + 30),
    ("put", {"value": b"w", "name": "name", "cas": 7}, 2 * LOOKUP_DEADLINE_S + 2 * GET_S + 30),
    ("lookup", {"key": KEY.hex()}, LOOKUP_DEADLINE_S + 1),
    ("provide", {"key": KEY.hex()}, LOOKUP_DEADLINE_S + 30),
    ("providers", {"key": KEY.hex()}, 2 * LOOKUP_DEADLINE_S + 1),
    ("ping", {"peer": str(DOOR)}, 15),
    ("ping", {"peer": format_id(node_id_of(POOL[3].key))}, LOOKUP_DEADLINE_S + 15),
    ("join", JOIN, 8 * LOOKUP_DEADLINE_S),
    ("status", {}, 0), ("peers", {}, 0), ("table", {}, 0), ("own", {}, 0), ("leave", {}, 0),
]  # fmt: skip


class Echo(App):
    """Serves, and asks everybody it knows now and then."""

    name = "echo"

    async def run(self, ctx: AppContext) -> None:
        async def echo(caller: bytes, body: bytes) -> bytes:
            return body

        ctx.serve(echo)
        while True:
            await ctx.sleep(20_000_000_000)
            for contact in ctx.dht.table.contacts()[:3]:
                try:
                    await ctx.call(contact.id, b"hello")
                except OverlayError:
                    continue


STYLES = st.builds(
    Style,
    silent=st.integers(0, 40), honest=st.integers(0, 60), garbled=st.integers(0, 20), wrong_kind=st.integers(0, 20),
    odd_body=st.integers(0, 20), retry=st.integers(0, 20), slow_ms=st.sampled_from([0, 100, 600, 5000]),
)  # fmt: skip


def check_limits(arena: Arena) -> None:
    peer = arena.peer
    endpoint = peer.endpoint
    assert peer.loop.crashed == []
    assert endpoint.asked.waiting <= limits.MAX_PENDING
    assert len(endpoint.peers) <= limits.MAX_PEERS_REMEMBERED
    assert len(endpoint._fresh) <= limits.MAX_STAMPS_REMEMBERED
    assert endpoint._replies.size_bytes <= limits.REPLY_CACHE_BYTES
    assert len(peer.dht._probed) <= limits.PROBES_PER_S
    assert len(peer.entrance.places) <= 64
    assert len(peer.table) <= 64
    assert len(peer.dht.store) <= limits.MAX_RECORDS
    assert len(endpoint.counters) < 60, "names of counters are ours, not theirs"
    for address in ODD:
        assert address not in arena.sent_to, address
    for address in arena.sent_to:
        assert address.scope not in (Scope.NONE, Scope.LOOPBACK)
        assert address.port >= limits.MIN_FOREIGN_PORT


#: A seed does not shrink.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def check_rest(arena: Arena) -> None:
    """A minute later upkeep alone is at work: nothing of a command is left."""
    arena.run_for(60)
    peer = arena.peer
    assert not [task.name for task in peer.loop.tasks() if task.name.startswith("command")]
    looks = 1  # the application, for whom it calls
    each = MIN_SAMPLES  # lookups of what upkeep does beside: who looks around does so many at once
    assert peer.dht.lookups_running <= each * len(peer.upkeep._running) + looks
    strangers = 16  # asked whether they live, since they asked us
    assert peer.endpoint.asked.waiting <= 2 * len(peer.table) + 100 * len(peer.upkeep._running) + strangers


@settings(max_examples=4, phases=PHASES)
@given(seed=st.integers(0, 1 << 32), style=STYLES, order=st.permutations(range(len(COMMANDS))))
def test_nothing_that_peers_answer_raises_or_hangs(seed: int, style: Style, order: list[int]) -> None:
    arena = Arena(make_peer(1, apps=[Echo()]), seed, style)
    for _ in range(3):
        arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    for number in order:
        name, args, within_s = COMMANDS[number]
        outcome = arena.command(name, args, within_s=within_s)
        assert is_clean(outcome), (name, outcome)
        check_limits(arena)
    check_rest(arena)
    check_limits(arena)


@settings(max_examples=1, phases=PHASES)
@given(seed=st.integers(0, 1 << 32))
def test_upkeep_goes_on_whatever_neighbours_say(seed: int) -> None:
    """Refresh, pull, republish, dial-backs: an hour among liars who answer as late as they can."""
    arena = Arena(make_peer(1), seed, Style(silent=5, honest=50, slow_ms=100))
    arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    arena.command("put", {"value": b"v", "name": "name"}, within_s=200)
    arena.run_for(700)
    check_limits(arena)
    last = arena.peer.upkeep._due["expire"]
    arena.run_for(120)
    assert arena.peer.upkeep._due["expire"] > last


@pytest.mark.parametrize("key_pages", [2, 50])
def test_who_lists_keys_without_end_is_asked_for_so_many(monkeypatch: pytest.MonkeyPatch, key_pages: int) -> None:
    monkeypatch.setattr("overlay.dht.handover.MAX_PULLED", 40)
    monkeypatch.setattr("overlay.dht.handover._MAX_PAGES", key_pages)
    arena = Arena(make_peer(1), 1, Style(silent=0, honest=100, slow_ms=0))
    arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    held = len(arena.peer.dht.store)
    before = arena.asked.get(Kind.FIND_VALUE, 0)
    arena.run_for(650)
    assert "pull" not in arena.peer.upkeep._running
    assert 0 < arena.asked[Kind.FIND_KEYS] <= 3 * key_pages
    assert 0 < arena.asked[Kind.FIND_VALUE] - before <= 40 + KEYS_PER_PAGE
    assert len(arena.peer.dht.store) - held <= 3, "what was given was not what was asked for"


@pytest.mark.parametrize("seed", range(3))
def test_commands_that_are_cancelled_leave_nothing_behind(seed: int) -> None:
    arena = Arena(make_peer(1), seed, Style(silent=50, slow_ms=2000))
    arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    for number, (name, args, _) in enumerate(COMMANDS):
        arena.feed(arena.peer.handle_command, 10_000 + number, name, args)
    arena.run_for(0.05)
    for number in range(len(COMMANDS)):
        arena.feed(arena.peer.handle_cancel, 10_000 + number)
    answered = sum(10_000 + number in arena.results for number in range(len(COMMANDS)))
    check_rest(arena)
    assert sum(10_000 + number in arena.results for number in range(len(COMMANDS))) == answered
    assert arena.peer._commands == {}


@settings(max_examples=3, phases=PHASES)
@given(seed=st.integers(0, 1 << 32), style=STYLES)
def test_a_topic_among_liars_stays_within_its_bounds_and_ends(seed: int, style: Style) -> None:
    arena = Arena(make_peer(1), seed, style)
    arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    assert is_clean(arena.command("subscribe", {"topic": "chat"}, within_s=0))
    for number in range(20):
        asked = {"topic": "chat" if number % 2 else "elsewhere", "body": b"%d" % number}
        assert is_clean(arena.command("publish", asked, within_s=LOOKUP_DEADLINE_S + 60))
        arena.run_for(5)
        check_limits(arena)
        for topic in arena.peer.gossip.state.topics.values():
            assert len(topic.mesh) + len(topic.mesh.asked) <= limits.MESH_HIGH
            assert len(topic.roster) <= 2 * limits.MAX_KNOWN_SUBSCRIBERS
    assert is_clean(arena.command("unsubscribe", {"topic": "chat"}, within_s=0))
    check_rest(arena)
    arena.run_for(60)
    assert arena.peer.gossip.state.topics == {}
    assert not arena.peer.gossip.state.kept


def test_who_lists_what_is_not_ours_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.dht.handover._wanted", lambda dht, key: False)
    monkeypatch.setattr("overlay.dht.handover._MAX_PAGES", 5)
    arena = Arena(make_peer(1), 1, Style(silent=0, honest=100, slow_ms=100))
    arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    arena.run_for(650)
    assert 0 < arena.asked[Kind.FIND_KEYS] <= 3 * 5 * 4, "tries and a RETRY included"


def test_a_victim_named_by_everybody_gets_little_of_it() -> None:
    arena = Arena(make_peer(1), 5, Style(silent=0, honest=0, garbled=0, wrong_kind=0, odd_body=0, retry=0))
    arena.command("join", JOIN, within_s=8 * LOOKUP_DEADLINE_S)
    before = dict(arena.sent_to)
    arena.command("lookup", {"key": KEY.hex()}, within_s=30)
    to_victim = arena.sent_to.get(VICTIM, 0) - before.get(VICTIM, 0)
    assert 0 < to_victim <= 2 * 3 * 3 * limits.PADDED_FIND, "three candidates at a time, three tries each"
