"""The report of `p2pnode swarm run --report`, opened in a browser at the widths of a desk and of a phone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from p2pnode.cli.main import run_line
from tests.support.chromium import Chromium, chromium
from tests.support.scenarios import small

pytestmark = pytest.mark.needs("chromium")

#: One each of what the issue names; `small` gives a run that has them all.
PLOTS = (
    *("success", "latency-lookup", "latency-put", "latency-get", "hops-lookup", "messages", "bytes", "population"),
    *("table", "records", "remembered", "overlay", "lookups"),
)
#: A start of the browser, three pages.
ENOUGH_S = 60


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "run.html"
    assert run_line(["swarm", "run", small(folder), "--report", str(path)]) == 1  # one claim is never measured
    return path


async def _boxes(browser: Chromium) -> dict[str, list[float]]:
    """Plot -> left, right and height of its drawing, and how many shapes it has."""
    script = """Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => {
        const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
        return [figure.id, [box.left, box.right, box.height, svg.querySelectorAll("path, rect, circle").length]];
    }))"""
    return {str(key): list(box) for key, box in (await browser.evaluate(script)).items()}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
async def test_every_plot_is_there_and_nothing_overflows_or_complains(
    page: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    with trio.fail_after(ENOUGH_S):
        async with chromium(tmp_path / "profile") as browser:
            await browser.open(page.as_uri(), width=width, dark=dark)
            boxes = await _boxes(browser)
            overflow = await browser.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            paper = await browser.evaluate("getComputedStyle(document.body).backgroundColor")
            await browser.screenshot(tmp_path / "page.png")
            assert browser.complaints == []
    assert [plot for plot in PLOTS if f"plot-{plot}" not in boxes] == []
    for key, (left, right, height, shapes) in boxes.items():
        assert left >= 0, key
        assert right <= width, key
        assert right - left >= 300, key  # a plot narrower than that has no room for its figures
        assert height >= 170, key
        assert shapes > 0, key
    assert overflow <= 0
    assert (paper != "rgb(255, 255, 255)") is dark


async def test_a_finger_reads_a_plot_and_the_download_is_the_run(page: Path, tmp_path: Path) -> None:
    with trio.fail_after(ENOUGH_S):
        async with chromium(tmp_path / "profile") as browser:
            await browser.open(page.as_uri(), width=390)
            said = await browser.evaluate("""(() => {
                const figure = document.getElementById("plot-success");
                figure.querySelector("rect.hit").dispatchEvent(new PointerEvent("pointerdown", {bubbles: true}));
                return figure.querySelector("output").textContent;
            })()""")
            offered = await browser.download('document.getElementById("download").click()', tmp_path)
            marks = await browser.evaluate('document.querySelectorAll("#plot-success .mark").length')
    assert said.endswith("%")
    assert "virtual s: " in said
    assert offered.name == "run.json"
    assert json.loads(await trio.Path(offered).read_text())["run"]["scenario"] == "small"
    assert marks == 3  # partition, heal, deaths


async def test_texts_of_a_run_are_texts_in_the_page(page: Path, tmp_path: Path) -> None:
    """A scenario comes from anybody: what it says must not become markup or script."""
    data = (await trio.Path(page).read_text()).partition('id="run">')[2].partition("</script>")[0]
    run = json.loads(data)
    evil = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    run["description"] = run["command"] = run["run"]["scenario"] = run["run"]["claims"][0]["name"] = evil
    run["marks"].append([50.0, evil])
    run["series"][evil] = {"at_s": [1, 2], "value": [1, 2]}
    saved, again = tmp_path / "evil.json", tmp_path / "evil.html"
    await trio.Path(saved).write_text(json.dumps(run))
    assert run_line(["swarm", "report", str(saved), "--output", str(again)]) == 0
    with trio.fail_after(ENOUGH_S):
        async with chromium(tmp_path / "profile") as browser:
            await browser.open(again.as_uri(), width=1280)
            title = await browser.evaluate("document.title")
            images = await browser.evaluate("document.images.length")
            assert browser.complaints == []
    assert title != "taken"
    assert images == 0
