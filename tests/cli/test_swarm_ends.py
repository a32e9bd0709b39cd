"""How runs end that do not end well: stopped, spinning, made shorter, of parts that are the person's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulations import spec
from simulations.population import Codec
from simulations.report import page, saved
from simulations.swarm import Swarm
from tests.cli.conftest import Run

P2PNODE = Path(sys.executable).with_name("p2pnode")

QUICK = """
duration_s = 20
[population]
nodes = 5
arrive_s = 1
[link]
profile = "lan"
[[timeline]]
action = "partition"
at_s = 12
[[timeline]]
action = "heal"
at_s = 15
[[workload]]
kind = "lookup"
count = 3
from_s = 5
to_s = 7
[[workload]]
kind = "lookup"
count = 3
from_s = 16
[[claims]]
measure = "lookup_success"
at_least = 0.1
[[claims]]
name = "slip"
measure = "lookup_sucess"
at_least = 0.1
"""

APPS = """
from overlay import App, AppContext

class Hangs(App):
    name = "hangs"
    async def run(self, ctx: AppContext) -> None:
        await ctx.sleep(3_000_000_000)
        print("now", flush=True)
        while True:
            pass

class Says(App):
    name = "says"
    async def run(self, ctx: AppContext) -> None:
        await ctx.sleep(3_000_000_000)
        print("now", flush=True)

class Spins(App):
    name = "spins"
    async def run(self, ctx: AppContext) -> None:
        while True:
            await ctx.sleep(0)

class Fails(App):
    name = "fails"
    async def run(self, ctx: AppContext) -> None:
        await ctx.sleep(3_000_000_000)
        raise KeyError("bread")
"""

PARTS = """
import attrs
from simulations.adversaries.positions import chosen

@attrs.frozen(kw_only=True)
class Mute:
    fraction: float = 0.1
    def begin(self, swarm):
        for node in chosen(swarm, "mute", self.fraction, None, ""):
            swarm.corrupt(node, "mute", swarm.population.peer)

@attrs.frozen(kw_only=True)
class Twice:
    from_s: float = 5
    def begin(self, swarm):
        swarm.at(self.from_s, lambda: swarm.kill(4))
        swarm.at(self.from_s + 2, lambda: swarm.start(4))
        swarm.at(self.from_s + 2, lambda: swarm.measures.count("risen"))

@attrs.frozen(kw_only=True)
class Greet:
    count: int = 3
    def begin(self, swarm):
        for i in range(self.count):
            swarm.at(2 + i, lambda: swarm.measures.count("greetings"))

@attrs.frozen(kw_only=True)
class Broken:
    late: bool = False
    def begin(self, swarm):
        swarm.at(3, self.fall) if self.late else self.fall()
    def fall(self):
        raise KeyError("bread")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As a person has it: a folder with what was just written."""
    made = tmp_path / "mine"
    made.mkdir()
    (made / "quick.toml").write_text(QUICK)
    (made / "ownapps.py").write_text(APPS)
    (made / "ownparts.py").write_text(PARTS)
    return made


def typed(folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
    """Through the installed script, whose sys.path has not the present folder."""
    return subprocess.run(
        [P2PNODE, "swarm", *line], cwd=folder, env=environ(folder), capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip


def environ(folder: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HOME": str(folder)}


def test_parts_of_ones_own_load_from_the_present_folder(folder: Path) -> None:
    (folder / "own.toml").write_text(
        'duration_s = 10\n[population]\nnodes = 10\narrive_s = 1\n[churn]\nmodel = "ownparts:Twice"\n'
        '[[adversaries]]\nkind = "ownparts:Mute"\nfraction = 0.2\n[[workload]]\nkind = "ownparts:Greet"\ncount = 4\n'
    )
    ran = typed(folder, "run", "own.toml", "--json")
    assert ran.returncode == 0, ran.stderr
    measures = json.loads(ran.stdout)["measures"]
    assert (measures["risen"], measures["greetings"], measures["alive_adversaries_max"]) == (1, 4, 2)
    swept = typed(folder, "sweep", "own.toml", "--vary", "workload.count=1,2", "--duration", "8", "--measure",
                  "greetings", "--json")  # fmt: skip
    assert swept.returncode == 0, swept.stderr
    rows = [json.loads(line) for line in swept.stdout.splitlines()][:-1]
    assert sorted((row["measures"]["greetings"], row["virtual_s"]) for row in rows) == [(1, 8), (2, 8)]
    assert typed(folder, *rows[0]["command"].split()[2:]).returncode == 0


@pytest.mark.parametrize("late", ["false", "true"])
def test_a_part_of_ones_own_that_raises_is_named_with_its_line(folder: Path, late: str) -> None:
    (folder / "own.toml").write_text(
        f'duration_s = 10\n[population]\nnodes = 2\n[[workload]]\nkind = "ownparts:Broken"\nlate = {late}\n'
    )
    ran = typed(folder, "run", "own.toml")
    assert ran.returncode == 1
    assert "error: the run broke off" in ran.stderr
    assert "KeyError: 'bread'" in ran.stderr
    assert "ownparts.py:33 in Broken.fall" in ran.stderr
    assert "bug" not in ran.stderr


def test_what_a_shorter_run_leaves_out_is_told(run: Run, folder: Path) -> None:
    path, html = str(folder / "quick.toml"), folder / "run.html"
    ran = run("swarm", "run", path, "--duration", "8", "--report", str(html))
    assert "not run     partition at 12 s, heal at 15 s, workload 2\n" in ran.out
    assert saved.read(html)["run"]["not_run"] == ["partition at 12 s", "heal at 15 s", "workload 2"]
    assert "Not run: partition at 12 s, heal at 15 s, workload 2." in html.read_text()
    assert "its claims are meant for the nodes and the duration that the scenario says" in ran.err
    whole = run("swarm", "run", path)
    assert "not run" not in whole.out
    assert "its claims are meant" not in whole.err


def test_a_file_that_says_what_does_not_happen_is_refused(run: Run, folder: Path) -> None:
    path = str(folder / "quick.toml")
    ran = run("swarm", "run", path, "--set", "timeline.0.at_s=20", "--set", "workload.1.from_s=30")
    assert ran.code == 2
    assert f"scenario {path}: 2 things are wrong" in ran.err
    assert "timeline[0].at_s    expected less than duration_s, 20, found 20\n" in ran.err
    assert "workload[1].from_s  expected less than duration_s, 20, found 30\n" in ran.err
    assert run("swarm", "sweep", path, "--vary", "timeline.0.at_s=20", "-o", str(folder / "x")).code == 2


def test_a_slip_in_the_name_of_a_measure_is_guessed(run: Run, folder: Path) -> None:
    ran = run("swarm", "run", str(folder / "quick.toml"))
    assert ran.code == 1
    assert "FAILED      slip            not measured, did you mean lookup_success?  (>= 0.1)" in ran.out


@pytest.mark.parametrize("mistake", ["nan", "inf", "1e30", "0"])
@pytest.mark.parametrize("line", [("run", "churn", "--duration"), ("sweep", "churn", "--vary", "seed=1", "--duration")])
def test_a_duration_is_a_time(run: Run, line: tuple[str, ...], mistake: str) -> None:
    ran = run("swarm", *line, mistake)
    assert ran.code == 2
    assert "bug" not in ran.err


@pytest.mark.parametrize(
    "line",
    [("replay", "x.rec", "--to", "nan"), ("swarm", "replay", "churn", "--to-time", "nan"),
     ("swarm", "model", "--adversaries", "nan"), ("peers", "ping", "abcd", "--interval", "nan"),
     ("swarm", "run", "churn", "--set", "churn.session_s=nan")],
)  # fmt: skip
def test_nan_is_no_number(run: Run, line: tuple[str, ...]) -> None:
    ran = run(*line)
    assert ran.code == 2
    assert "bug" not in ran.err


def test_hints_of_a_scenario_that_is_a_file_do_not_lead_in_a_circle(run: Run, folder: Path) -> None:
    ran = run("swarm", "run", str(folder))
    assert ran.code == 2
    assert "this is a folder" in ran.err
    ran = run("swarm", "run", str(folder / "none.toml"))
    assert "swarm show" not in ran.err
    assert "swarm show churn" in run("swarm", "run", "churn", "--set", "x=1").err


@pytest.mark.parametrize("option", ["--report", "--png", "--trace"])
def test_a_file_that_cannot_be_written_is_refused_before_the_run(run: Run, folder: Path, option: str) -> None:
    kept = folder / "kept"
    kept.write_text("as it was")
    told = run("swarm", "run", str(folder / "quick.toml"), option, str(folder / "ownapps.py" / "x"))
    assert told.code == 2
    missing = run("swarm", "run", str(folder / "quick.toml"), "--trace", str(kept), option, "/proc/nothing")
    assert missing.code == 2
    assert "this file cannot be written" in missing.err or "same file" in missing.err or option == "--trace"
    assert kept.read_text() == "as it was"


@pytest.mark.parametrize("option", ["--report", "--png", "--trace"])
@pytest.mark.parametrize("name", ["quick.toml", "../mine/quick.toml", "link.toml"])
def test_a_scenario_is_not_written_over(run: Run, folder: Path, option: str, name: str) -> None:
    (folder / "link.toml").symlink_to("quick.toml")
    ran = run("swarm", "run", str(folder / "quick.toml"), option, str(folder / name))
    assert ran.code == 2
    assert "it would be written over" in ran.err
    assert (folder / "quick.toml").read_text() == QUICK


def test_what_a_command_reads_is_not_written_over(run: Run, folder: Path) -> None:
    path, html = str(folder / "quick.toml"), str(folder / "run.html")
    assert run("swarm", "shrink", path, "--output", path).code == 2
    assert (folder / "quick.toml").read_text() == QUICK
    run("swarm", "run", path, "--report", html)
    assert run("swarm", "report", html, "--output", html).code == 2


def test_an_application_that_fails_is_told_everywhere(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    html = folder / "run.html"
    ran = run("swarm", "run", "quick.toml", "--app", "ownapps:Fails", "--json", "--report", str(html))
    assert ran.code == 1
    [error] = ran.json["app_errors"]
    assert (error["app"], error["node"], error["count"], error["where"]) == (
        "fails", 0, 5, "ownapps.py:28 in Fails.run"
    )  # fmt: skip
    assert ran.json["invariants"][0]["invariant"] == "apps-run"
    assert "fails failed, 5 times, first at node 0, 3.0 s: KeyError: &#x27;bread&#x27;" in html.read_text()
    line = ("swarm", "run", "quick.toml", "--app", "ownapps:Fails", "--set", 'without=["apps-run"]')
    assert "app error   fails failed, 5 times, first at node 0, 3.0 s: KeyError: 'bread'" in run(*line).out


def test_an_application_that_spins_is_a_failure_and_no_usage(folder: Path) -> None:
    ran = typed(folder, "run", "quick.toml", "--app", "ownapps:Spins")
    assert ran.returncode == 1
    assert "error: the run broke off" in ran.stderr
    assert "app spins" in ran.stderr


def test_an_application_that_never_yields_is_ended_by_the_second_ctrl_c(folder: Path) -> None:
    process = subprocess.Popen(
        [P2PNODE, "swarm", "run", "quick.toml", "--app", "ownapps:Hangs"], cwd=folder, env=environ(folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "now\n"
        assert "did you mean lookup_success?" in process.stderr.readline()  # before the run
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "stopping after this event; Ctrl-C again stops at once\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "stopped by Ctrl-C at 3." in err
    assert "ownapps.py:" in err
    assert "in Hangs.run, node 0" in err


def test_of_a_run_that_was_stopped_claims_are_early_and_the_command_makes_the_same_run(folder: Path) -> None:
    process = subprocess.Popen(
        [P2PNODE, "swarm", "run", "quick.toml", "--app", "ownapps:Says", "--duration", "1000000", "--report",
         "run.html"],
        cwd=folder, env=environ(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    run = saved.read(folder / "run.html")["run"]
    assert all(claim["early"] for claim in run["claims"])
    assert "early       lookup_success" in out
    assert "early" in page.html(saved.read(folder / "run.html"))
    command = err.splitlines()[-1].split()
    assert command[-4:] == ["--app", "ownapps:Says", "--stop-at", f"{run['virtual_s']:g}"]
    again = typed(folder, *command[2:], "--json")
    assert again.returncode == 130
    assert json.loads(again.stdout.splitlines()[-1])["trace_hash"] == run["trace_hash"]
    assert again.stderr.splitlines()[-1].split() == command


@pytest.mark.parametrize("stop_at", [6.5, 20.004, 20.1])
def test_a_run_that_is_stopped_is_the_same_up_to_there(run: Run, folder: Path, stop_at: float) -> None:
    """Also where its workload is spread over all of its time, and while what is under way at its end ends."""
    (folder / "long.toml").write_text(
        'duration_s = 20\n[population]\nnodes = 6\narrive_s = 1\n[link]\nlatency_ms = [40, 60]\n'
        '[[workload]]\nkind = "lookup"\ncount = 300\nfrom_s = 5\n'
    )
    line = ("swarm", "run", str(folder / "long.toml"))
    stopped = run(*line, "--stop-at", str(stop_at), "--report", str(folder / "run.html"))
    assert stopped.code == 130
    assert f"--stop-at {stop_at}" in stopped.out.splitlines()[-1]
    swarm = Swarm(spec.load(str(folder / "long.toml")), seed=1, codec=Codec.OBJECTS)
    swarm.engine.run_until(round(stop_at * 1e9))
    assert saved.read(folder / "run.html")["run"]["trace_hash"] == swarm.engine.trace()
    assert run(*line, "--stop-at", "100").code == 0, "it had ended before"


def test_ctrl_c_ends_a_run_at_a_time_that_can_be_said(folder: Path) -> None:
    """While the last commands end, too."""
    (folder / "own.toml").write_text(
        'duration_s = 10\n[population]\nnodes = 4\narrive_s = 1\n[[timeline]]\naction = "unplug"\nat_s = 9\n'
        'share = 1\n[[workload]]\nkind = "lookup"\ncount = 100\nfrom_s = 8\n'
    )
    scenario = spec.load(str(folder / "own.toml"))
    stopped, again = Swarm(scenario, seed=1), Swarm(scenario, seed=1)
    stopped.at(10, lambda: stopped.later(0.25, stopped.stop))
    end = stopped.run()
    assert end.interrupted
    assert stopped.engine.now_ns == 10_300_000_000
    again.at(10, lambda: again.later(0.25, lambda: None))
    assert again.run(stop_at_ns=stopped.engine.now_ns).trace_hash == end.trace_hash


def test_cells_that_leave_something_out_are_told(run: Run, folder: Path) -> None:
    line = ("swarm", "sweep", str(folder / "quick.toml"), "--vary", "duration_s=20,13", "-o", str(folder / "out"))
    ran = run(*line, "--jobs", "1")
    assert ran.code == 0, ran.err
    assert "1 of 2 cells end before all of the scenario happened (not_run), as in\n" in ran.err
    assert "  duration_s=13 seed=1: not run: heal at 15 s, workload 2\n" in ran.err


@pytest.mark.parametrize("option", ["--report", "--trace"])
def test_a_full_disk_is_told_with_the_name_of_the_file(run: Run, folder: Path, option: str) -> None:
    ran = run("swarm", "run", str(folder / "quick.toml"), option, "/dev/full")
    assert ran.code == 1
    assert "file    /dev/full\n" in ran.err
    assert "No space left on device" in ran.err


@pytest.mark.parametrize(
    ("setting", "told"),
    [("adversaries.0.fraction=0.3", "there is no entry 0: this scenario has no adversaries"),
     ("adversaries.fraction=0.3", "this scenario has no adversaries"), ("name=foo", "which is not to be set")],
)  # fmt: skip
def test_what_cannot_be_set_is_said_plainly(run: Run, folder: Path, setting: str, told: str) -> None:
    ran = run("swarm", "run", str(folder / "quick.toml"), "--set", setting)
    assert ran.code == 2
    assert told in ran.err


def test_all_claims_that_are_wrong_are_told(run: Run, folder: Path) -> None:
    (folder / "own.toml").write_text('[[claims]]\nmeasure = "a"\n[[claims]]\nat_most = 1\n[[claims]]\nmeasure = 1\n')
    ran = run("swarm", "run", str(folder / "own.toml"))
    assert ran.code == 2
    for place in ("claims[0] ", "claims[1].measure ", "claims[2].measure "):
        assert place in ran.err


#: Red letters, and those of another direction.
HOSTILE = "\\u001b[31m\\u202e"


def test_what_scenarios_and_applications_say_reaches_no_terminal_as_it_is(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    path = folder / "quick.toml"
    path.write_text(QUICK.replace("slip", HOSTILE).replace("lookup_sucess", f"x{HOSTILE}"))
    app = APPS.replace('KeyError("bread")', f'ValueError("{HOSTILE}")')
    (folder / "hostileapps.py").write_text(app)
    (folder / "hostileparts.py").write_text(PARTS.replace('KeyError("bread")', f'ValueError("{HOSTILE}")'))
    line = (str(path), "--set", 'without=["apps-run"]', "--app", "hostileapps:Fails")
    html = str(folder / "run.html")
    told = [
        run("swarm", "run", *line, "--report", html),
        run("swarm", "run", str(path), "--app", "hostileapps:Fails"),
        run("swarm", "report", html),
        run("swarm", "replay", str(path), "--app", "hostileapps:Fails"),
        run("swarm", "shrink", str(path), "--budget", "1", "--output", str(folder / "out.toml")),
    ]
    (folder / "unknown.toml").write_text(f'"{HOSTILE}" = 1\n[link]\n"{HOSTILE}" = 2\n')
    told.append(run("swarm", "run", str(folder / "unknown.toml")))
    (folder / "breaks.toml").write_text(QUICK + '[[workload]]\nkind = "hostileparts:Broken"\nlate = true\n')
    told.append(run("swarm", "run", str(folder / "breaks.toml")))
    told.append(run("swarm", "sweep", str(folder / "breaks.toml"), "--vary", "duration_s=20", "-o", str(folder / "p")))
    assert "?[31m?" in told[0].out
    for ran in told:
        assert "[31m" in ran.out + ran.err, ran
        assert all(c.isprintable() or c == "\n" for c in ran.out + ran.err), ran
