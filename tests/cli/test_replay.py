"""`p2pnode replay` and `run --record`, as people and scripts use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.recording import Recorded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Recorded(tmp_path / "a.rec").live().close()
    return tmp_path / "a.rec"


def test_the_same_to_the_byte(run: Run, file: Path) -> None:
    ran = run("replay", str(file))
    assert (ran.code, ran.err) == (0, "")
    assert "ended    the node ended" in ran.out
    assert ran.out.splitlines()[-1].startswith("identical: ")


def test_as_json(run: Run, file: Path) -> None:
    ran = run("replay", str(file), "--json")
    assert (ran.code, ran.err) == (0, "")
    verdict = ran.json
    assert (verdict["v"], verdict["identical"], verdict["difference"]) == (1, True, None)
    assert sum(verdict["inputs"].values()) == verdict["fed"]
    assert "state" not in verdict


def test_where_it_differs(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pnode.record.ports.SeededEntropy.__call__", lambda self, n: bytes(n))
    ran = run("replay", str(file))
    assert ran.code == 1
    line = next(line for line in ran.out.splitlines() if line.startswith("differs at input "))
    assert line.endswith("command 2, join")
    assert "\n  recorded\n    SendDatagram, " in ran.out
    assert "\n  replayed\n    SendDatagram, " in ran.out
    difference = run("replay", str(file), "--json").json["difference"]
    assert difference["recorded"] != difference["replayed"]


def test_the_state_at_a_time(run: Run, file: Path) -> None:
    ran = run("replay", str(file), "--to", "0.2")
    assert ran.code == 0
    assert "ended    later than this" in ran.out
    assert "waits for     PING to 10.0.0.7:4433" in ran.out
    assert "\n  ping 10.0.0.7:4433: Entrance." in ran.out
    state = run("replay", str(file), "--to-input", "5", "--json").json["state"]
    assert state["now"]["mono_ns"] > 0
    assert state["tasks"]


def test_a_torn_file_is_told(run: Run, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])
    ran = run("replay", str(file))
    assert ran.code == 0
    assert "ended    without a word: the node was killed" in ran.out
    assert "warning: the file can be read up to there only: the last item is torn (at byte " in ran.err


@pytest.mark.parametrize(
    ("at", "why"), [(8, "checksum"), (1, "a length that is not its own"), (0, "none is that long")]
)
def test_a_file_with_a_changed_byte_is_not_the_same(run: Run, file: Path, at: int, why: str) -> None:
    whole = file.read_bytes()
    ends, end = [], len(b"p2pnode recording 1\n")
    while end < len(whole):
        end += 8 + int.from_bytes(whole[end : end + 4], "big")
        ends.append(end)
    changed = bytearray(whole)
    changed[ends[len(ends) * 2 // 3] + at] ^= 0x02 if at else 0x80
    file.write_bytes(changed)
    ran = run("replay", str(file))
    assert ran.code == 1
    assert "ended    not known: the rest is damaged" in ran.out
    assert ran.out.splitlines()[-1].startswith("damaged: ")
    assert why in ran.err
    verdict = run("replay", str(file), "--json").json
    assert (verdict["identical"], verdict["difference"], verdict["torn"]) == (False, None, False)
    assert 0 < verdict["read_bytes"] < verdict["file_bytes"] == len(whole)
    assert run("replay", str(file), "--to-input", "2").code == 0, "what was asked for was compared"


def test_what_is_cut_off_after_an_item_looks_like_a_kill(run: Run, file: Path) -> None:
    whole = file.read_bytes()
    length = len(whole) - len(b"the node ended")
    while int.from_bytes(whole[length - 8 : length - 4], "big") != len(whole) - length:
        length -= 1
    file.write_bytes(whole[: length - 8])
    ran = run("replay", str(file))
    assert (ran.code, ran.err) == (0, "")
    assert "ended    without a word: the node was killed" in ran.out


@pytest.mark.parametrize("what", ["none.rec", "text.txt"])
def test_what_is_no_recording(run: Run, tmp_path: Path, what: str) -> None:
    (tmp_path / "text.txt").write_text("hello")
    ran = run("replay", str(tmp_path / what))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert what in ran.err


def test_run_refuses_a_file_that_is_there_before_it_does_anything(run: Run, home: Path, file: Path) -> None:
    before = file.read_bytes()
    ran = run("run", "--record", str(file))
    assert ran.code == 1
    assert "never overwritten" in ran.err
    assert f"mv '{file}' '{file}.old'" in ran.err
    assert not (home / "node.key").exists()
    assert file.read_bytes() == before
