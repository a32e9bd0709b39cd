"""`p2pnode replay`: a recording of `p2pnode run --record`, fed to a fresh core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2pnode.cli.session import examples, json_option
from p2pnode.ui.fail import Exit
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.render import counted, print_fields, print_json, say

if TYPE_CHECKING:
    from p2pnode.record import Verdict

_SECOND = 1_000_000_000


@click.command(
    epilog=examples(
        "p2pnode replay today.rec                 the same to the byte, or not",
        "p2pnode replay today.rec --to 12.5       what the node knew after 12.5 s",
        "p2pnode replay today.rec --to-input 300 … and after its 300th input",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", type=FiniteRange(0, 1e9), metavar="SECONDS", help="Stop so long after the first input.")
@click.option("--to-input", type=click.IntRange(1), metavar="N", help="Stop after this input; the first is 1.")
@json_option
def replay(file: Path, to: float | None, to_input: int | None, as_json: bool) -> int:
    """Feed a recording (p2pnode run --record) to a fresh core, and compare what it does.

    Contacts nobody, reads no home. Exit code 0 if every output is the same to the byte, 1 if not or if the rest of FILE
    is damaged, 2 if FILE is no recording that this version reads. With --to or --to-input also prints the state of the
    node there, with what each task awaits.
    """
    from p2pnode.record import Replay

    opened = Replay(file)
    try:
        verdict = opened.run(to_ns=None if to is None else round(to * _SECOND), to_input=to_input)
        state = _state(opened) if to is not None or to_input is not None else None
    finally:
        opened.close()
    if as_json:
        print_json(_as_json(verdict) | ({} if state is None else {"state": state}))
    else:
        _print(verdict)
        if state is not None:
            _print_state(state)
    return Exit.OK if verdict.identical else Exit.FAILED


def _state(opened: Any) -> dict[str, Any]:
    from overlay.inspect import describe
    from p2pnode.ui.values import to_json

    state = describe(opened.peer)
    for own in state["own_records"]:
        own["name"] = None if own["name"] is None else to_json(own["name"])
    return state


def _as_json(verdict: Verdict) -> dict[str, Any]:
    found = verdict.difference
    return {
        "v": 1, "identical": verdict.identical, "made_by": verdict.made_by, "inputs": verdict.inputs,
        "fed": verdict.fed, "effects": verdict.effects, "duration_s": verdict.duration_s, "whole": verdict.whole,
        "ended": verdict.ended, "damage": verdict.damage, "torn": verdict.torn, "read_bytes": verdict.read_bytes,
        "file_bytes": verdict.file_bytes,
        "difference": None if found is None else {
            "input": found.input, "at_s": found.at_s, "what": found.what, "recorded": found.recorded,
            "replayed": found.replayed,
        },
    }  # fmt: skip


def _print(verdict: Verdict) -> None:
    made_by = verdict.made_by
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in verdict.inputs.items())
    print_fields(
        [
            ("made by", f"p2pnode {made_by['p2pnode']}, {made_by['python']}"),
            ("apps", ", ".join(made_by["apps"]) or "none"),
            ("lasted", f"{verdict.duration_s:.1f} s"),
            ("inputs", f"{verdict.fed:,}" + (f": {kinds}" if kinds else "")),
            ("outputs", f"{verdict.effects:,}"),
            ("ended", _ended(verdict)),
        ]
    )
    if verdict.damage is not None:
        say(f"warning: the file can be read up to there only: {verdict.damage}")
    found = verdict.difference
    if found is None and not verdict.identical:
        rest = verdict.file_bytes - verdict.read_bytes
        print(f"damaged: {counted(verdict.effects, 'output')} up to there are identical, to the byte; the rest, "
              f"{rest:,} of {verdict.file_bytes:,} bytes, was not compared")  # fmt: skip
        return
    if found is None:
        print(f"identical: {counted(verdict.effects, 'output')}, to the byte")
        return
    print(f"differs at input {found.input}, {found.at_s:.6f} s: {found.what}")
    for who, texts in (("recorded", found.recorded), ("replayed", found.replayed)):
        print(f"  {who}")
        for text in texts or ["nothing"]:
            print(f"    {text}")


def _ended(verdict: Verdict) -> str:
    if verdict.ended is not None:
        return verdict.ended
    if verdict.damage is not None and not verdict.torn:
        return "not known: the rest is damaged"
    return "without a word: the node was killed" if verdict.whole else "later than this"


def _print_state(state: dict[str, Any]) -> None:
    counters = ", ".join(f"{name} {count}" for name, count in state["counters"].items())
    print()
    print_fields(
        [
            ("id", state["id"]), ("network", state["network"]), ("role", state["role"]), ("peers", state["peers"]),
            ("in the table", ", ".join(_contacts(state["table"])) or "nobody"), ("records", state["records"]),
            ("own", ", ".join(own["key"][:16] for own in state["own_records"]) or "none"),
            ("waits for", ", ".join(f"{w['kind']} to {w['address']}" for w in state["pending"]) or "no reply"),
            ("counters", counters or "none"),
        ]
    )  # fmt: skip
    print(f"tasks ({len(state['tasks'])})")
    for task in state["tasks"]:
        print(f"  {task}")


def _contacts(buckets: list[dict[str, Any]]) -> list[str]:
    return [f"{contact['id'][:9]} at {contact['address']}" for bucket in buckets for contact in bucket["contacts"]]
