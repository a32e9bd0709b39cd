"""`chain-explorer decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.inputs import read_bytes
from apps.chain.cli.explorer.session import Session, answer, field_option, full_option, pass_session
from p2pnode.ui.fail import Exit, Fail
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, print_fields

if TYPE_CHECKING:
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.decode import Decoded

_SORTS = ("header", "block", "tx", "proof")


@click.command(
    epilog=examples("chain-explorer decode tx.bin", "chain-explorer tx 9d1f --raw | chain-explorer decode -")
)
@click.argument("what", metavar="HEX|FILE|-")
@click.option("--as", "sort", type=click.Choice(_SORTS), help="What it is meant to be; else what it looks like.")
@field_option
@full_option
@json_option
@pass_session
@click.pass_context
def decode(
    ctx: click.Context, session: Session, what: str, sort: str | None, field: str | None, full: bool, as_json: bool
) -> None:
    """Tell what bytes are: a header, a block, a transaction or a proof, what they say, and which rule they break (then
    the exit code is 5). Where there is a chain, they are measured by it; else by what they say of themselves."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer import decode as reading
    from overlay.errors import BadMessage
    from overlay.identity.keys import verify

    raw = read_bytes(what)
    wanted = None if sort is None else reading.Sort(sort)
    with session.maybe_chain() as chain:
        try:
            found = reading.decode(raw, chain, verify, sort=wanted)
        except BadMessage as error:
            facts = {"bytes": f"{len(raw):,}", "reason": error.reason, "to see more": "--as header|block|tx|proof"}
            raise Fail("nothing of a chain has these bytes", code="not_verified", facts=facts) from None
        hrp = "xn" if chain is None else chain.params.hrp
        keys = {tx.sender for tx in found.txs}
        known = People(hrp, {} if chain is None else chain.names_of(keys), full=full)
    if not answer(objects.decoded(known, found), as_json=as_json, field=field):
        print_fields(_fields(found, known, measured=chain is not None))
        _print_operations(found, known)
    if found.rule is not None:
        ctx.exit(Exit.NOT_VERIFIED)


def _fields(found: Decoded, known: People, *, measured: bool) -> list[tuple[str, object]]:
    from apps.chain.cli.explorer.texts import credits_text, quoted, when
    from apps.chain.core.rules import TEXTS, Rule

    fields: list[tuple[str, object]] = [("is", f"a {found.sort.value} of {found.size:,} bytes")]
    if found.block is not None:
        fields.append(("block", found.block.hex()))
    if found.header is not None:
        header = found.header
        fields += [
            ("height", f"{header.height:,}   {counted(header.txs, 'transaction')}"),
            ("parent", header.parent.hex()),
            ("time", when(header.time)),
            ("difficulty", f"{header.difficulty:,} hashes"),
            ("miner", known.known(header.miner)),
        ]
        if header.extra:
            fields.append(("extra", quoted(header.extra)))
    if len(found.txs) == 1:
        tx = found.txs[0]
        fields += [
            ("txid", tx.txid.hex()),
            ("from", f"{known.known(tx.sender)}   nonce {tx.nonce:,}"),
            ("fee", f"{credits_text(tx.fee)}   valid at heights {tx.first:,} to {tx.last:,}"),
        ]
    by = "this chain" if measured else "itself: no chain is here"
    if found.chain_id is not None:
        fields.append(("chain", f"{found.chain_id.hex()}   measured by {by}"))
    if found.rule is None:
        fields.append(("rules", "keeps all that can be checked here"))
    else:
        fields.append(("BREAKS", f"{found.rule}: {found.why}" if found.rule else found.why))
        if found.rule:
            fields.append(("rule", TEXTS[Rule(found.rule)]))
    return fields


def _print_operations(found: Decoded, known: People) -> None:
    from apps.chain.cli.explorer.operations import lines_of

    if len(found.txs) == 1:
        for n, op in enumerate(found.txs[0].operations):
            for line in lines_of(op, known, label=f"{n:>3}  "):
                print(line)
