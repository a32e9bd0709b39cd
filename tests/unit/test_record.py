"""Recordings: what is on the tape, what ends one, and where a replay sees a difference."""

from __future__ import annotations

import importlib
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overlay.app import App, AppContext
from overlay.dht.upkeep import Upkeep
from overlay.inspect import describe
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Failed, Now, Ok
from overlay.secure.noise import Suite
from p2pnode.api import Terms
from p2pnode.record import Difference, NotARecording, RecordingError, Replay, Verdict, replay
from p2pnode.record.tape import MAGIC, Writer
from tests.support import recording
from tests.support.pair import keys_of
from tests.support.recording import FRIEND, Recorded

NAME = __name__


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.rec"


def differs(verdict: Verdict) -> Difference:
    assert verdict.difference is not None
    return verdict.difference


def test_a_life_replays_to_the_byte(file: Path) -> None:
    Recorded(file).live().close()
    verdict = replay(file)
    assert verdict.difference is None
    assert (verdict.ended, verdict.damage) == ("the node ended", None)
    assert set(verdict.inputs) == {"start", "network", "done", "command", "timer", "datagram", "cancel", "stream"}
    assert verdict.effects > 10
    assert verdict.duration_s > 0.5


def test_what_it_knew_then_is_there_again(file: Path) -> None:
    recorded = Recorded(file).live()
    recorded.close()
    opened = Replay(file)
    opened.run()
    opened.close()
    then, again = describe(recorded.peer), describe(opened.peer)
    assert then == again
    assert then["own_records"][0]["name"] == b"greeting"
    assert any("Upkeep" in task for task in then["tasks"])


@pytest.mark.parametrize("assumed", [None, (7, b"a" * 32)])
def test_applications_are_told_the_settings_of_then(
    file: Path, monkeypatch: pytest.MonkeyPatch, assumed: tuple[int, bytes] | None
) -> None:
    terms = Terms(False, False, recording.NETWORK.network_id, 0, True, 288, assumed)
    monkeypatch.setattr(recording, "TERMS", terms)
    Recorded(file).close()
    told: list[Terms] = []
    module = importlib.import_module("p2pnode.record.replay")  # the package has a function of that name
    monkeypatch.setattr(module, "load_apps", lambda _, terms: told.append(terms) or [])
    Replay(file).close()
    assert told == [terms]


@pytest.mark.parametrize("suite", list(Suite))
def test_a_replay_opens_streams_with_the_cipher_of_then(file: Path, suite: Suite) -> None:
    Recorded(file, suite=suite).live().close()
    opened = Replay(file)
    opened.close()
    assert opened.peer.streams.suite is suite


def test_a_file_is_for_its_owner_alone_and_is_never_overwritten(file: Path) -> None:
    Recorded(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(RecordingError, match="never overwritten"):
        Recorded(file)
    assert file.read_bytes() == before


def test_a_link_is_not_followed(file: Path) -> None:
    file.symlink_to(file.with_name("elsewhere"))
    with pytest.raises(RecordingError):
        Recorded(file)
    assert not file.with_name("elsewhere").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        Recorded(tmp_path / "none" / "a.rec")


def test_nothing_is_left_of_a_recording_that_never_began(file: Path) -> None:
    with pytest.raises(RecordingError, match="larger than the recording may become"):
        Recorded(file, limit=1200)
    assert not file.exists()


def test_at_its_limit_the_recording_ends_and_the_node_goes_on(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorded = Recorded(file, limit=4000)
    for id in range(1, 100):
        recorded.command(id, "put", value=b"%d" % id)
    recorded.close()
    assert len(recorded.results) == 99
    assert file.stat().st_size <= 4000
    assert "reached its limit of 4000 bytes" in caplog.text
    assert "the node goes on" in caplog.text
    verdict = replay(file)
    assert verdict.difference is None
    assert verdict.ended is not None
    assert "limit" in verdict.ended


def test_a_disk_that_is_full_ends_the_recording_not_the_node(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = Recorded(file).live()
    write, left = os.write, 150

    def full(descriptor: int, data: Any) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(28, "No space left on device")
        count = write(descriptor, bytes(data)[:left])
        left -= count
        return count

    monkeypatch.setattr(os, "write", full)
    for id in range(10, 20):
        recorded.command(id, "status")
    recorded.close()
    assert isinstance(recorded.results[19], Ok)
    assert caplog.text.count("No space left on device") <= 2
    verdict = replay(file)
    assert (verdict.difference, verdict.ended) == (None, None)
    assert verdict.damage is not None
    assert "torn" in verdict.damage


@pytest.mark.parametrize("value", [object(), {1, 2}, [[[[[[[[[1]]]]]]]]], bytearray(b"x")])
def test_a_value_that_no_file_can_hold_ends_the_recording_not_the_node(
    file: Path, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = Recorded(file)
    recorded.command(1, "status")
    recorded.command(2, "status", odd=value)
    recorded.command(3, "status")
    assert isinstance(recorded.results[3], Ok)
    assert "the node goes on: command" in caplog.text
    verdict = replay(file)
    assert verdict.difference is None
    assert verdict.inputs["command"] == 1


def test_a_write_that_the_disk_refused_is_refused_again(file: Path) -> None:
    recorded = Recorded(file).live()
    recorded.store.full = True
    recorded.command(10, "put", value=b"no room", name="x")
    recorded.store.full = False
    recorded.command(11, "put", value=b"room", name="x")
    recorded.close()
    assert isinstance(recorded.results[10], Failed)
    assert isinstance(recorded.results[11], Ok)
    assert replay(file).difference is None


def test_a_core_that_raised_raises_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(file).live()

    def bug(*_: object) -> None:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as patched:
        patched.setattr("overlay.rpc.endpoint.Endpoint.handle", bug)
        with pytest.raises(ZeroDivisionError):
            recorded.give("handle_datagram", FRIEND, b"boom")
        assert differs_not(replay(file, to_input=1))
    found = differs(replay(file))
    assert found.what == "datagram of 4 bytes from 10.0.0.7:4433"
    assert found.recorded == ["raised ZeroDivisionError: planted"]
    assert found.replayed[-1].startswith("timer in ")


def differs_not(verdict: Verdict) -> bool:
    return verdict.difference is None


def test_chance_that_is_not_the_recorded_one_is_found_at_its_first_use(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(file)
    recorded.command(1, "status")
    recorded.command(2, "join", addresses=[{"address": str(FRIEND)}])
    recorded.wait(1)
    recorded.close()
    total = replay(file).fed
    draws = 0

    def planted(self: object, n: int) -> bytes:
        nonlocal draws
        draws += 1
        return bytes([draws & 0xFF]) * n

    monkeypatch.setattr("p2pnode.record.ports.SeededEntropy.__call__", planted)
    found = differs(replay(file))
    assert found.what == "command 2, join", "the first datagram is the first that shows an id"
    assert 0 < found.input < total
    assert found.recorded[0].startswith("SendDatagram, ")
    assert "to 10.0.0.7:4433: " in found.replayed[0]


def test_a_timer_that_is_set_otherwise_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Recorded(file).live().close()
    sleep = Upkeep._sleep
    monkeypatch.setattr(Upkeep, "_sleep", lambda self, *args: _later(self, sleep, *args))
    found = differs(replay(file))
    assert found.recorded[-1] != found.replayed[-1]
    assert found.recorded[-1].startswith("timer in ")


async def _later(upkeep: Upkeep, sleep: Callable[..., Any], *args: Any) -> None:
    await upkeep.dht.loop.sleep(1)
    await sleep(upkeep, *args)


def test_a_choice_that_is_made_otherwise_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dice(App):
        name = "dice"

        async def run(self, ctx: AppContext) -> None:
            while True:
                await ctx.sleep(SECOND)
                ctx.emit("rolled", number=ctx.rng.below(6))

    monkeypatch.setitem(globals(), "Dice", Dice)
    recorded = Recorded(file, apps=[f"{NAME}:Dice"])
    recorded.wait(5)
    recorded.close()
    assert replay(file).difference is None
    below = Rng.below
    rolls = 0

    def loaded(self: Rng, n: int) -> int:
        nonlocal rolls
        rolls += n == 6
        return 6 if n == 6 and rolls == 3 else below(self, n)

    monkeypatch.setattr(Rng, "below", loaded)
    found = differs(replay(file))
    assert found.at_s == pytest.approx(3, abs=0.1)
    # A round of upkeep may fall on the same input, and its effects come first.
    assert any("('number', 6)" in effect for effect in found.replayed)
    assert not any("('number', 6)" in effect for effect in found.recorded)


def test_a_replay_stops_where_it_is_told(file: Path) -> None:
    recorded = Recorded(file).live()
    recorded.close()
    whole = replay(file)
    assert replay(file, to_input=3).fed == 3
    assert replay(file, to_ns=0).fed == 1
    part = replay(file, to_ns=SECOND // 2)
    assert 1 < part.fed < whole.fed
    assert part.duration_s <= 0.5
    assert (part.ended, part.whole, whole.whole) == (None, False, True)


def test_a_node_that_was_killed_leaves_what_it_did(file: Path) -> None:
    recorded = Recorded(file).live()
    killed = file.read_bytes()
    recorded.close()
    file.write_bytes(killed)
    verdict = replay(file)
    assert (verdict.difference, verdict.ended, verdict.damage) == (None, None, None)
    assert verdict.inputs["command"] == 3


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "this is not a recording"),
        (b"SQLite format 3\0", "this is not a recording"),
        (b"p2pnode recording 2\n", "this recording has another format"),
        (MAGIC, "cannot be replayed"),
        (MAGIC + b"\0\0\0\x01\0\0\0\0\xf6", "does not fit its checksum"),
        (MAGIC + b"\xff" * 8, "none is that long"),
    ],
)
def test_what_is_no_recording_is_told(file: Path, data: bytes, what: str) -> None:
    file.write_bytes(data)
    with pytest.raises(NotARecording) as raised:
        replay(file)
    assert what in str(raised.value)


def test_neither_folder_nor_nothing_nor_pipe_is_a_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "none", "pipe"):
        with pytest.raises(NotARecording):
            replay(tmp_path / name)


def test_a_recording_shows_no_secret_of_the_log(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    Recorded(file).live().close()
    assert keys_of(1).seed in file.read_bytes(), "the docs say so"
    assert keys_of(1).seed.hex() not in caplog.text
    assert keys_of(1).seed.hex() not in repr(replay(file))


def test_a_writer_gives_bytes_to_the_kernel_at_flush(file: Path) -> None:
    writer = Writer(file)
    writer.append(b"\xf6")
    assert file.read_bytes() == b""
    writer.flush()
    assert len(file.read_bytes()) == writer.size == len(MAGIC) + 9
    writer.close()


def test_a_wall_clock_that_goes_back_is_kept(file: Path) -> None:
    recorded = Recorded(file)
    recorded.now = Now(recorded.now.mono_ns, recorded.now.wall_ms - 86_400_000)
    recorded.command(1, "put", value=b"x", name="n")
    recorded.close()
    assert replay(file).difference is None
