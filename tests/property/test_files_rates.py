"""Rates, token buckets and windows in integers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.files.core.limits import MAX_WINDOW_BYTES, MIN_WINDOW_BYTES
from apps.files.core.pipeline import Pipeline
from apps.files.core.rates import Bucket, Rate
from overlay.runtime.ports import MS, SECOND

MIB = 1024 * 1024


@given(st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 300_000)), min_size=1, max_size=60),
       st.integers(1, 10**7), st.integers(1, 10**6))  # fmt: skip
def test_a_bucket_never_lets_more_through_than_rate_and_burst(
    tries: list[tuple[int, int]], rate: int, burst: int
) -> None:
    bucket = Bucket(rate, burst, 0)
    now = sent = waited = 0
    for pause, count in tries:
        now = max(now + pause, waited)
        wait = bucket.wait(now)
        taken = bucket.take(now, count)
        assert taken == (wait == 0)
        if taken:
            sent += count
            # The last one may go into debt.
            assert (sent - count) * SECOND < burst * SECOND + rate * now
        else:
            assert bucket.wait(now + wait - 1) > 0
            waited = now + wait  # its time does not go back
            assert bucket.wait(waited) == 0


def test_a_bucket_reaches_its_rate_with_units_larger_than_the_burst() -> None:
    bucket = Bucket(100_000, 16_384, 0)
    now = sent = 0
    while now < 100 * SECOND:
        now += bucket.wait(now)
        assert bucket.take(now, 262_144)
        sent += 262_144
    assert abs(sent - 100 * 100_000) < 2 * 262_144


def test_limits_change_and_end() -> None:
    bucket = Bucket(1000, 1000, 0)
    assert bucket.take(0, 11_000)
    assert bucket.wait(0) == 10 * SECOND + 1
    bucket.limit(SECOND, 9000)
    assert bucket.wait(SECOND) == SECOND + 1
    bucket.limit(SECOND, None)
    assert bucket.wait(SECOND) == 0
    assert bucket.take(SECOND, 10**12)
    stopped = Bucket(None, 1000, 0)
    stopped.limit(5 * SECOND, 1000)
    assert stopped.take(5 * SECOND, 2000)
    assert stopped.wait(5 * SECOND) == SECOND + 1


@given(st.integers(0, 10**9), st.integers(20, 60))
def test_a_steady_rate_is_what_it_is(each: int, times: int) -> None:
    rate = Rate(0)
    for i in range(times):
        rate.add(i * 100 * MS, each)
    now = (times - 1) * 100 * MS
    then = rate.at(now)
    assert abs(then - 10 * each) <= max(10 * each // 20, 20)
    assert rate.total == each * times
    # Half of it is gone soon, and all of it in the end.
    assert rate.at(now + 10 * SECOND) <= then // 2 + 1
    assert rate.at(now + 40 * SECOND) <= then // 10_000 + 1


def test_a_rate_shows_at_once() -> None:
    rate = Rate(0)
    assert rate.at(0) == 0
    rate.add(100 * MS, 1_000_000)
    assert rate.at(100 * MS) == 16_000_000
    assert rate.at(350 * MS) == 4_000_000
    assert rate.at(600 * MS) == 2_000_000


@given(st.lists(st.tuples(st.sampled_from(["ask", "come", "drop", "wait"]), st.integers(0, 5 * MIB)), max_size=60))
def test_a_window_is_bounded_whatever_a_peer_does(steps: list[tuple[str, int]]) -> None:
    pipeline = Pipeline(0)
    now = 0
    for step, count in steps:
        assert MIN_WINDOW_BYTES <= pipeline.window(now) <= MAX_WINDOW_BYTES
        room = pipeline.room(now)
        assert 0 <= room <= MAX_WINDOW_BYTES
        assert (pipeline.deadline(now) is None) == (pipeline.asked == 0)
        match step:
            case "ask" if room:
                pipeline.on_asked(now, min(count, room))
                assert pipeline.asked <= MAX_WINDOW_BYTES
            case "come":
                pipeline.on_came(now, count, rtt=max(count, 1))
            case "drop":
                pipeline.on_dropped(count)
            case _:
                now += count * 1000
        assert pipeline.asked >= 0


def fetched(bandwidth: int, rtt: int, seconds: int) -> tuple[int, int]:
    """(bytes a second in the last half, window in the end) of a link that serves one request after another."""
    pipeline = Pipeline(0)
    unit = 262_144
    queue: list[tuple[int, int]] = []
    now = link_free = came = 0
    half = 0
    while now < seconds * SECOND:
        alone = not queue
        while pipeline.room(now) >= unit:
            link_free = max(link_free, now + rtt) + unit * SECOND // bandwidth
            queue.append((link_free, now if alone else -1))
            alone = False
            pipeline.on_asked(now, unit)
        now, asked_at = queue.pop(0)
        pipeline.on_came(now, unit, rtt=now - asked_at if asked_at >= 0 else None)
        came += unit
        half = half or (came if now >= seconds * SECOND // 2 else 0)
    return (came - half) * 2 // seconds, pipeline.window(now)


def test_the_window_finds_bandwidth_times_round_trip() -> None:
    for bandwidth, rtt in ((100 * MIB, MS), (10 * MIB, 50 * MS), (20 * MIB, 80 * MS), (1 * MIB, 20 * MS)):
        reached, window = fetched(bandwidth, rtt, 20)
        assert reached >= bandwidth * 85 // 100, (bandwidth, rtt, reached, window)
        assert window <= MAX_WINDOW_BYTES


def test_who_is_silent_is_late_and_then_snubs() -> None:
    pipeline = Pipeline(0)
    assert not pipeline.snubbed(10**12)
    pipeline.on_asked(SECOND, 262_144)
    assert pipeline.deadline(SECOND) == 61 * SECOND  # nothing is known of it
    pipeline.on_came(2 * SECOND, 262_144, rtt=SECOND)
    pipeline.on_asked(2 * SECOND, 262_144)
    assert pipeline.deadline(2 * SECOND) == 2 * SECOND + 5 * SECOND
    assert not pipeline.snubbed(61 * SECOND)
    assert pipeline.snubbed(62 * SECOND)
