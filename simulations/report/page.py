"""The report as one HTML page that needs nothing else: no network, no script to be readable, light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any, Final

from simulations.report import ring, svg
from simulations.report.axis import figure
from simulations.report.plots import DRAWN_MARKS, Plot, plots_of

#: Where the data stands in the page; `saved` looks for it.
DATA_BEGINS: Final = '<script type="application/json" id="run">'
DATA_ENDS: Final = "</script>"


def html(data: Mapping[str, Any]) -> str:
    """The page of a run (simulations.report.data.collect). KeyError, TypeError or ValueError if it is not one."""
    run = data["run"]
    title = f"{run['scenario']}, seed {run['seed']}"
    # "<" in a text of the run must not end the script element (HTML standard, 4.12.1.3).
    raw = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'; '
            "script-src 'unsafe-inline'; img-src data:\">",
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)} - p2pnode swarm</title>",
            f"<style>{_file('report.css')}</style></head><body><main>",
            *_header(data),
            "<h2>Plots</h2>",
            *_marks(data),
            '<div class="plots">',
            *map(_figure, plots_of(data)),
            *map(_drawing, ring.drawings_of(data)),
            "</div>",
            *_figures(run["measures"]),
            "<h2>Raw data</h2>",
            '<p>The page holds its run: <code>p2pnode swarm report THIS.html --output NEW.html</code> makes it again. '
            '<button type="button" id="download">Download JSON</button></p>',
            "</main>",
            f"{DATA_BEGINS}{raw}{DATA_ENDS}",
            f"<script>{_file('report.js')}</script>",
            "</body></html>",
            "",
        )
    )  # fmt: skip


def _file(name: str) -> str:
    return (resources.files("simulations") / "report" / name).read_text(encoding="utf-8")


def _header(data: Mapping[str, Any]) -> Iterator[str]:
    run = data["run"]
    word = "stopped" if run["interrupted"] else "ok" if run["ok"] else "failed"
    yield f'<header><h1>{escape(str(run["scenario"]))} <span class="verdict {word}">{word}</span></h1>'
    yield f"<p>{escape(str(data['description']))}</p>"
    rate = float(run["events"]) / max(float(run["wall_s"]), 0.001)
    facts = {
        "nodes": f"{int(run['nodes']):,}",
        "seed": str(int(run["seed"])),
        "virtual time": f"{float(run['virtual_s']):,.1f} s",
        "wall time": f"{float(run['wall_s']):,.1f} s",
        "events": f"{int(run['events']):,} ({rate:,.0f}/s)",
        "RPCs": f"{int(run['rpcs']):,}",
        "adversaries": ", ".join(f"{int(count):,} {name}" for name, count in data["adversaries"].items()) or "none",
        "trace hash": str(run["trace_hash"]),
        "made with": ", ".join(f"{name} {number}" for name, number in data["versions"].items()),
    }
    yield '<dl class="facts">'
    for label, text in facts.items():
        yield f"<div{' class=long' if len(text) > 18 else ''}><dt>{label}</dt><dd>{escape(text)}</dd></div>"
    yield "</dl>"
    if run["claims"]:
        yield '<div class="wide"><table class="claims"><tr><th>claim</th><th class="n">value</th><th>bound</th></tr>'
        for claim in run["claims"]:
            value = "not measured" if claim["value"] is None else figure(float(claim["value"]))
            if meant := claim.get("did_you_mean"):
                value += f", did you mean {escape(str(meant))}?"
            sign, word = ("…", "early") if claim.get("early") else ("✓", "ok") if claim["ok"] else ("✗", "failed")
            yield (
                f'<tr class="{word}"><td><b>{sign}</b> {escape(str(claim["name"]))}</td><td class="n">{value}</td>'
                f'<td class="bound">{escape(str(claim["bound"]))}</td></tr>'
            )
        yield "</table></div>"
        if run["interrupted"]:
            yield "<p>The run was stopped: claims are about its end, and this is how they stood before.</p>"
    if not_run := run.get("not_run"):  # runs that were saved before have it not
        yield f'<p class="notrun">Not run: {escape(", ".join(map(str, not_run)))}.</p>'
    yield from _broken(run["invariants"])
    yield from _app_errors(run.get("app_errors", []))
    yield f"<p>The same run again:</p><pre>{escape(str(data['command']))}</pre></header>"


def _broken(broken: list[Mapping[str, Any]]) -> Iterator[str]:
    if not broken:
        yield "<p>No invariant was broken.</p>"
        return
    yield '<p class="failed">Broken invariants:</p><ul>'
    for one in broken:
        where = "" if one["node"] is None else f" at node {int(one['node'])}"
        text = f"{one['invariant']}{where}, {float(one['at_s']):,.1f} s: {one['what']}"
        yield f"<li>{escape(text)}</li>"
    yield "</ul>"


def _app_errors(errors: list[Mapping[str, Any]]) -> Iterator[str]:
    if not errors:
        return
    yield '<p class="failed">The first errors of applications:</p><ul>'
    for one in errors:
        where = f" ({one['where']})" if one["where"] else ""
        text = (
            f"{one['app']} {one['event']}, {int(one['count']):,} times, first at node {int(one['node'])}, "
            f"{float(one['at_s']):,.1f} s: {one['error']}{where}"
        )
        yield f"<li>{escape(text)}</li>"
    yield "</ul>"


def _marks(data: Mapping[str, Any]) -> Iterator[str]:
    """The timeline in words; its numbers are those of the lines in the plots."""
    if not data["marks"]:
        return
    yield '<ol class="marks" id="marks">'
    for at_s, text in data["marks"]:
        yield f"<li><b>{float(at_s):,g} s</b> {escape(str(text))}</li>"
    yield "</ol>"
    if len(data["marks"]) > DRAWN_MARKS:
        left_off = int(data["marks_left_off"])
        more = f" {left_off:,} further ones are left off." if left_off else ""
        yield f"<p>The plots show the first {DRAWN_MARKS}.{more}</p>"


def _figure(plot: Plot) -> str:
    keys = "".join(f'<span><i class="b{i % svg.COLOURS}"></i>{escape(line.name)}</span>'
                   for i, line in enumerate(plot.lines))  # fmt: skip
    legend = f'<p class="legend">{keys}</p>' if len(plot.lines) > 1 or plot.lines[0].high else ""
    return (
        f'<figure id="plot-{escape(plot.key)}"><figcaption><h3>{escape(plot.title)}</h3>'
        f"<p>{escape(plot.note)}</p></figcaption>{svg.draw(plot)}{legend}<output></output></figure>"
    )


def _drawing(drawing: ring.Drawing) -> str:
    words = {"honest": "honest", "adversary": "adversary", "off": "switched off"}
    legend = "".join(f'<span><i class="{state}"></i>{word}</span>' for state, word in words.items()
                     if drawing.nodes[state])  # fmt: skip
    return (
        f'<figure id="plot-{drawing.key}"><figcaption><h3>{drawing.title}</h3><p>{escape(drawing.note)}</p>'
        f'</figcaption>{ring.draw(drawing)}<p class="legend">{legend}</p></figure>'
    )


def _figures(measures: Mapping[str, Any]) -> Iterator[str]:
    yield '<h2>All figures</h2><div class="figures"><table>'
    for name, value in measures.items():
        yield f'<tr><td>{escape(str(name))}</td><td class="n">{figure(float(value))}</td></tr>'
    yield "</table></div>"
