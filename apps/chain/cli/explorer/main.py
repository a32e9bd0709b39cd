"""Entry point of `chain-explorer`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import attrs
import click

from apps.chain.cli.explorer.session import PROGRAM, Session
from p2pnode.ui import ends
from p2pnode.ui.lazy import Lazy, LazyGroup
from p2pnode.ui.options import examples

_LOOK, _STATE, _PROOFS = "Look", "What the chain says", "Check and take along"
_COMMANDS = "apps.chain.cli.explorer.commands"

LAZY = {
    "status": Lazy(f"{_COMMANDS}.status:status", "Tip, work, interval, mempool, sync, last reorg.", _LOOK),
    "blocks": Lazy(f"{_COMMANDS}.blocks:blocks", "The latest blocks.", _LOOK),
    "block": Lazy(f"{_COMMANDS}.blocks:block", "One block, by height, id or time.", _LOOK),
    "tx": Lazy(f"{_COMMANDS}.txs:tx", "One transaction.", _LOOK),
    "address": Lazy(f"{_COMMANDS}.address:address", "Balance and history of an account.", _LOOK),
    "watch": Lazy(f"{_COMMANDS}.watch:watch", "Blocks and transactions as they come.", _LOOK),
    "mempool": Lazy(f"{_COMMANDS}.mempool:mempool", "Transactions that wait in the running node.", _LOOK),
    "search": Lazy(f"{_COMMANDS}.search:search", "Whatever is called so, or begins so.", _LOOK),
    "anchor": Lazy(f"{_COMMANDS}.anchor:anchor", "Since when do a file or a digest exist?", _STATE),
    "forks": Lazy(f"{_COMMANDS}.forks:forks", "Branches beside the chain, and changes of branch.", _LOOK),
    "stats": Lazy(f"{_COMMANDS}.stats:stats", "Figures over the newest blocks, and plots.", _LOOK),
    "name": Lazy(f"{_COMMANDS}.names:name", "Whose a name is, and until when.", _STATE),
    "names": Lazy(f"{_COMMANDS}.names:names", "All names, or those of an account.", _STATE),
    "evidence": Lazy(f"{_COMMANDS}.evidence:evidence", "Who was convicted of breaking rules.", _STATE),
    "supply": Lazy(f"{_COMMANDS}.supply:supply", "How many credits there are, and who has them.", _STATE),
    "verify": Lazy(f"{_COMMANDS}.verify:verify", "Check the chain from its bytes.", _PROOFS),
    "proof": Lazy(f"{_COMMANDS}.proof:proof", "Make a proof, and check one without a node.", _PROOFS),
    "export": Lazy(f"{_COMMANDS}.export:export", "Blocks, transactions, headers, histories as CSV or JSON.", _PROOFS),
    "decode": Lazy(f"{_COMMANDS}.decode:decode", "What bytes are, and which rule they break.", _PROOFS),
}


@click.group(
    cls=LazyGroup,
    lazy=LAZY,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "chain-explorer status",
        "chain-explorer block -1 --txs        the newest block and its transactions",
        "chain-explorer anchor report.pdf     since when does this file exist?",
        "chain-explorer --data FOLDER verify  without a node",
    ),
)
@click.option("--home", metavar="DIR", help="Folder of the node (else P2PNODE_HOME, else the user's data folder).")
@click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path), help="A folder with a chain; no node is asked."
)
@click.option("-v", "--verbose", is_flag=True, expose_value=False, help="Of a bug, say where.")
@click.version_option(package_name="p2pnode", prog_name=PROGRAM)
@click.pass_context
def cli(ctx: click.Context, home: str | None, data: Path | None) -> None:
    """Look into the chain of a network: blocks, accounts, names, anchors, proofs.

    Reads the folder of a node, whether that runs or not; what only a running node knows (mempool, peers) is asked of
    it. Nothing is ever written. Exit codes: 0 ok, 1 failed, 2 usage, 3 no node and no chain, 4 not found, 5 not
    verified, 6 timed out, 130 Ctrl-C.
    """
    if home is not None and data is not None:
        raise click.UsageError("--home and --data are two ways to say where the chain is")
    ctx.obj = attrs.evolve(ctx.ensure_object(Session), home=home, data=data)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    sys.exit(int(run_line(list(sys.argv[1:] if argv is None else argv))))


def run_line(args: list[str], *, session: Session | None = None) -> int:
    """Run one command line and return its exit code; everything that it says is already printed."""
    return ends.run_line(cli, PROGRAM, args, obj=session)


if __name__ == "__main__":
    main()
