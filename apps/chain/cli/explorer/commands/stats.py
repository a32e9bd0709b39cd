"""`chain-explorer stats`: figures over the newest blocks, plotted in the terminal or into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, answer, field_option, full_option, pass_session, people
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import print_fields, print_table, say

if TYPE_CHECKING:
    from apps.chain.core.explorer.stats import Stats

_SERIES = ("interval", "difficulty", "hashrate", "txs", "fees", "miners")


@click.command(
    epilog=examples(
        "chain-explorer stats --last 200 --plot interval", "chain-explorer stats --plot hashrate --png hashrate.png"
    )
)
@click.option("--last", type=click.IntRange(1, 1_000_000), default=200, show_default=True, metavar="N",
              help="Over the newest N blocks.")  # fmt: skip
@click.option("--plot", type=click.Choice(_SERIES), help="Draw it.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Draw it into a file; without --plot, all of them.")  # fmt: skip
@field_option
@full_option
@json_option
@pass_session
def stats(
    session: Session, last: int, plot: str | None, png: Path | None, field: str | None, full: bool, as_json: bool
) -> None:
    """Show how fast blocks come, how much they hold, and who mines them."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer.stats import Series
    from apps.chain.core.explorer.stats import stats as look

    if png is not None:
        from p2pnode.ui.targets import check_picture

        check_picture(png, instead="--plot needs nothing")
    with session.chain() as chain:
        found = look(chain, last=last)
        known = people(chain, {miner for miner, _ in found.miners}, full=full)
    series = [Series(plot)] if plot else list(Series)
    if png is not None:
        from apps.chain.cli.explorer import picture

        picture.write(found, series, known, png)
        say(f"picture  {png}")
    shown = objects.stats(known, found)
    if plot:
        shown["series"] = objects.series(found, Series(plot))
    if answer(shown, as_json=as_json, field=field):
        return
    print_fields(_fields(found))
    if plot and png is None:
        from apps.chain.cli.explorer import plots

        print()
        print(plots.drawn(found, Series(plot), known))
    elif png is None:
        print()
        rows = [
            (known.brief(miner, 32), f"{count:,}", f"{100 * count / len(found.lines):.1f} %")
            for miner, count in found.miners[:10]
        ]
        print_table(("MINER", "BLOCKS", "SHARE"), rows, right=("BLOCKS", "SHARE"), full=full)


def _fields(found: Stats) -> list[tuple[str, object]]:
    from apps.chain.cli.explorer.texts import big, credits_text, size_text, span

    count, took = len(found.lines), found.intervals
    rate = f" ({found.txs / found.seconds:.2f}/s)" if found.seconds else ""
    stale = f"{found.stale:,} stale ({100 * found.stale / (count + found.stale):.1f} %)" if count else "none"
    return [
        ("blocks", f"{count:,}, of heights {found.first:,} to {found.last:,}, in {span(found.seconds)}; {stale}"),
        ("interval", None if took is None else
            f"mean {took.mean:.1f} s   median {took.median:.1f} s   p95 {took.p95} s   longest {took.longest} s"),
        ("hash rate", f"{big(round(found.hashrate))} H/s"),
        ("transactions", f"{found.txs:,}{rate}, {found.operations:,} operations"),
        ("size", f"{size_text(found.size)}, {size_text(found.size // count if count else 0)} a block"),
        ("fees", credits_text(found.fees)),
        ("miners", f"{len(found.miners):,}"),
    ]  # fmt: skip
