"""`chain-explorer verify`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, answer, field_option, pass_session
from p2pnode.ui.fail import Exit, Fail
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import print_fields

if TYPE_CHECKING:
    from apps.chain.core.explorer.faults import Report


@click.command(epilog=examples("chain-explorer verify", "chain-explorer --data FOLDER verify --level 4"))
@click.option("--level", type=click.IntRange(0, 4), default=2, show_default=True, help=(
    "0 headers, 1 and bodies, 2 and signatures, 3 and replay and undo all, 4 and compare the state."
))
@click.option("--from", "start", type=click.IntRange(min=0), default=0, metavar="H",
              help="Levels 0 to 2 from this height on.")  # fmt: skip
@field_option
@json_option
@pass_session
@click.pass_context
def verify(ctx: click.Context, session: Session, level: int, start: int, field: str | None, as_json: bool) -> None:
    """Check the chain from its bytes, as if nobody had checked it before; levels 3 and 4 hold all of its state in
    memory. The exit code is 5 at the first block that breaks a rule, which is named by its code."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer import progress
    from apps.chain.core.explorer import verify as checks
    from overlay.identity import keys

    with session.chain(light=True) as chain, progress.shown(quiet=as_json or field is not None) as told:
        if chain.light and level:
            raise Fail("this home keeps headers alone: only they can be checked",
                       facts={"check them": session.command("verify --level 0")})  # fmt: skip
        if start > chain.height:
            raise Fail(f"no block has height {start:,}", code="not_found", facts={"tip": f"{chain.height:,}"})
        began = time.perf_counter()
        report = checks.verify(
            chain, level, first=start, judge=session.judge, verifier=keys.verify, told=told
        )  # fmt: skip
        took = time.perf_counter() - began
    if not answer(objects.verified(report, took), as_json=as_json, field=field):
        print_fields(_fields(report, took))
    if report.fault is not None:
        ctx.exit(Exit.NOT_VERIFIED)


def _fields(report: Report, took: float) -> list[tuple[str, object]]:
    from apps.chain.core.explorer.faults import BODIES, SIGNATURES, UNDO

    level, fault = report.level, report.fault
    fields: list[tuple[str, object]] = [("headers", f"{report.headers:,} ok")]
    if level >= BODIES:
        fields.append(("bodies", f"{report.bodies:,} ok"))
    if level >= SIGNATURES:
        fields.append(("signatures", f"{report.signatures:,} ok"))
    if level >= UNDO:
        fields.append(("replayed", f"{report.replayed:,} blocks"))
    if report.is_equal is not None:
        fields.append(("state", "replayed is stored" if report.is_equal else "DIFFERS"))
    if level >= UNDO:
        fields.append(("undone", f"{report.undone:,} blocks"))
    if report.kept_from:
        fields.append(("forgotten", _forgotten(report)))
    if fault is not None:
        fields.append(("FAULT", f"block {fault.height:,} {fault.block.hex()[:16]}…"))
        fields.append((fault.code, fault.why))
        rule = _text_of(fault.code)
        fields.append(("rule", rule))
    fields.append(("took", f"{took:.1f} s"))
    return fields


def _forgotten(report: Report) -> str:
    from apps.chain.core.explorer.faults import UNDO

    text = f"blocks below {report.kept_from:,} were forgotten (--prune): their headers are verified, not their bodies"
    return text if report.level < UNDO else f"{text}, and what they made of the state is believed"


def _text_of(code: str) -> str:
    from apps.chain.core.rules import TEXTS, Rule

    return TEXTS[Rule(code)] if code in list(Rule) else "the store holds what follows from the blocks"
