"""What is kept of a run: report, picture and trace hold it, and watching changes nothing in it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from overlay.events import AppEvent, LookupEnded, LookupStep
from p2pnode.cli.main import run_line
from simulations import spec
from simulations.measures import MAX_POINTS, Measures
from simulations.report import data as report_data
from simulations.report import page, picture, recorder, ring, saved
from simulations.report.plots import plots_of
from simulations.swarm import Swarm
from simulations.trace import TraceFile, fields_of
from tests.support.scenarios import small


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run.html, run.png, run.jsonl of one run."""
    folder = tmp_path_factory.mktemp("run")
    outputs = {"report": "run.html", "png": "run.png", "trace": "run.jsonl"}
    options = [word for option, name in outputs.items() for word in (f"--{option}", str(folder / name))]
    assert run_line(["swarm", "run", small(folder), *options]) == 1
    return folder


@pytest.fixture(scope="module")
def data(files: Path) -> dict[str, Any]:
    return saved.read(files / "run.html")


def test_watching_a_run_changes_nothing_in_it(files: Path, data: dict[str, Any]) -> None:
    end = Swarm(spec.load(str(files / "small.toml")), seed=1).run()
    assert end.trace_hash == data["run"]["trace_hash"]
    assert end.measures == data["run"]["measures"]


def test_page_download_and_trace_hold_the_same_run(files: Path, data: dict[str, Any], tmp_path: Path) -> None:
    download = tmp_path / "download.json"
    download.write_text(json.dumps(data))
    assert saved.read(files / "run.jsonl") == data
    assert saved.read(download) == data
    assert page.html(data) == (files / "run.html").read_text()


def test_every_plot_has_figures_and_the_marks_of_the_timeline(data: dict[str, Any]) -> None:
    plots = {plot.key: plot for plot in plots_of(data)}
    assert {"success", "latency-lookup", "hops-lookup", "messages", "bytes", "population", "table"} <= plots.keys()
    assert [text for _, text in plots["success"].marks] == [text for _, text in data["marks"]]
    assert len(data["marks"]) == 3
    for plot in plots.values():
        assert plot.lines, plot.key
        assert all(len(line.x) == len(line.y) for line in plot.lines), plot.key
    cut, before = data["marks"][0][0], plots["success"].lines[0]
    assert before.name == "lookup"
    assert all(y is None or 0 <= y <= 100 for y in before.y)
    assert min(y for x, y in zip(before.x, before.y, strict=True) if y is not None and x > cut) < 100


def test_many_sorts_of_operations_have_several_plots_of_success(data: dict[str, Any]) -> None:
    """Ten lines that lie at 100 % cannot be told apart."""
    names = [f"op{i}" for i in range(9)]
    many = data | {"operations": dict.fromkeys(names, data["operations"]["lookup"])}
    plots = [plot for plot in plots_of(many) if plot.key.startswith("success")]
    assert [(plot.key, plot.title) for plot in plots] == [
        ("success", "Success (1 of 3)"), ("success-2", "Success (2 of 3)"), ("success-3", "Success (3 of 3)"),
    ]  # fmt: skip
    assert [line.name for plot in plots for line in plot.lines] == names
    assert max(len(plot.lines) for plot in plots) == 4


def test_messages_by_type_add_up_to_what_was_sent(data: dict[str, Any]) -> None:
    traffic = data["traffic"]
    times = [0.0, *traffic["at_s"]]
    sent = sum(
        rate * (b - a)
        for rates in traffic["kinds_per_s"].values()
        for rate, a, b in zip(rates, times, times[1:], strict=False)
    )
    assert "FIND_NODE" in traffic["kinds_per_s"]
    assert sent == pytest.approx(data["run"]["measures"]["datagrams"], rel=0.01)


def test_the_ring_shows_who_is_what_and_whole_lookups(data: dict[str, Any]) -> None:
    states = [state for _, state in data["ring"]["places"]]
    assert len(states) == data["run"]["nodes"]
    assert states.count("adversary") == data["adversaries"]["colluding-routers"] == 5
    assert states.count("off") == round(0.2 * (24 - 5 - 3))
    tables, lookups = ring.drawings_of(data)
    assert len(tables.trails) == report_data.DRAWN_TABLES
    assert 0 < len(lookups.trails) <= recorder.DRAWN_LOOKUPS


def test_the_picture_is_a_png_of_some_size(files: Path) -> None:
    pixels = imread(files / "run.png", format="png")
    height, width, _ = pixels.shape
    assert width >= 1600
    assert height >= 1600
    assert 0.01 < (pixels[:, :, 0] < 0.9).mean() < 0.5  # neither empty nor black


def test_a_picture_of_a_run_in_which_nothing_happened(data: dict[str, Any], tmp_path: Path) -> None:
    nobody = {**data["ring"], "tables": [], "lookups": []}
    nothing = {**data, "operations": {}, "series": {}, "marks": [], "ring": nobody}
    nothing["traffic"] = {"at_s": [], "bytes_per_s": [], "kinds_per_s": {}}
    assert plots_of(nothing) == []
    assert "<figure" not in page.html(nothing)
    picture.write(nothing, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0


def test_the_trace_has_a_header_every_event_in_order_and_the_hash_at_its_end(files: Path, data: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in (files / "run.jsonl").read_text().splitlines()]
    header, *events, end = lines
    assert (header["v"], header["scenario"], header["seed"], header["nodes"]) == (1, "small", 1, 24)
    assert header["versions"].keys() == {"p2pnode", "python"}
    assert (end["end"], end["trace_hash"]) == (True, data["run"]["trace_hash"])
    times = [event["t"] for event in events]
    assert times == sorted(times)
    ended = [event for event in events if event["event"] == "LookupEnded"]
    assert {"t", "node", "event", "lookup", "target", "rpcs", "hops", "found"} == ended[0].keys()
    assert len(bytes.fromhex(ended[0]["target"])) == 32
    started = next(event for event in events if event["event"] == "Started")
    assert started["id"].count("-") == 13  # the text form of an id, as people see it elsewhere


def test_events_of_applications_are_json() -> None:
    event = AppEvent("chat", "said", (("author", b"\x01\x02"), ("words", ("a", 1, None))))
    assert fields_of(event) == {"app": "chat", "name": "said", "fields": {"author": "0102", "words": ["a", 1, None]}}


def test_a_trace_is_written_as_it_happens(tmp_path: Path) -> None:
    """No list of all events is kept: what the file has when the program is killed is nearly all of it."""
    with TraceFile(tmp_path / "t.jsonl", {}) as trace:
        for at_ns in range(5000):
            trace.watch(1, at_ns, LookupStep(1, b"\x00" * 32, 3, 0))
        assert (tmp_path / "t.jsonl").stat().st_size > 500_000
    with pytest.raises(saved.NoRun):
        saved.read(tmp_path / "t.jsonl")


def test_a_stopped_run_is_a_run_that_can_be_looked_at(tmp_path: Path) -> None:
    swarm = Swarm(spec.load(small(tmp_path)), seed=1)
    watching = recorder.Recorder(swarm)
    end = swarm.run(lambda now_s: swarm.stop() if now_s >= 25 else None)
    assert end.interrupted
    assert not end.ok
    assert end.virtual_s == pytest.approx(25, abs=0.2)
    assert end.broken == ()  # what was under way had no time to end
    run = {"virtual_s": end.virtual_s, "trace_hash": end.trace_hash, "ok": end.ok, "measures": end.measures}
    data = report_data.collect(swarm, watching, run, "again")
    assert [plot.key for plot in plots_of(data)].count("success") == 1


def test_series_rows_and_followed_lookups_are_bounded() -> None:
    measures = Measures()
    for second in range(100_000):
        measures.sample("x", second * 10**9, 7.0 if second == 77_777 else 1.0)
    assert len(measures.series["x"].value) <= MAX_POINTS
    assert measures.figures() == {"x_max": 7.0, "x_last": 1.0}

    swarm = Swarm(spec.load("churn", ("population.nodes=5",)))
    watching = recorder.Recorder(swarm)
    for lookup in range(10_000):
        for watch in swarm.watchers:
            watch(0, lookup, LookupStep(lookup, b"\x01" * 32, 1, 0))
    for _ in range(5_000):
        watching.sample(swarm)
    assert len(watching._followed) <= recorder.MAX_FOLLOWED
    assert len(watching.traffic) <= recorder.MAX_ROWS


def test_the_lookups_of_most_hops_are_kept() -> None:
    swarm = Swarm(spec.load("churn", ("population.nodes=5",)))
    watching = recorder.Recorder(swarm)
    for lookup, hops in enumerate((1, 5, 2, 4, 3)):
        for step in range(recorder.MIN_STEPS):
            swarm.watchers[-1](0, 0, LookupStep(lookup, bytes([step]) * 32, 1, 0))
        swarm.watchers[-1](0, 0, LookupEnded(lookup, bytes(32), 4, hops, True))
    assert [found.hops for found in watching.lookups] == [5, 4, 3]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither"),
        ("{", "neither"),
        ("[]", "holds no run"),
        ('{"v": 1, "trace_hash": "x"}', "--json prints"),
        ("<html></html>", "not a report"),
        ('{"v": 99, "ring": {}}', "another version"),
    ],
)
def test_a_file_without_a_run_says_so(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(saved.NoRun, match=why):
        saved.read(file)


def test_the_moment_after_the_last_sample_draws_no_dip(data: dict[str, Any]) -> None:
    """Answers are waited for a moment after the end, in which little is sent: no rate of its own."""
    rows = [recorder.Traffic(at_s, round(1000 * at_s), {}) for at_s in (0.0, 5.0, 10.0, 15.0)]
    after = recorder.Traffic(15.4, 15_000, {})
    rates = report_data._rates([*rows, after])
    assert rates["at_s"] == [5, 10, 15.4]
    assert rates["bytes_per_s"] == pytest.approx([1000, 1000, 926], abs=1)
    assert report_data._rates([*rows[:3], recorder.Traffic(14.0, 14_000, {})])["at_s"] == [5, 10, 14]
    steps = [b - a for a, b in pairwise([0.0, *data["traffic"]["at_s"]])]
    assert min(steps) >= steps[0] / 2


def test_what_takes_no_time_has_no_plot_of_latency(data: dict[str, Any]) -> None:
    bins: list[list[Any]] = [[0.0, 1.0, 4, 4, 0.0, 0.0], [1.0, 2.0, 4, 0, None, None]]
    at_once = {"bins": bins, "hops": []}
    keys = [plot.key for plot in plots_of({**data, "operations": {"chat.say": at_once}})]
    assert "success" in keys
    assert "latency-chat.say" not in keys
    bins[0][-1] = 0.5
    assert "latency-chat.say" in [plot.key for plot in plots_of({**data, "operations": {"chat.say": at_once}})]
