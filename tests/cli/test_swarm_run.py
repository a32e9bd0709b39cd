"""`p2pnode swarm run` and `report` as people see them: the summary, the files, Ctrl-C, what is refused at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from simulations.report import saved
from tests.cli.conftest import Run
from tests.support.scenarios import small


def test_the_summary_fits_80_columns_and_says_how_it_went(run: Run, tmp_path: Path) -> None:
    path = small(tmp_path)
    ran = run("swarm", "run", path, "--seed", "2")
    assert ran.code == 1
    lines = ran.out.splitlines()
    # The command and the file name in it are as long as they are.
    assert [line for line in lines if len(line) > 80 and not line.startswith("again")] == []
    assert re.fullmatch(r"small, seed 2: 24 nodes, \d+ virtual s", lines[0])
    table = [line.split() for line in lines[lines.index("") + 1 :]]
    assert table[0] == ["operation", "count", "success", "p50", "ms", "p99", "ms", "RPCs", "hops"]
    counts = {words[0]: words[1] for words in table[1:5] if words}
    assert (counts["lookup"], counts["put"], counts["get"]) == ("60", "8", "20")
    by_label = {line.split()[0]: line for line in lines if line}
    assert "datagrams" in by_label["traffic"]
    assert "5 colluding-routers" in by_label["population"]
    assert by_label["FAILED"].endswith("nothing_of_that_name  not measured  (<= 1)")
    assert by_label["again"] == f"again       p2pnode swarm run {path} --seed 2"


def test_json_is_one_object_and_has_every_figure(run: Run, tmp_path: Path) -> None:
    ran = run("swarm", "run", small(tmp_path), "--json", "--report", str(tmp_path / "run.html"))
    assert ran.json["v"] == 1
    assert {"lookup_success", "table_most_max", "bytes"} <= ran.json["measures"].keys()
    again = run("swarm", "report", str(tmp_path / "run.html"), "--json")
    assert again.json == ran.json


def test_a_saved_run_gives_the_same_report_and_summary(run: Run, tmp_path: Path) -> None:
    html, trace, again = (str(tmp_path / name) for name in ("run.html", "run.jsonl", "again.html"))
    ran = run("swarm", "run", small(tmp_path), "--report", html, "--trace", trace)
    told = run("swarm", "report", trace, "--output", again, "--png", str(tmp_path / "again.png"))
    assert told.code == 0
    assert told.out == ran.out
    assert Path(again).read_bytes() == Path(html).read_bytes()
    assert (tmp_path / "again.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--report", "--png", "--trace"])
def test_a_folder_that_is_not_there_is_said_before_the_run(run: Run, tmp_path: Path, option: str) -> None:
    with mock.patch("simulations.swarm.Swarm.__init__", side_effect=AssertionError("it ran")):
        ran = run("swarm", "run", "churn", option, str(tmp_path / "nowhere" / "file"))
    assert ran.code == 2
    assert "there is no such folder" in ran.err


def test_two_outputs_in_one_file_are_refused(run: Run, tmp_path: Path) -> None:
    ran = run("swarm", "run", "churn", "--report", str(tmp_path / "x"), "--trace", str(tmp_path / "x"))
    assert ran.code == 2


def test_without_matplotlib_a_picture_is_refused_before_the_run(run: Run, tmp_path: Path) -> None:
    with (
        mock.patch("importlib.util.find_spec", return_value=None),
        mock.patch("simulations.swarm.Swarm.__init__", side_effect=AssertionError("it ran")),
    ):
        ran = run("swarm", "run", "churn", "--png", str(tmp_path / "run.png"))
    assert ran.code == 2
    assert "pip install 'p2pnode[plots]'" in ran.err


@pytest.mark.parametrize("text", ["", "no run", "<html>", '{"v": 1, "ring": 0}', '{"v": 1, "ring": {}, "run": []}'])
def test_a_file_without_a_run_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    ran = run("swarm", "report", str(file), "--output", str(tmp_path / "out.html"))
    assert ran.code == 1
    assert "this file holds" in ran.err
    assert str(file) in ran.err


def test_a_report_of_no_file_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("swarm", "report", str(tmp_path / "nothing")).code == 4


def test_lines_of_progress_are_for_who_asks_for_them(run: Run, tmp_path: Path) -> None:
    path = small(tmp_path)
    assert "0 of 80 virtual s" in run("swarm", "run", path, before=("-v",)).err
    assert "virtual s" not in run("swarm", "run", path).err


def test_ctrl_c_still_writes_report_picture_and_trace(tmp_path: Path) -> None:
    """A real process: it is stopped as soon as it says that it runs, long before its end."""
    html, png, trace = tmp_path / "run.html", tmp_path / "run.png", tmp_path / "run.jsonl"
    line = ["-v", "swarm", "run", small(tmp_path), "--duration", "1000000", "--json", "--report", str(html),
            "--png", str(png), "--trace", str(trace)]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pnode", *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        assert "0 of 1,000,000 virtual s" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    end = json.loads(out)
    assert (end["interrupted"], end["ok"], end["invariants"]) == (True, False, [])
    assert end["virtual_s"] < 1_000_000
    assert "stopped; to see it again" in err
    assert "Traceback" not in err
    assert saved.read(html)["run"] == saved.read(trace)["run"] == end
    assert "stopped" in html.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")
