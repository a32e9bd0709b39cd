"""`chain-explorer export`: blocks, transactions, headers or an account's history, for other programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from apps.chain.cli.explorer.session import Session, pass_session, people
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples
from p2pnode.ui.render import counted, say

if TYPE_CHECKING:
    from apps.chain.core.explorer.chain import Chain

#: Blocks that are read at once.
_AT_ONCE = 512
#: Columns of CSV; what is nested (operations) is JSON in its column.
_COLUMNS = {
    "blocks": (
        "height", "id", "time", "solve_s", "txs", "operations", "size", "fees", "difficulty", "miner", "miner_name",
    ),
    "txs": ("height", "pos", "time", "txid", "from", "from_name", "nonce", "fee", "size", "spent", "operations"),
    "address": ("height", "pos", "time", "change", "mined", "txid", "from", "from_name", "nonce", "fee", "operations"),
    "headers": ("height", "id", "raw"),
}  # fmt: skip


@click.command(
    epilog=examples(
        "chain-explorer export blocks --csv -o blocks.csv", "chain-explorer export txs --from 18000 --json | jq .fee",
        "chain-explorer export address edge-3 --csv",
    )
)
@click.argument("what", type=click.Choice(tuple(_COLUMNS)))
@click.argument("account", required=False)
@click.option("--from", "first", type=click.IntRange(min=0), default=0, metavar="H", help="From this height on.")
@click.option("--to", "last", type=click.IntRange(min=0), metavar="H", help="Up to this height, itself included.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, with a line of names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, which is what comes without either.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@pass_session
def export(
    session: Session, what: str, account: str | None, first: int, last: int | None, as_csv: bool,
    as_json: bool, output: Path | None,
) -> None:  # fmt: skip
    """Write what the chain says, upwards in height, for other programs: amounts in units, ids in full.

    `export address ACCOUNT` is the history of an account."""
    if (what == "address") != (account is not None):
        raise click.UsageError("`export address` needs an account, and the others take none")
    if as_csv and as_json:
        raise click.UsageError("--csv and --json are two forms, and one is written")
    if last is not None and last < first:
        raise click.UsageError(f"--to {last} is below --from {first}")
    if output is not None:
        from p2pnode.ui.targets import check_output

        check_output(output)
    with session.chain(light=what == "headers") as chain:
        if first > chain.height:
            fail(f"no block has height {first:,} yet", code="not_found", tip=f"{chain.height:,}")
        end = chain.height if last is None else min(last, chain.height)
        rows = _rows(chain, what, account, first, end)
        try:
            if output is None:
                count = _write(sys.stdout, what, rows, as_csv=as_csv)
                sys.stdout.flush()
            else:
                with output.open("w", encoding="utf-8", newline="") as file:
                    count = _write(file, what, rows, as_csv=as_csv)
        except BrokenPipeError:
            raise
        except OSError as error:
            fail("the file cannot be written", file=str(output or "stdout"), reason=error.strerror or str(error))
        if what == "txs":
            _say_forgotten(chain, first, end)
    if output is not None:
        say(f"{counted(count, 'line')} in {output}")


def _write(file: IO[str], what: str, rows: Iterable[dict[str, Any]], *, as_csv: bool) -> int:
    count = 0
    if as_csv:
        writer = csv.DictWriter(file, _COLUMNS[what], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            if "operations" in row and isinstance(row["operations"], list):
                row["operations"] = json.dumps(row["operations"])
            writer.writerow(row)
            count += 1
        return count
    for row in rows:
        file.write(json.dumps(row) + "\n")
        count += 1
    return count


def _rows(chain: Chain, what: str, account: str | None, first: int, last: int) -> Iterator[dict[str, Any]]:
    match what:
        case "blocks":
            return _blocks(chain, first, last)
        case "txs":
            return _txs(chain, first, last)
        case "headers":
            return _headers(chain, first, last)
    assert account is not None
    return _history(chain, account, first, last)


def _blocks(chain: Chain, first: int, last: int) -> Iterator[dict[str, Any]]:
    from apps.chain.cli.explorer.as_json import block_line
    from apps.chain.core.explorer.blocks import between

    for start in range(first, last + 1, _AT_ONCE):
        lines = between(chain, start, min(start + _AT_ONCE - 1, last))
        known = people(chain, {line.active.miner for line in lines})
        for line in lines:
            yield block_line(known, line)


def _txs(chain: Chain, first: int, last: int) -> Iterator[dict[str, Any]]:
    from apps.chain.cli.explorer.as_json import tx_line
    from apps.chain.core.block import decode_txs

    for start in range(first, last + 1, _AT_ONCE):
        for active in chain.view.actives(start, min(start + _AT_ONCE - 1, last)):
            if not active.txs:
                continue
            body = chain.body(active.id)
            if body is None:
                fail("the transactions of this block are not here: pruned", code="not_found",
                     block=f"{active.height:,}", begin_later=f"--from {_first_body(chain, active.height)}")  # fmt: skip
            txs = decode_txs(body.txs, chain.params.chain_id)
            known = people(chain, {tx.sender for tx in txs})
            for pos, tx in enumerate(txs):
                yield {"v": 1, "height": active.height, "time": active.time, **tx_line(known, tx, pos)}


def _first_body(chain: Chain, height: int) -> int:
    """Of those above, the first whose body is here."""
    first = max(height + 1, chain.view.kept_from())
    kept = (at for at in range(first, chain.height) if chain.view.block(chain.active(at).id) is not None)
    return next(kept, chain.height)


def _say_forgotten(chain: Chain, first: int, last: int) -> None:
    """Bodies are missing, and yet nothing is: a block of which the header counts transactions ends the export."""
    kept_from = chain.view.kept_from()
    lowest, highest = max(first, 1), min(last, kept_from - 1)
    if lowest <= highest:
        say(f"blocks below {kept_from:,} were forgotten (--prune): by their headers, "
            f"those from {lowest:,} to {highest:,} have no transactions")  # fmt: skip


def _headers(chain: Chain, first: int, last: int) -> Iterator[dict[str, Any]]:
    for start in range(first, last + 1, _AT_ONCE):
        for active in chain.view.actives(start, min(start + _AT_ONCE - 1, last)):
            yield {"v": 1, "height": active.height, "id": active.id.hex(), "raw": chain.header(active.id).raw.hex()}


def _history(chain: Chain, account: str, first: int, last: int) -> Iterator[dict[str, Any]]:
    """All of it is held in memory, to turn it round."""
    from apps.chain.cli.explorer.as_json import entry
    from apps.chain.core.explorer import accounts
    from apps.chain.core.explorer.refs import find_account

    key = find_account(chain, account)
    entries: list[accounts.Entry] = []
    before: tuple[int, int] | None = (last + 1, 0)
    while before is not None and before[0] >= first:
        page = accounts.history(chain, key, before=before, limit=_AT_ONCE)
        entries += page.rows
        before = (page.rows[-1].height, page.rows[-1].pos) if page.more else None
    known = people(chain, {found.tx.sender for found in entries if found.tx is not None})
    for found in reversed(entries):
        if found.height >= first:
            yield entry(known, found)
