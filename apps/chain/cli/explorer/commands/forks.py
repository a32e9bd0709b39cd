"""`chain-explorer forks`: what lies beside the chain, and how the chain changed to another branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, full_option, limit_option, lines_option, pass_session, people
from p2pnode.ui.options import examples
from p2pnode.ui.render import counted, cut, one_line, print_json, print_table, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.forks import Branch
    from apps.chain.core.rows import Reorg

_RIGHT = ("END", "FORK", "BLOCKS", "BEHIND", "AGE", "FROM", "TO", "UNDONE")


@click.command(epilog=examples("chain-explorer forks --tree", "chain-explorer forks --json | jq .status"))
@click.option("--tree", is_flag=True, help="Draw where each branch leaves the chain.")
@click.option("--before", type=click.IntRange(min=0), metavar="H", help="Only branches that end below this height.")
@limit_option(20)
@full_option
@lines_option
@pass_session
def forks(session: Session, tree: bool, before: int | None, limit: int, full: bool, as_json: bool) -> None:
    """List branches beside the chain that counts, newest first, and when the chain changed from one to another."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer import forks as queries

    with session.chain() as chain:
        page = queries.forks(chain, before=before, limit=limit)
        reorgs = chain.view.reorgs(limit=limit) if before is None else ()
        known = people(chain, {branch.tip.miner for branch in page.rows}, full=full)
        tip = chain.height
    if as_json:
        for branch in page.rows:
            print_json(objects.branch(known, branch))
        for reorg in reorgs:
            print_json(objects.reorg(reorg))
        return
    if tree:
        _print_tree(page.rows, known, tip)
    else:
        _print_list(page.rows, known)
        if reorgs:
            print()
            _print_reorgs(reorgs, session.clock(), full=full)
    if not page.rows:
        say("no block was ever left beside the chain")
    elif page.more:
        say(f"more: {session.command(f'forks --before {page.rows[-1].tip.height}')}")


def _print_list(branches: Sequence[Branch], known: People) -> None:
    from apps.chain.cli.explorer.texts import big, id_text

    rows = [
        (f"{branch.tip.height:,}", id_text(branch.tip.id, full=known.full), f"{branch.fork:,}", len(branch.rows),
         big(branch.behind), known.brief(branch.tip.miner), _status(branch))
        for branch in branches
    ]  # fmt: skip
    print_table(("END", "ID", "FORK", "BLOCKS", "BEHIND", "MINER", "STATUS"), rows, right=_RIGHT, full=known.full)
    for branch in branches:
        if why := _why(branch):
            print(f"{id_text(branch.tip.id)}  {cut(one_line(why), 64)}")


def _status(branch: Branch) -> str:
    from apps.chain.core.rows import Status

    words = {
        Status.INVALID: "invalid", Status.DOOMED: "invalid", Status.HEADER: "header alone",
        Status.BODY: "waits for bodies", Status.READY: "side", Status.VALID: "valid",
    }  # fmt: skip
    return words[branch.tip.status]


def _why(branch: Branch) -> str:
    """Rule and facts, of the first block of it that is invalid."""
    return next((f"{row.height:,}: {row.why}" for row in branch.rows if row.why), "")


def _print_reorgs(reorgs: Sequence[Reorg], now: float, *, full: bool) -> None:
    from apps.chain.cli.explorer.texts import age, id_text

    rows = [
        (age(reorg.at_ms // 1000, now), f"{reorg.fork:,}", reorg.old_height - reorg.fork,
         f"{reorg.old_height:,} {id_text(reorg.old, full=full)}",
         f"{reorg.new_height:,} {id_text(reorg.new, full=full)}")
        for reorg in reorgs
    ]  # fmt: skip
    print_table(("AGE", "FORK", "UNDONE", "FROM TIP", "TO TIP"), rows, right=("AGE", "FORK", "UNDONE"), full=full)


def _print_tree(branches: Sequence[Branch], known: People, tip: int) -> None:
    """Downwards in height: the chain is ●, blocks of a branch ○, invalid ones ✗."""
    from apps.chain.cli.explorer.texts import id_text
    from apps.chain.core.rows import Status

    width = len(f"{max([tip, *(branch.tip.height for branch in branches)]):,}")
    print(f"{tip:>{width},} ●  the tip of the chain that counts")
    last = tip
    for branch in branches:
        if min(branch.tip.height, tip) < last - 1:
            print(f"{'':>{width}} ┆")
        for row in reversed(branch.rows):
            mark = "✗" if row.status < Status.HEADER else "○"
            line = f"{row.height:>{width},} │ {mark} {id_text(row.id, full=known.full)}"
            if row is branch.tip:
                line += f"  {_about(branch, known)}"
            print(line)
            if row.why:
                print(f"{'':>{width}} │   {cut(one_line(row.why), 70)}")
        print(f"{branch.fork:>{width},} ●─┘")
        last = branch.fork


def _about(branch: Branch, known: People) -> str:
    from apps.chain.cli.explorer.texts import big

    by = f"by {known.brief(branch.tip.miner)}"
    if _status(branch) == "invalid":
        return f"invalid, {by}"
    lost = f"{big(branch.behind)} behind" if branch.behind > 0 else "same work" if not branch.behind else "ahead"
    return f"{counted(len(branch.rows), 'block')}, {lost}, {by}"
