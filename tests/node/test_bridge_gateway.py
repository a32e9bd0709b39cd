"""The overlay side of the bridge: quotas, other bridges' records, failures, order, bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import umsgpack
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage
from overlay.limits import MAX_VALUE
from p2pnode.bridge import limits, values
from p2pnode.bridge.gateway import Gateway
from p2pnode.bridge.meter import Bucket, Buckets
from tests.node.bridge_fakes import Broken, Overlay

KEY = b"k" * 20

foreign_values = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.booleans(), st.text(), st.binary(max_size=3000)
)


def gateway(overlay: Overlay, name: str = "left") -> tuple[Gateway, dict[str, int]]:
    counters: dict[str, int] = {}
    return Gateway(overlay.node(name), name, counters), counters


# --- values ----------------------------------------------------------------------------------


@given(foreign_values)
def test_every_value_survives_packing(value: values.Value) -> None:
    packed = values.pack_value(value)
    assert packed is not None
    back = values.unpack_value(packed)
    assert (type(back), back) == (type(value), value)
    assert values.join(values.Manifest(len(packed), ()), values.chunks_of(packed)) == packed
    assert all(len(chunk) <= MAX_VALUE for chunk in values.chunks_of(packed))
    if values.is_inline(packed):
        record = values.inline_record(packed)
        assert len(record) <= MAX_VALUE
        assert values.decode_record(record) == packed


@given(st.binary(max_size=900))
def test_a_hostile_record_is_a_bad_message_or_a_value(record: bytes) -> None:
    try:
        held = values.decode_record(record)
        if isinstance(held, bytes):
            assert values.is_value(values.unpack_value(held))
        else:
            assert len(held.keys) <= 10
    except BadMessage:
        pass


def test_deep_nesting_is_a_bad_message() -> None:
    with pytest.raises(BadMessage):
        values.decode_msgpack(b"\x91" * 8000)


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_other_types_are_not_values(value: object) -> None:
    with pytest.raises(BadMessage):
        values.unpack_value(umsgpack.packb(value))


def test_a_salt_is_no_text_so_no_foreign_key_names_a_users_record() -> None:
    with pytest.raises(UnicodeDecodeError):
        values.salt_of(b"my-important-name-20").decode()


# --- store and find --------------------------------------------------------------------------


async def test_a_long_value_becomes_blobs_and_a_manifest() -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    value = b"".join(i.to_bytes(2, "big") for i in range(4000))
    assert await ours.store(KEY, value)
    assert len(overlay.blobs) == 10
    theirs, _ = gateway(overlay, "right")
    assert await theirs.find(KEY) == value


async def test_more_than_8_kb_is_refused() -> None:
    overlay = Overlay()
    ours, counters = gateway(overlay)
    assert not await ours.store(KEY, b"x" * 8190)
    assert counters == {"refused_value": 1}
    assert overlay.ran == []


async def test_a_missing_piece_is_a_miss_not_a_shorter_value() -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    assert await ours.store(KEY, b"abc" * 1000)
    overlay.blobs.popitem()
    theirs, counters = gateway(overlay, "right")
    assert await theirs.find(KEY) is None
    assert counters["bad_record"] == 1


async def test_junk_of_another_bridge_with_a_newer_seq_does_not_hide_a_value() -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    assert await ours.store(KEY, "good")
    hostile = overlay.node("mallory")
    for junk in (b"", b"\x00\x91\x01", b"\x00" + b"\x91" * 500, b"\x01\xff\xff", b"\x02", b"\x01\x20\x00" + bytes(320)):
        await hostile("put", value=junk, salt=values.salt_of(KEY), ttl_s=1, profile="cheap")
        await hostile("provide", key=values.meeting_key(KEY), ttl_s=1)
        theirs, counters = gateway(overlay, "right")
        assert await theirs.find(KEY) == "good"
        assert counters["bad_record"] == 1


async def test_a_hundred_providers_cost_eight_gets() -> None:
    overlay = Overlay()
    overlay.providers[values.meeting_key(KEY)] = [f"node {i}" for i in range(100)]
    ours, _ = gateway(overlay)
    assert await ours.find(KEY) is None
    assert overlay.ran.count("get") == limits.MAX_AUTHORS


async def test_the_quota_of_keys_refuses_new_ones_and_updates_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pnode.bridge.ledger.MAX_KEYS", 3)
    overlay = Overlay()
    ours, counters = gateway(overlay)
    stored = [await ours.store(bytes([i]) * 20, i) for i in range(5)]
    assert stored == [True, True, True, False, False]
    assert await ours.store(bytes(20), "new")
    assert counters["refused_quota"] == 2
    assert ours.kept_keys == 3


async def test_the_quota_of_bytes_counts_what_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pnode.bridge.ledger.MAX_BYTES", 5000)
    ours, counters = gateway(Overlay())
    assert await ours.store(KEY, b"a" * 4000)
    assert await ours.store(KEY, b"b" * 4500)
    assert not await ours.store(b"o" * 20, b"c" * 4000)
    assert await ours.store(KEY, b"d" * 10)
    assert await ours.store(b"o" * 20, b"c" * 4000)
    assert ours.kept_bytes == 12 + 4003
    assert counters["refused_quota"] == 1


async def test_the_same_value_again_writes_nothing_unless_somebody_wrote_between() -> None:
    overlay = Overlay()
    ours, counters = gateway(overlay)
    assert await ours.store(KEY, 1)
    assert await ours.store(KEY, 1)
    assert counters == {"stored": 1, "unchanged": 1}
    theirs, _ = gateway(overlay, "right")
    assert await theirs.store(KEY, 2)
    assert await ours.store(KEY, 1)
    assert counters["stored"] == 2
    assert await gateway(overlay, "third")[0].find(KEY) == 1


async def test_a_failing_overlay_is_a_refusal_and_a_miss(autojump_clock: trio.testing.MockClock) -> None:
    overlay = Overlay()
    ours, counters = gateway(overlay)
    assert await ours.store(KEY, "kept")
    overlay.failure = Broken("nobody answers")
    await trio.sleep(limits.CACHE_S)
    assert await ours.find(KEY) == "kept"
    assert await ours.find(b"o" * 20) is None
    assert not await ours.store(b"o" * 20, 1)
    assert counters["store_failed"] == 1
    assert counters["overlay_failed"] == 3


async def test_a_bug_is_not_swallowed() -> None:
    overlay = Overlay(failure=ZeroDivisionError())
    ours, _ = gateway(overlay)
    with pytest.raises(ZeroDivisionError):
        await ours.store(KEY, 1)


async def test_a_silent_overlay_is_answered_for_before_the_package_gives_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    overlay = Overlay(gate=trio.Event())
    ours, counters = gateway(overlay)
    start = trio.current_time()
    assert not await ours.store(KEY, 1)
    assert await ours.find(KEY) is None
    assert trio.current_time() - start == 2 * limits.ANSWER_S
    assert limits.ANSWER_S < 5
    assert (counters["store_timed_out"], counters["find_timed_out"]) == (1, 1)
    assert not ours._keeper._turns
    assert not ours._finding


async def test_callers_for_one_key_share_one_search() -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ours.find, KEY)
    assert overlay.ran == ["providers"]


async def test_two_sets_at_once_end_with_the_later_one() -> None:
    overlay = Overlay(gate=trio.Event())
    ours, _ = gateway(overlay)
    async with trio.open_nursery() as nursery:
        for value in range(10):
            nursery.start_soon(ours.store, KEY, value)
            await trio.testing.wait_all_tasks_blocked()
        overlay.gate.set()  # type: ignore[union-attr]
    assert await gateway(overlay, "right")[0].find(KEY) == 9


async def test_too_many_that_wait_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    overlay = Overlay(gate=trio.Event())
    ours, counters = gateway(overlay)
    async with trio.open_nursery() as nursery:
        for i in range(limits.MAX_WAITING + 10):
            nursery.start_soon(ours.store, i.to_bytes(20, "big"), 1)
    assert counters["refused_busy"] == 10
    assert counters["store_timed_out"] == limits.MAX_WAITING


async def test_stores_beyond_the_rate_wait(autojump_clock: trio.testing.MockClock) -> None:
    ours, counters = gateway(Overlay())
    start = trio.current_time()
    for i in range(limits.STORE_BURST + limits.STORES_PER_S):
        assert await ours.store(i.to_bytes(20, "big"), 1)
    assert trio.current_time() - start == pytest.approx(1.0)
    assert counters == {"stored": limits.STORE_BURST + limits.STORES_PER_S}


async def test_a_week_later_a_key_gives_its_room_back(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    ours, counters = gateway(overlay)
    nursery.start_soon(ours.upkeep)
    assert await ours.store(KEY, 1)
    await trio.sleep(limits.KEEP_S - 1)
    assert ours.kept_keys == 1
    assert counters["renewed"] == 13  # every half day
    await trio.sleep(2 * limits.RENEW_CHECK_S)
    assert (ours.kept_keys, ours.kept_bytes, ours._keeper.ledger.records) == (0, 0, 0)
    assert overlay.lists == {"left": {}}, "and the node publishes nothing of it"


async def test_a_key_that_another_bridge_has_overwritten_is_not_renewed(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    ours, counters = gateway(overlay)
    nursery.start_soon(ours.upkeep)
    assert await ours.store(KEY, "old")
    assert await gateway(overlay, "right")[0].store(KEY, "new")
    await trio.sleep(limits.RENEW_S + 2 * limits.RENEW_CHECK_S)
    assert counters["overtaken"] == 1
    assert ours.kept_keys == 0
    await trio.sleep(limits.RENEW_CHECK_S)
    assert overlay.lists["left"] == {}
    assert await ours.find(KEY) == "new"


async def test_the_cache_of_misses_is_bounded_and_short(autojump_clock: trio.testing.MockClock) -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    assert await ours.find(KEY) is None
    assert await gateway(overlay, "right")[0].store(KEY, 1)
    assert await ours.find(KEY) is None
    await trio.sleep(limits.CACHE_S)
    assert await ours.find(KEY) == 1
    for i in range(limits.MAX_CACHED + 5):
        await ours.find(i.to_bytes(20, "big"))
        await trio.sleep(0.01)
    assert len(ours._cache) == limits.MAX_CACHED


# --- what the node publishes -----------------------------------------------------------------


LONG = b"".join(i.to_bytes(2, "big") for i in range(4000))


async def test_after_a_restart_a_bridge_has_its_keys_and_its_quota() -> None:
    overlay = Overlay()
    before, _ = gateway(overlay)
    assert await before.store(KEY, LONG)
    assert await before.store(b"o" * 20, "short")

    after, counters = gateway(overlay)
    await after.recall()

    assert (after.kept_keys, after.kept_bytes) == (2, before.kept_bytes)
    assert after._keeper.ledger.records == before._keeper.ledger.records == 14
    assert counters == {"recalled": 2}
    overlay.failure = Broken("nobody answers")
    assert await after.find(KEY) == LONG
    assert await after.find(b"o" * 20) == "short"


async def test_after_a_restart_keys_are_renewed_when_they_are_due(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    assert await gateway(overlay)[0].store(KEY, 1)
    for row in overlay.lists["left"].values():
        row["expires_s"] = limits.RENEW_S - 10  # it was signed a little more than half a day ago
    after, counters = gateway(overlay)
    await after.recall()
    nursery.start_soon(after.upkeep)
    await trio.sleep(2 * limits.RENEW_CHECK_S)
    assert counters["renewed"] == 1


@pytest.mark.parametrize("missing", ["blob", "provider"])
async def test_what_an_earlier_life_left_incomplete_is_withdrawn(missing: str) -> None:
    overlay = Overlay()
    assert await gateway(overlay)[0].store(KEY, LONG)
    rows = overlay.lists["left"]
    del rows[next(at for at in rows if at[0] == missing)]

    after, _ = gateway(overlay)
    await after.recall()
    await after._keeper.tidy()

    assert after.kept_keys == 0
    assert rows == {}


async def test_what_the_owner_of_the_node_published_stays() -> None:
    overlay = Overlay()
    node = overlay.node("left")
    await node("put", value=LONG[:800], ttl_s=60, profile="cheap")
    await node("put", value=b"mine", salt=b"name", ttl_s=60, profile="cheap")
    await node("provide", key="ab" * 32, ttl_s=60)
    mine = dict(overlay.lists["left"])
    ours, _ = gateway(overlay)
    assert await ours.store(KEY, LONG)
    ours._keeper.ledger.drop(KEY)
    await ours._keeper.tidy()
    after, _ = gateway(overlay)
    await after.recall()
    await after._keeper.tidy()
    assert overlay.lists["left"] == mine


async def test_pieces_of_a_value_that_was_replaced_are_withdrawn_unless_another_has_them() -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    assert await ours.store(KEY, LONG)
    assert await ours.store(b"o" * 20, LONG)
    assert await ours.store(KEY, "short")
    await ours._keeper.tidy()
    assert sorted(kind for kind, _ in overlay.lists["left"]) == ["blob"] * 10 + ["provider"] * 2 + ["signed"] * 2
    assert await ours.store(b"o" * 20, "short")
    await ours._keeper.tidy()
    assert sorted(kind for kind, _ in overlay.lists["left"]) == ["provider"] * 2 + ["signed"] * 2


async def test_pieces_of_a_value_that_did_not_get_out_count_until_they_are_withdrawn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    node = ours._commands.command

    async def signs_nothing(name: str, /, **args: object) -> object:
        if name == "put" and "salt" in args:
            await trio.sleep_forever()
        return await node(name, **args)

    ours._commands.command = signs_nothing
    assert not await ours.store(KEY, LONG)
    assert len(overlay.lists["left"]) == 10
    assert ours._keeper.ledger.records == 12, "the signed record might have got out as well"
    await ours._keeper.tidy()
    assert overlay.lists["left"] == {}
    assert ours._keeper.ledger.records == 0


# --- publications that do not end ------------------------------------------------------------


class Stuck:
    """A node of `overlay` on which some commands take effect and are never answered."""

    def __init__(self, overlay: Overlay, name: str = "left") -> None:
        self.node = overlay.node(name)
        #: Which: (name of the command, its arguments) -> bool.
        self.on: Callable[[str, dict[str, Any]], bool] = lambda name, args: False

    async def __call__(self, name: str, /, **args: Any) -> Any:
        answer = await self.node(name, **args)
        if self.on(name, args):
            await trio.sleep_forever()
        return answer


def is_signing(name: str, args: dict[str, Any]) -> bool:
    return name == "put" and "salt" in args


async def test_stores_that_time_out_leave_nothing_that_the_node_publishes(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    node = Stuck(overlay)
    node.on = is_signing
    counters: dict[str, int] = {}
    ours = Gateway(node, "left", counters)
    nursery.start_soon(ours.upkeep)
    for i in range(30):
        assert not await ours.store(bytes([i]) * 20, LONG if i % 2 else i)
    await trio.sleep(1)
    assert counters["store_timed_out"] == 30
    assert overlay.lists["left"] == {}
    assert ours._keeper.ledger.records == 0


async def test_stores_that_time_out_count_until_they_are_withdrawn(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pnode.bridge.ledger.MAX_RECORDS", 8)
    overlay = Overlay()
    node = Stuck(overlay)
    node.on = is_signing
    counters: dict[str, int] = {}
    ours = Gateway(node, "left", counters)
    for i in range(30):
        assert not await ours.store(bytes([i]) * 20, i)
    assert counters == {"store_timed_out": 4, "refused_quota": 26}
    assert len(overlay.lists["left"]) <= 8


@pytest.mark.parametrize("unanswered", ["put", "provide"])
async def test_after_a_store_that_timed_out_all_bridges_read_the_same(
    unanswered: str, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    node = Stuck(overlay)
    counters: dict[str, int] = {}
    ours, theirs = Gateway(node, "left", counters), gateway(overlay, "right")[0]
    assert await ours.store(KEY, "old")
    node.on = lambda name, args: name == unanswered
    assert not await ours.store(KEY, "new")
    node.on = lambda name, args: False
    await trio.sleep(limits.CACHE_S)
    assert await ours.find(KEY) == await theirs.find(KEY) == "new"
    nursery.start_soon(ours.upkeep)
    await trio.sleep(limits.RENEW_CHECK_S + 1)
    assert counters["renewed"] == 1, "it does not stay in doubt"
    assert await ours.find(KEY) == await theirs.find(KEY) == ("old" if unanswered == "put" else "new")


async def test_a_republish_after_a_store_that_timed_out_is_published(autojump_clock: trio.testing.MockClock) -> None:
    overlay = Overlay()
    node = Stuck(overlay)
    counters: dict[str, int] = {}
    ours = Gateway(node, "left", counters)
    assert await ours.store(KEY, "old")
    node.on = is_signing
    assert not await ours.store(KEY, "new")
    node.on = lambda name, args: False
    assert await ours.store(KEY, "old")
    assert "unchanged" not in counters
    assert await gateway(overlay, "right")[0].find(KEY) == "old"


async def test_what_is_kept_stays_when_a_piece_of_its_successor_does_not_get_out(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    node = Stuck(overlay)
    counters: dict[str, int] = {}
    ours = Gateway(node, "left", counters)
    assert await ours.store(KEY, "old")
    before = dict(overlay.lists["left"])
    node.on = lambda name, args: name == "put" and "salt" not in args
    assert not await ours.store(KEY, LONG)
    nursery.start_soon(ours.upkeep)
    await trio.sleep(2 * limits.RENEW_CHECK_S)
    assert overlay.lists["left"] == before
    assert "renewed" not in counters, "nothing was signed, so nothing is in doubt"
    assert ours._keeper.ledger.records == 2


async def test_pieces_of_a_value_on_its_way_out_are_not_withdrawn_with_another_key(nursery: trio.Nursery) -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    node, answer = ours._commands.command, trio.Event()
    other = b"o" * 20
    stored: list[bool] = []

    async def slow_to_sign(name: str, /, **args: Any) -> Any:
        if is_signing(name, args) and args["salt"] == values.salt_of(other):
            await answer.wait()
        return await node(name, **args)

    ours._commands.command = slow_to_sign
    nursery.start_soon(ours.upkeep)
    assert await ours.store(KEY, LONG)

    async def store() -> None:
        stored.append(await ours.store(other, LONG))

    async with trio.open_nursery() as storing:
        storing.start_soon(store)
        await trio.testing.wait_all_tasks_blocked()
        assert await ours.store(KEY, "short")
        await trio.testing.wait_all_tasks_blocked()
        answer.set()
    assert stored == [True]
    assert sorted(kind for kind, _ in overlay.lists["left"]) == ["blob"] * 10 + ["provider"] * 2 + ["signed"] * 2


async def test_a_withdrawal_that_hangs_delays_no_answer_and_is_not_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    overlay = Overlay()
    ours, _ = gateway(overlay)
    node = ours._commands.command

    async def forgets_nothing(name: str, /, **args: Any) -> Any:
        if name == "forget":
            await trio.sleep_forever()
        return await node(name, **args)

    assert await ours.store(KEY, LONG)
    ours._commands.command = forgets_nothing
    start = trio.current_time()
    assert await ours.store(KEY, "short")
    assert trio.current_time() == start
    with trio.move_on_after(1):
        await ours._keeper.tidy()
    ours._commands.command = node
    await ours._keeper.tidy()
    assert sorted(kind for kind, _ in overlay.lists["left"]) == ["provider", "signed"]


async def test_what_cannot_be_renewed_holds_nobody_up(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    node = Stuck(overlay)
    counters: dict[str, int] = {}
    ours = Gateway(node, "left", counters)
    for i in range(3 * limits.MAX_AT_ONCE):
        assert await ours.store(bytes([i]) * 20, LONG)
    assert await ours.store(KEY, "short")
    node.on = lambda name, args: name == "put" and "salt" not in args
    nursery.start_soon(ours.upkeep)
    await trio.sleep(limits.RENEW_S + 3600)
    assert counters["renewed"] == 1
    node.on = lambda name, args: False
    await trio.sleep(3600)
    assert counters["renewed"] == 1 + 3 * limits.MAX_AT_ONCE


async def test_a_renewal_may_take_longer_than_an_answer(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    overlay = Overlay()
    ours, counters = gateway(overlay)
    assert await ours.store(KEY, LONG)
    node = ours._commands.command

    async def slow(name: str, /, **args: Any) -> Any:
        await trio.sleep(limits.ANSWER_S)
        return await node(name, **args)

    ours._commands.command = slow
    nursery.start_soon(ours.upkeep)
    await trio.sleep(limits.RENEW_S + 3 * limits.RENEW_CHECK_S)
    assert counters["renewed"] == 1


@pytest.mark.parametrize("undoes", [True, False], ids=["a cancelled put undoes itself", "it does not"])
@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_cut_off_the_node_publishes_what_is_kept_and_all_read_that(
    seed: int, undoes: bool, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    rng = random.Random(seed)
    overlay = Overlay()
    rows = overlay.lists.setdefault("left", {})
    node = overlay.node("left")
    rough = True

    async def command(name: str, /, **args: Any) -> Any:
        before = dict(rows)
        answer = await node(name, **args)
        changed = [at for at in rows if rows[at] is not before.get(at)] if name == "put" else []
        mine = {at: rows[at] for at in changed}
        try:
            if rough:
                await trio.sleep(rng.choice([0, 0, 0, 0.1, 1, 3, 30]))
                if rng.random() < 0.05:
                    raise Broken("nobody answers")
        except BaseException:
            for at, row in mine.items():
                if undoes and rows.get(at) is row:
                    rows.pop(at)
                    rows.update({at: before[at]} if at in before else {})
            raise
        return answer

    ours = Gateway(command, "left", {})
    keys = [bytes([i]) * 20 for i in range(16)]
    pool: list[values.Value] = [LONG, LONG[:5000], LONG[:2000], "short", 7]
    acknowledged: dict[bytes, list[values.Value]] = {}

    async def store(key: bytes, value: values.Value) -> None:
        if await ours.store(key, value):
            acknowledged.setdefault(key, []).append(value)

    nursery.start_soon(ours.upkeep)
    async with trio.open_nursery() as storing:
        for _ in range(80):
            storing.start_soon(store, rng.choice(keys), rng.choice(pool))
            await trio.sleep(rng.choice([0, 0.5, 2, 20, 90]))
    rough = False
    await trio.sleep(2 * limits.RENEW_S)

    ledger = ours._keeper.ledger
    expected: set[tuple[str, str | bytes]] = set()
    for key in keys:
        kept = ledger.get(key)
        assert (kept is not None) or key not in acknowledged
        if kept is not None:
            expected |= {("signed", values.salt_of(key)), ("provider", values.meeting_key(key))}
            expected |= {("blob", chunk) for chunk in kept.chunks}
            theirs = gateway(overlay, "right")[0]
            assert await theirs.find(key) == await ours.find(key) == values.unpack_value(kept.packed)
    assert acknowledged
    assert set(rows) == expected
    held = [kept for key in keys if (kept := ledger.get(key))]
    assert ledger.records == sum(kept.records for kept in held)
    assert ledger.size == sum(len(kept.packed) for kept in held)


# --- token buckets ---------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = 0.0
    bucket = Bucket(10, 5, lambda: now)
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]
    now = 0.25
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    assert bucket.reserve() == pytest.approx(0.05)
    assert bucket.reserve() == pytest.approx(0.15)


def test_forged_sources_do_not_grow_the_buckets() -> None:
    buckets = Buckets(1, 1, 10, lambda: 0.0)
    assert all(buckets.take(i) for i in range(1000))
    assert len(buckets) == 10
    assert not buckets.take(999)
