"""`p2pnode chain ...`: what a node writes into the chain. Plugged in by the entry point group `p2pnode.commands`.

Looking is the affair of `chain-explorer`. Command modules import what they need when they run.
"""

from __future__ import annotations

import click

from apps.chain.cli.node.anchor import anchor
from apps.chain.cli.node.mine import mine
from apps.chain.cli.node.name import name
from apps.chain.cli.node.send import send
from apps.chain.cli.node.status import status
from apps.chain.cli.node.wallet import wallet
from p2pnode.ui.options import examples


@click.group(epilog=examples("p2pnode chain wallet show", "p2pnode chain send edge-3 2.5 --wait 1"))
def chain() -> None:
    """Pay, anchor files, claim names and mine on the chain of this network.

    The node must run. Amounts are credits. What the chain says shows `chain-explorer`.
    """


#: In the list of commands a line has 60 letters.
_SHORT = {
    status: "Show how far this node's copy of the chain is.",
    wallet: "The account of this node: its address, balance and key.",
    send: "Pay somebody.",
    anchor: "Have the chain witness that a file exists now.",
    name: "Claim a name for this node, change it, give it back.",
    mine: "Look for blocks, for their reward.",
}
for _command, _help in _SHORT.items():
    _command.short_help = _help
    chain.add_command(_command)
