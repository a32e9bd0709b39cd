"""`chain-explorer blocks` and `block`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.arguments import Below, the_block
from apps.chain.cli.explorer.session import (
    Session,
    answer,
    field_option,
    full_option,
    limit_option,
    lines_option,
    pass_session,
    people,
)
from apps.chain.cli.explorer.texts import age, big, credits_text, id_text, quoted, size_text, span, when
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.blocks import Facts, Line
    from apps.chain.core.tx import Tx

_RIGHT = ("HEIGHT", "AGE", "TXS", "SIZE", "FEES", "DIFF", "DT", "POS", "NONCE", "FEE")


@click.command(
    epilog=examples(
        "chain-explorer blocks --limit 5", "chain-explorer blocks --miner edge-3",
        "chain-explorer blocks --json | jq .fees",
    )
)
@click.option("--from", "start", type=click.IntRange(min=0), metavar="H", help="Begin at this height, downwards.")
@click.option("--before", type=click.IntRange(min=0), metavar="H", help="Only blocks below this height.")
@limit_option(20)
@click.option("--miner", metavar="ACCOUNT", help="Only those of this miner: an address, a name, or how one begins.")
@full_option
@lines_option
@pass_session
def blocks(
    session: Session, start: int | None, before: int | None, limit: int, miner: str | None, full: bool, as_json: bool
) -> None:
    """List the latest blocks, newest first."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer import blocks as queries
    from apps.chain.core.explorer.refs import find_account

    with session.chain() as chain:
        end = min((end for end in (before, None if start is None else start + 1) if end is not None), default=None)
        key = None if miner is None else find_account(chain, miner)
        page = queries.lines(chain, before=end, limit=limit, miner=key)
        known = people(chain, {line.active.miner for line in page.rows}, full=full)
    if as_json:
        for line in page.rows:
            print_json(objects.block_line(known, line))
        return
    now = session.clock()
    rows = [_row(line, known, now) for line in page.rows]
    headers = ("HEIGHT", "ID", "AGE", "TXS", "SIZE", "FEES", "DIFF", "DT", "MINER")
    print_table(headers, rows, right=_RIGHT, full=full)
    if not page.rows:
        say("no block" if miner is None else f"no block of {miner}")
    elif page.more:
        of = "" if miner is None else f" --miner {miner}"
        say(f"more: {session.command(f'blocks --before {page.rows[-1].active.height}{of}')}")


def _row(line: Line, known: People, now: float) -> tuple[object, ...]:
    active = line.active
    return (
        f"{active.height:,}", id_text(active.id, full=known.full), age(active.time, now), f"{active.txs:,}",
        size_text(active.size), credits_text(active.fees), big(active.difficulty),
        span(line.solve_s) if active.height else None, known.brief(active.miner) if active.height else None,
    )  # fmt: skip


@click.command(
    cls=Below,
    epilog=examples(
        "chain-explorer block -1", "chain-explorer block 18202 --txs", "chain-explorer block @-1h -f id",
        "chain-explorer block @2026-11-22T12:41",
    ),
)
@click.argument("block", metavar="BLOCK")
@click.option("--txs", "with_txs", is_flag=True, help="Its transactions, too.")
@click.option("--raw", is_flag=True, help="Its bytes as hex digits alone; the header's, if no more is here.")
@field_option
@full_option
@json_option
@pass_session
def block(
    session: Session, block: str, with_txs: bool, raw: bool, field: str | None, full: bool, as_json: bool
) -> None:
    """Show one block. BLOCK is a height, -1 for the newest (-2 the one before), an id or its first four digits or more,
    or @TIME: the last block that is not younger (UTC, or -10m for ten minutes ago)."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer import blocks as queries

    with session.chain(light=not with_txs) as chain:
        facts = queries.facts(chain, the_block(chain, block, session.clock()))
        wanted = with_txs or (field or "").startswith("transactions")
        txs = queries.txs_of(chain, facts.row) if wanted else None
        keys = {facts.row.miner, *(tx.sender for tx in txs or ())}
        known = people(chain, keys, full=full)
    if raw:
        print((facts.raw if facts.raw is not None else facts.row.raw).hex())
        return
    obj = objects.block(known, facts)
    if wanted:
        obj["transactions"] = None if txs is None else [objects.tx_line(known, tx, n) for n, tx in enumerate(txs)]
    if answer(obj, as_json=as_json, field=field):
        return
    print_fields(_fields(facts, known, session.clock()))
    if with_txs and txs is not None:
        _print_txs(txs, known)
    elif with_txs:
        say("its transactions are not here")


def _fields(facts: Facts, known: People, now: float) -> list[tuple[str, object]]:
    row, header = facts.row, facts.header
    after = f", {span(row.solve_s)} after its parent" if row.height > 1 else ""
    fields: list[tuple[str, object]] = [
        ("block", f"{row.height:,}   {_standing(facts)}"),
        ("id", row.id.hex()),
        ("parent", row.parent.hex() if row.height else "none: the first block"),
        ("time", f"{when(row.time)}, {age(row.time, now)} ago{after}"),
        ("miner", known.known(row.miner) if row.height else "nobody"),
        ("reward", _reward(facts)),
        ("difficulty", f"{row.difficulty:,} hashes; work up to here {row.work:,}"),
        ("body", _body(facts)),
        ("root", header.root.hex()),
        ("nonce", header.nonce.hex() + (f"   extra {quoted(header.extra)}" if header.extra else "")),
    ]
    if row.why:
        fields.insert(1, ("why", row.why))
    if len(facts.children) > (facts.active is not None):
        fields.append(("children", ", ".join(id_text(child, full=known.full) for child in facts.children)))
    return fields


def _standing(facts: Facts) -> str:
    from apps.chain.cli.explorer.as_json import status_of

    match status_of(facts):
        case "active":
            return counted(facts.confirmations, "confirmation")
        case "invalid":
            return "INVALID"
        case "header":
            return "its header alone is here"
        case "waiting":
            return "waits for blocks before it"
    return "of a side branch"


def _reward(facts: Facts) -> str | None:
    if not facts.row.height:
        return None
    fees = f" + {credits_text(facts.fees)} fees" if facts.fees else ""
    tip = facts.row.height + facts.confirmations - 1
    left = facts.credited_at - tip
    if facts.active is None:
        return f"{credits_text(facts.reward)}, if it counted"
    when_text = f"in {counted(left, 'block')}" if left > 0 else "credited"
    return f"{credits_text(facts.reward)}{fees}, at height {facts.credited_at:,} ({when_text})"


def _body(facts: Facts) -> str:
    row = facts.row
    operations = f", {counted(facts.operations, 'operation')}" if facts.operations is not None else ""
    size = size_text(facts.size) if facts.raw is not None else "not here"
    return f"{counted(row.txs, 'transaction')}{operations}, {size}"


def _print_txs(txs: Sequence[Tx], known: People) -> None:
    from apps.chain.cli.explorer.operations import brief

    rows = [
        (n, id_text(tx.txid, full=known.full), known.brief(tx.sender), tx.nonce, credits_text(tx.fee),
         brief(tx.operations))
        for n, tx in enumerate(txs)
    ]  # fmt: skip
    print_table(("POS", "TXID", "FROM", "NONCE", "FEE", "DOES"), rows, right=_RIGHT, full=known.full)
