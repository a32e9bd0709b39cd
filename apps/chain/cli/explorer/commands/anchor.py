"""`chain-explorer anchor`: since when does it exist?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.digests import digest_of_file
from apps.chain.cli.explorer.session import Session, full_option, limit_option, lines_option, pass_session, people
from p2pnode.ui.fail import Exit, fail
from p2pnode.ui.options import examples
from p2pnode.ui.render import counted, one_line, print_json, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.anchors import Anchored
    from apps.chain.core.explorer.chain import Chain

#: Columns that are left for a name.
_WHO = 24


@click.command(epilog=examples("chain-explorer anchor report.pdf", "chain-explorer anchor b5bb9d80"))
@click.argument("what", metavar="FILE|DIGEST...", nargs=-1, required=True)
@limit_option(5)
@full_option
@lines_option
@pass_session
@click.pass_context
def anchor(ctx: click.Context, session: Session, what: tuple[str, ...], limit: int, full: bool, as_json: bool) -> None:
    """Tell when files or digests were anchored in the chain, and by whom: they existed no later than that.

    A file is hashed here (SHA-256) and sent nowhere. 64 hex digits are a digest, as is the beginning of one (four or
    more) unless a file is called so. The exit code is 4 if one of them is not anchored, or its anchor only
    waits in the mempool of the running node.
    """
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.live import waiting_anchors
    from apps.chain.core.explorer.anchors import anchored

    missing = False
    with session.chain(light=True) as chain:
        for text in what:
            label, digest = _digest(chain, text)
            found = _proved(session, chain, digest) if chain.light else anchored(chain, digest)
            waits = [] if found or chain.light else waiting_anchors(session, chain, digest)
            missing = missing or not found
            senders = {one.tx.sender for one in found if one.tx is not None}
            known = people(chain, senders, full=full)
            if as_json:
                print_json(objects.anchored(known, label, digest, found[:limit], len(found), waits))
            else:
                _show(session, label, digest, found, known, limit, waits)
    if missing:
        ctx.exit(Exit.NOT_FOUND)


def _proved(session: Session, chain: Chain, digest: bytes) -> list[Anchored]:
    """Where headers are kept alone: what another peer proves."""
    from apps.chain.cli.explorer import asked
    from apps.chain.core.explorer.anchors import proved

    _, proof = asked.proved(session, chain, digest)
    found = proved(chain, proof, digest)
    say("this home keeps headers alone: one anchor was proved by a peer, and there may be earlier ones")
    return found


def _digest(chain: Chain, text: str) -> tuple[str | None, bytes]:
    """Name of the file, if it is one, and digest."""
    from apps.chain.core.explorer import refs

    wanted = refs.as_hex(text)
    if wanted is not None and wanted.whole is not None:
        return None, wanted.whole
    found = digest_of_file(text)
    if found is not None:
        return text, found
    if wanted is None:
        fail(f"no such file: {one_line(text)!r}", code="not_found",
             expected="a file, or four or more hex digits of a digest")  # fmt: skip
    if chain.light:
        from apps.chain.cli.explorer import asked

        return None, asked.whole(wanted, text)
    return None, refs.the_one("anchored digest", text, refs.digests_like(chain, wanted))


def _show(
    session: Session, label: str | None, digest: bytes, found: list[Anchored], known: People, limit: int,
    waits: list[bytes],
) -> None:  # fmt: skip
    from apps.chain.cli.explorer.texts import beside, big, id_text, quoted, when
    from apps.chain.core.limits import MAX_AHEAD_S

    print((f"{one_line(label)}\n" if label else "") + f"sha256   {digest.hex()}")
    if not found:
        for txid in waits:
            print(f"waiting  not yet in a block: tx {id_text(txid, full=known.full)} is in the mempool of this node")
        if not waits:
            print("anchored never, in this chain")
        return
    for one in found[:limit]:
        by = "" if one.tx is None else f" by {known.brief(one.tx.sender, _WHO)}"
        tag = f"tag {quoted(one.row.tag)}" if one.row.tag else ""
        print(f"anchored in block {one.row.height:,} at {when(one.time)}{by}")
        if one.tx is not None:
            deep = counted(one.confirmations, "confirmation")
            text = f"{'':9}tx {id_text(one.tx.txid, full=known.full)}, {deep}"
            print("\n".join(beside(text, tag, indent=9)))
    if len(found) > limit:
        say(f"{len(found) - limit:,} more: {session.command(f'anchor {digest.hex()} --limit {len(found)}')}")
    first = found[0]
    print(f"existed  no later than {when(first.no_later_than)} (block time + {MAX_AHEAD_S} s)")
    print(f"work     {big(first.work)} hashes on top of it")
    if first.tx is not None:
        say(f"take the proof along: {session.command(f'proof make {digest.hex()[:8]}')}")
