"""Sweeps: which cells, what is kept of them, how sure a share is, and the table and plot."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from simulations.spec import BadScenario
from simulations.sweep.figures import Figure, grid_of, measures_of
from simulations.sweep.plan import BadSweep, Plan, Vary, plan_of, seeds_of, vary_of
from simulations.sweep.plot import plot
from simulations.sweep.results import open_results
from simulations.sweep.rows import fault_of
from simulations.sweep.run import run_cell
from simulations.wilson import wilson


def plan(*, vary: tuple[str, ...] = ("adversaries.fraction=0.1,0.2", "workload.paths=1,4"), **more: Any) -> Plan:
    return plan_of("colluding-routers", vary=vary, **{"seeds": "1..2", **more})


def row(a: Plan, index: int, **measures: float) -> dict[str, Any]:
    return head(a, index) | {
        "error": None, "interrupted": False, "nodes": 30, "virtual_s": 60.0, "wall_s": 0.5, "events": 9,
        "trace_hash": "ab", "claims": [], "broken": [], "not_run": [], "measures": measures,
    }  # fmt: skip


def head(a: Plan, index: int, *, error: str | None = None) -> dict[str, Any]:
    cell = list(a.cells())[index]
    return {
        "v": 1, "plan": a.hash, "cell": cell.name, "settings": dict(cell.values), "seed": cell.seed,
        "command": a.command(cell), "error": error,
    }  # fmt: skip


def test_cells_are_every_combination_seed_by_seed() -> None:
    names = [cell.name for cell in plan().cells()]
    assert len(names) == 8
    assert names[:2] == [
        "adversaries.fraction=0.1 workload.paths=1 seed=1",
        "adversaries.fraction=0.1 workload.paths=4 seed=1",
    ]
    assert all(name.endswith("seed=1") for name in names[:4])


def test_a_cell_is_the_scenario_with_its_values() -> None:
    a = plan(settings=["population.nodes=30"])
    scenario: Any = a.scenario_of(list(a.cells())[3])
    assert (scenario.population.nodes, scenario.adversaries[0].fraction, scenario.workload[0].paths) == (30, 0.2, 4)


def test_the_command_repeats_a_cell() -> None:
    a = plan(settings=["population.nodes=30"])
    assert a.command(next(a.cells())) == (
        "p2pnode swarm run colluding-routers --seed 1 --set population.nodes=30 --set adversaries.fraction=0.1 "
        "--set workload.paths=1"
    )


def test_what_crashed_or_broke_an_invariant_is_tried_again(tmp_path: Path) -> None:
    a = plan()
    results = open_results(tmp_path, a)
    results.add(row(a, 0))
    results.add(head(a, 1, error="RuntimeError: planted"))
    results.add(row(a, 2) | {"broken": ["conserved at 3 s: x"]})
    results.add(row(a, 3) | {"claims": [{"name": "a", "ok": False, "value": 1, "bound": ">= 2"}]})
    names = [cell.name for cell in a.cells()]
    assert open_results(tmp_path, a).finished == {names[0], names[3]}


def test_commas_in_brackets_and_quotes_belong_to_a_value() -> None:
    assert vary_of("link.latency_ms=[1, 2],[3,4]") == Vary("link.latency_ms", ("[1, 2]", "[3,4]"))
    assert vary_of('name="a,b",c') == Vary("name", ('"a,b"', "c"))


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=1,,2", "a=1,1"])
def test_what_is_no_variation_is_refused(text: str) -> None:
    with pytest.raises(BadSweep, match=r"expected KEY=VALUE|twice"):
        vary_of(text)


def test_seeds_are_single_or_spans() -> None:
    assert seeds_of("1..3,9,2") == (1, 2, 3, 9)
    for bad in ("", "3..1", "x", "1..", "1..99999999"):
        with pytest.raises(BadSweep, match="seeds"):
            seeds_of(bad)


def test_a_wrong_value_is_said_before_anything_runs() -> None:
    with pytest.raises(BadScenario, match=r"adversaries\[0\]\.fraction: expected 0 to 1, found 2"):
        plan(vary=("adversaries.fraction=0.1,2",))
    with pytest.raises(BadSweep, match="cells, more than 10,000"):
        plan(seeds="1..5000")


def test_the_hash_is_of_the_scenario_not_of_what_is_varied() -> None:
    assert plan().hash == plan(vary=("adversaries.fraction=0.5",), seeds="7").hash
    assert plan().hash != plan(settings=["population.nodes=30"]).hash
    assert plan().hash != plan(codec="fast").hash


def test_finished_cells_are_read_back_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    a = plan()
    results = open_results(tmp_path, a)
    results.add(row(a, 0, lookup_success=1.0))
    results.add(head(a, 1, error="ValueError: no"))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"v": 1, "pl')
    again = open_results(tmp_path, a)
    assert again.finished == {row(a, 0)["cell"]}
    again.add(row(a, 1, lookup_success=0.5))
    assert [found["error"] for found in open_results(tmp_path, a).of(a)] == [None, None]


def test_results_of_another_scenario_are_not_mixed_with_these(tmp_path: Path) -> None:
    a = plan()
    open_results(tmp_path, a).add(row(a, 0))
    with pytest.raises(BadSweep, match=r"another scenario or other settings .* another folder"):
        open_results(tmp_path, plan(settings=["population.nodes=30"]))
    (tmp_path / "results.jsonl").write_text("hello\n")
    with pytest.raises(BadSweep, match="line 1, is no result of a sweep"):
        open_results(tmp_path, a)


CLAIM = {"name": "a", "ok": True, "value": None, "bound": ">= 1"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measures": None}, "measures: expected numbers by name, found None"),
        ({"measures": {"x_success": "x", "x_count": 9}}, "measures.x_success: expected a finite number"),
        ({"measures": {"x_success": 7.5, "x_count": 9}}, "measures.x_success: expected 0 to 1, found 7.5"),
        ({"measures": {"x_success": -1, "x_count": 9}}, "measures.x_success: expected 0 to 1, found -1"),
        ({"measures": {"x_success": 1.0, "x_count": -5}}, "measures.x_count: expected 1 or more, found -5"),
        ({"measures": {"x_success": 1.0, "x_count": 0}}, "measures.x_count: expected 1 or more, found 0"),
        ({"measures": {"x": float("nan")}}, "measures.x: expected a finite number"),
        ({"measures": {"x": float("inf")}}, "measures.x: expected a finite number"),
        ({"measures": {"x": 10**400}}, "measures.x: expected a finite number"),
        ({"claims": None}, "claims: expected a list of claims"),
        ({"claims": [CLAIM | {"ok": 1}]}, "claims: expected a list of claims"),
        ({"broken": "text"}, "broken: expected a list of texts"),
        ({"settings": {"x": "1"}}, "settings and seed are those of 'x=1 seed=1', not of 'adversaries"),
        ({"seed": 2}, "settings and seed are those of"),
        ({"settings": []}, "settings: expected texts by key"),
        ({"wall_s": "q"}, "wall_s: expected a number, not below 0, found 'q'"),
        ({"v": 2}, "expected v 1, found 2"),
        ({"v": True}, "expected v 1, found True"),
        ({"error": 5}, "no row has 'interrupted' of a cell that crashed"),
        ({"error": "x"}, "no row has 'interrupted' of a cell that crashed"),
        ({"more": 1}, "no row has 'more'"),
        ({"trace_hash": "\ud800"}, "trace_hash: expected text"),
    ],
)
def test_a_row_that_no_cell_can_have_given_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    a = plan()
    _write(tmp_path, row(a, 1, x_success=0.5, x_count=2) | {"claims": [CLAIM]}, row(a, 0) | change)
    with pytest.raises(BadSweep, match="line 2, is no result of a sweep: ") as refused:
        open_results(tmp_path, a)
    assert said in str(refused.value)


@pytest.mark.parametrize("key", ["measures", "interrupted", "wall_s", "cell", "error", "plan"])
def test_a_row_that_lacks_something_is_refused(tmp_path: Path, key: str) -> None:
    a = plan()
    _write(tmp_path, {name: value for name, value in row(a, 0).items() if name != key})
    with pytest.raises(BadSweep, match=f"line 1, is no result of a sweep: {key} is missing"):
        open_results(tmp_path, a)


@pytest.mark.parametrize("line", ["[]", "5", "null", pytest.param("[" * 100_000, id="deep"), "hello", "\xff"])
def test_a_line_that_is_no_row_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "results.jsonl").write_text(line + "\n", encoding="latin-1")
    with pytest.raises(BadSweep, match="line 1, is no result of a sweep: it is no"):
        open_results(tmp_path, plan())


def test_a_row_of_a_run_that_was_interrupted_counts_for_nothing(tmp_path: Path) -> None:
    a = plan()
    _write(tmp_path, row(a, 0, x=1) | {"interrupted": True}, row(a, 1, x=1))
    results = open_results(tmp_path, a)
    assert results.finished == {row(a, 1)["cell"]}
    assert results.of(a) == [row(a, 1, x=1)]


def test_what_a_cell_gives_is_a_row(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(
        'duration_s = 2\n[population]\nnodes = 2\narrive_s = 1\n[[workload]]\nkind = "tests.support.faulty:Counts"\n'
    )
    a = plan_of(str(file), vary=["workload.0.value=1.0,inf"], seeds="1")
    good, bad = (run_cell(a, cell) for cell in a.cells())
    assert fault_of(good) is fault_of(bad) is None
    assert good["measures"]["planted"] == 1
    assert bad["error"].startswith("what it measured cannot be kept: measures.planted: expected a finite number")


def _write(folder: Path, *rows: dict[str, Any]) -> None:
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


def test_csv_and_parquet_hold_keys_and_measures(tmp_path: Path) -> None:
    a = plan()
    results = open_results(tmp_path, a)
    results.add(row(a, 1, lookup_success=0.5))
    results.add(row(a, 0, lookup_success=1.0, extra=3.0))
    with results.write_csv(a).open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["workload.paths"], line["lookup_success"], line["extra"]) for line in lines] == [
        ("1.0", "1.0", "3.0"), ("4.0", "0.5", ""),
    ]  # fmt: skip
    table = pyarrow.parquet.read_table(results.write_parquet(a)).to_pydict()
    assert table["workload.paths"] == [1.0, 4.0]
    assert table["extra"] == [3.0, None]


@pytest.mark.parametrize(
    ("good", "total", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I; the third mirrors the second.
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (1, 29, 0.0061, 0.1718)],
)
def test_wilson(good: int, total: int, low: float, high: float) -> None:
    assert wilson(good, total) == pytest.approx((low, high), abs=5e-5)


def test_seeds_are_pooled_by_their_counts() -> None:
    a = plan()
    rows = [row(a, 0, lookup_success=1.0, lookup_count=300), row(a, 4, lookup_success=0.5, lookup_count=100)]
    grid = grid_of(a, rows, "lookup_success")
    assert grid.cells == {("0.1", "1"): Figure(0.875, *wilson(350, 400), 2, 400)}
    assert (grid.rows, grid.columns) == ((("0.1",), ("0.2",)), ("1", "4"))


def test_a_measure_that_is_no_share_has_its_extremes() -> None:
    a = plan()
    rows = [row(a, 0, lookup_p50_ms=10.0), row(a, 4, lookup_p50_ms=30.0)]
    assert grid_of(a, rows, "lookup_p50_ms").cells == {("0.1", "1"): Figure(20.0, 10.0, 30.0, 2)}


def test_what_the_scenario_claims_is_shown_unless_asked() -> None:
    a = plan()
    assert measures_of(a, [row(a, 0, bytes=1, join_success=1, lookup_success=1)])[0] == "lookup_success"


@pytest.mark.parametrize(
    "vary",
    [("adversaries.fraction=0.1,0.2",), ("adversaries.fraction=0.1,0.2", "workload.paths=1,4"),
     ("link.profile=lan,wan", "workload.paths=1,4", "workload.count=1,2")],
)  # fmt: skip
def test_the_plot_is_svg_with_a_point_for_every_figure(vary: tuple[str, ...]) -> None:
    a = plan(vary=vary, seeds="1")
    cells = list(a.cells())
    grid = grid_of(a, [row(a, i, x_success=0.5, x_count=9) for i in range(len(cells))], "x_success")
    root = ET.fromstring(plot(grid, title="a < b"))
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == len(cells)


def test_a_row_is_one_line_of_json(tmp_path: Path) -> None:
    a = plan()
    open_results(tmp_path, a).add(row(a, 0) | {"error": "x\ny"})
    [line] = (tmp_path / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["error"] == "x\ny"
