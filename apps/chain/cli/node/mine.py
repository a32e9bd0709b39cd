"""`p2pnode chain mine start`, `stop` and `status`."""

from __future__ import annotations

import os
from typing import Any

import click

from apps.chain.cli.node.asking import ask
from p2pnode.api import Session
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, print_fields, print_json, say


def processors() -> int:
    """That this process may use; the node is on the same machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Percent(click.ParamType[int]):
    """`20` or `20%`: 1 to 100."""

    name = "percent"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        digits = str(value).strip().removesuffix("%").strip()
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 3 and 1 <= int(digits) <= 100):
            self.fail(f"{value!r} is no share of the time: 1% to 100%", param, ctx)
        return int(digits)


@click.group(epilog=examples("p2pnode chain mine start --duty 20%", "p2pnode chain mine status"))
def mine() -> None:
    """Look for blocks, in a process beside the node that leaves the processor to whoever else wants it (nice 19).

    A block is worth 50 credits, which can be spent 20 blocks later.
    """


@mine.command(
    epilog=examples("p2pnode chain mine start", "p2pnode chain mine start --threads 2 --duty 20% --on-demand")
)
@click.option("--threads", type=click.IntRange(1, 256), metavar="N", help="At once; 1 at first.")
@click.option("--duty", type=Percent(), metavar="PERCENT", help="Share of the time; 100% at first.")
@click.option("--on-demand/--always", default=None,
              help="Only while a transaction waits, or no block came for 10 minutes; --always at first.")  # fmt: skip
@json_option
@click.pass_obj
def start(
    session: Session, threads: int | None, duty: int | None, on_demand: bool | None, as_json: bool
) -> None:  # fmt: skip
    """Mine from now on, also after a restart of the node. Said again, it changes how; what is not said stays."""
    if threads is not None and threads > (there := processors()):
        say(f"this machine has {counted(there, 'processor')}: more threads find no more")
    _show(ask(session, "mine_start", threads=threads, duty=duty, on_demand=on_demand), as_json=as_json)


@mine.command(epilog=examples("p2pnode chain mine stop", "p2pnode chain mine stop --json"))
@json_option
@click.pass_obj
def stop(session: Session, as_json: bool) -> None:
    """Mine no more. How it was done is kept for the next `start`."""
    _show(ask(session, "mine_stop"), as_json=as_json)


@mine.command(epilog=examples("p2pnode chain mine status", "p2pnode chain mine status --json | jq .found"))
@json_option
@click.pass_obj
def status(session: Session, as_json: bool) -> None:
    """Show whether this node mines, how fast, and how many blocks it has found since it was started."""
    _show(ask(session, "mine_status"), as_json=as_json)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"v": 1} | found)
        return
    how = f"{counted(found['threads'], 'thread')}, {found['duty']} % of the time"
    how += ", while something waits" if found["on_demand"] else ""
    fields: list[tuple[str, object]] = [("mining", how if found["mining"] else "no")]
    if found["mining"]:
        fields.append(("rate", f"{found['rate']:,} hashes/s" if found["rate"] is not None else "not known yet"))
    print_fields([*fields, ("found", f"{counted(found['found'], 'block')} since the node was started")])
