"""`p2pnode chain status`."""

from __future__ import annotations

import click

from apps.chain.cli.node.asking import ask, rows
from p2pnode.api import Session
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, print_fields, print_json


@click.command(epilog=examples("p2pnode chain status", "p2pnode chain status --json | jq .height"))
@json_option
@click.pass_obj
def status(session: Session, as_json: bool) -> None:
    """Show how far this node's copy of the chain is, what waits, and who else keeps it."""
    found = ask(session, "status")
    if as_json:
        print_json({"v": 1} | found)
        return
    from apps.chain.cli.explorer.texts import size_text, when

    whole = "headers alone" if found["light"] else "all of it"
    whole = f"blocks from height {found['kept_from']:,} on" if found.get("kept_from") else whole
    state = "up to date" if found["synced"] else "no peer was asked yet" if not found["peers"] else "catching up"
    state = "behind" if found.get("trouble") else state
    trouble = [("TROUBLE", found["trouble"])] if found.get("trouble") else []
    if deep := found.get("deep_reorg"):
        text = f"{deep['depth']:,} blocks above height {deep['fork']:,} do not count any more, since "
        text += f"{when(deep['at_ms'] // 1000)}; payments in them may be gone: p2pnode chain wallet show"
        trouble.append(("REWRITTEN", text))
    print_fields([
        ("chain", f"{found['chain_id']}, {whole}"),
        ("tip", f"{found['height']:,}  {found['tip'][:16]}…  {when(found['time'])}"),
        ("headers", f"{found['headers']:,}"),
        ("difficulty", f"{found['difficulty']:,} hashes a block"),
        ("mempool", f"{counted(found['mempool'], 'transaction')}, {size_text(found['mempool_bytes'])}"),
        ("peers", f"{found['peers']}, {state}"),
        *(row for label, text in trouble for row in rows(label, text)),
    ])  # fmt: skip
