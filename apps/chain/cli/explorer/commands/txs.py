"""`chain-explorer tx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import (
    Session,
    answer,
    field_option,
    full_option,
    pass_session,
    people,
)
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.explorer.txs import Facts


@click.command(epilog=examples("chain-explorer tx 9d1f", "chain-explorer tx 9d1f -f operations.0.amount"))
@click.argument("txid")
@click.option("--raw", is_flag=True, help="Its bytes as hex digits alone.")
@field_option
@full_option
@json_option
@pass_session
def tx(session: Session, txid: str, raw: bool, field: str | None, full: bool, as_json: bool) -> None:
    """Show one transaction, by its id or the first four digits of it or more: one of the chain, or one that waits in
    the node."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer.txs import is_signed
    from overlay.identity.keys import verify

    with session.chain(light=True) as chain:
        facts = _find(session, chain, txid)
        keys = {facts.tx.sender, *(key for op in facts.tx.operations if (key := getattr(op, "to", None)))}
        known = people(chain, keys, full=full)
    if raw:
        print(facts.tx.raw.hex())
        return
    signed = is_signed(facts.tx, verify)
    if not answer(objects.tx(known, facts, signed=signed), as_json=as_json, field=field):
        _show(session, facts, known, signed=signed)


def _find(session: Session, chain: Chain, text: str) -> Facts:
    from apps.chain.core.explorer import refs
    from apps.chain.core.explorer.chain import Ambiguous, Unknown
    from apps.chain.core.explorer.txs import confirmed, proved, waiting

    if chain.light:
        from apps.chain.cli.explorer import asked

        return proved(chain, asked.proved(session, chain, asked.whole(refs.as_hex(text), text))[1])

    try:
        return confirmed(chain, refs.find_tx(chain, text))
    except Unknown:
        wanted, node = refs.as_hex(text), session.node()
        found = [] if node is None or wanted is None else [
            one.tx for one in node.mempool(chain.params.chain_id) if wanted.fits(one.tx.txid)
        ]  # fmt: skip
        if len(found) > 1:
            raise Ambiguous(f"{len(found)} waiting transactions begin with {text!r}",
                            [tx.txid.hex() for tx in found[: refs.SHOWN]]) from None  # fmt: skip
        if not found:
            raise
        return waiting(found[0])


def _show(session: Session, facts: Facts, known: People, *, signed: bool) -> None:
    from apps.chain.cli.explorer.operations import lines_of
    from apps.chain.cli.explorer.texts import age, credits_text, when

    tx, at = facts.tx, facts.block
    print(f"tx       {tx.txid.hex()}")
    if at is None:
        print("waits    in the mempool of this node")
    else:
        print(f"in       block {at.height:,} (pos {facts.pos}), {counted(facts.confirmations, 'confirmation')}")
        print(f"time     {when(at.time)}, {age(at.time, session.clock())} ago")
    print(f"from     {known.known(tx.sender)}   nonce {tx.nonce:,}")
    print(f"fee      {credits_text(tx.fee)} for {len(tx.raw):,} B   valid at heights {tx.first:,} to {tx.last:,}")
    for n, op in enumerate(tx.operations):
        for line in lines_of(op, known, label=f"{n:>3}  "):
            print(line)
    print("signature ok" if signed else "SIGNATURE WRONG")
    if at is not None:
        say(f"take a proof along: {session.command(f'proof make {tx.txid.hex()[:8]}')}")
