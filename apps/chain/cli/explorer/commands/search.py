"""`chain-explorer search`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, full_option, lines_option, pass_session
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples
from p2pnode.ui.render import cut, print_json, print_table, say

if TYPE_CHECKING:
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.explorer.search import Hit

#: Columns that are left for a tag.
_TAG = 34


@click.command(epilog=examples("chain-explorer search b5bb", "chain-explorer search edge-3 --json | jq -r .found"))
@click.argument("what")
@click.option("--limit", type=click.IntRange(1, 5), default=5, show_default=True, metavar="N", help="Of each kind.")
@full_option
@lines_option
@pass_session
def search(session: Session, what: str, limit: int, full: bool, as_json: bool) -> None:
    """Find whatever is called WHAT or begins so: heights, blocks, transactions, accounts, names, anchored digests and
    tags. Four characters at least."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer.search import search as look

    with session.chain() as chain:
        hits = look(chain, what, limit=limit)
        if as_json:
            for hit in hits:
                print_json(objects.hit(chain, hit))
        elif hits:
            rows = [(hit.kind.value, _found(chain, hit, full=full), _where(hit), _next(chain, hit))
                    for hit in hits]  # fmt: skip
            print_table(("KIND", "FOUND", "WHERE", "LOOK"), rows, full=full)
    if not hits:
        fail(f"nothing in this chain is called {what!r}, or begins so", code="not_found",
             needed="four characters or more of an id, address, key, name, digest or tag")  # fmt: skip
    if as_json:
        return
    if any(sum(other.kind is hit.kind for other in hits) == limit for hit in hits):
        say("there may be more: type more of it")


def _found(chain: Chain, hit: Hit, *, full: bool) -> str:
    from apps.chain.cli.explorer.texts import id_text, quoted, shortened
    from apps.chain.core.explorer.search import Kind

    match hit.kind:
        case Kind.ADDRESS:
            return shortened(chain.address(hit.found), full=full)
        case Kind.NAME:
            return hit.found.decode("ascii")
        case Kind.TAG:
            return quoted(hit.found) if full else cut(quoted(hit.found), _TAG)
    return id_text(hit.found, full=full)


def _where(hit: Hit) -> str | None:
    from apps.chain.core.explorer.search import Kind

    if hit.height is None:
        return "side branch" if hit.kind is Kind.BLOCK else None
    return f"{hit.height:,}" + (f"/{hit.pos}" if hit.pos is not None else "")


def _next(chain: Chain, hit: Hit) -> str:
    from apps.chain.core.explorer.search import Kind

    text = hit.found.hex()[:8]
    match hit.kind:
        case Kind.HEIGHT:
            return f"block {hit.height}"
        case Kind.ADDRESS:
            return f"address {chain.address(hit.found)[:12]}"
        case Kind.NAME:
            return "name, or address"
        case Kind.TAG:
            return f"block {hit.height} --txs"
    return f"{hit.kind.value} {text}"
