"""Entry point: parses the line, runs one command, turns every end into a text and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from p2pnode.cli.session import Session, examples
from p2pnode.ui import ends
from p2pnode.ui.lazy import PLUGINS, Lazy, LazyGroup

_DAILY = "Daily"
_SUBSYSTEMS = "Subsystems"
_COMMANDS = "p2pnode.cli.commands"

LAZY = {
    "run": Lazy(f"{_COMMANDS}.run:run", "Run a node here until Ctrl-C.", _DAILY),
    "status": Lazy(f"{_COMMANDS}.status:status", "Who the node is and whether it is connected.", _DAILY),
    "stop": Lazy(f"{_COMMANDS}.stop:stop", "Have the node leave the network and end.", _DAILY),
    "demo": Lazy(f"{_COMMANDS}.demo:demo", "Start real peers on this machine and show what they do.", _DAILY),
    "doctor": Lazy(f"{_COMMANDS}.doctor:doctor", "Check what usually goes wrong, and say what to do.", _DAILY),
    "ticket": Lazy(f"{_COMMANDS}.ticket:ticket", "One line that another node joins with.", _DAILY),
    "peers": Lazy(f"{_COMMANDS}.peers:peers", "List, show and ping peers.", _SUBSYSTEMS),
    "dht": Lazy(f"{_COMMANDS}.dht:dht", "Store and find records.", _SUBSYSTEMS),
    "replay": Lazy(f"{_COMMANDS}.replay:replay", "Feed a recording of a node to a fresh core.", _SUBSYSTEMS),
    "topic": Lazy(f"{_COMMANDS}.topic:topic", "Publish to all who subscribe a topic, and listen.", _SUBSYSTEMS),
    "app": Lazy(f"{_COMMANDS}.app:app", "Applications of the node: list, ask, and what they emit.", _SUBSYSTEMS),
    "id": Lazy(f"{_COMMANDS}.id:id_group", "The identity of this home: show, new, export, import.", _SUBSYSTEMS),
    "network": Lazy(f"{_COMMANDS}.network:network", "Make the key of a private network.", _SUBSYSTEMS),
    "config": Lazy(f"{_COMMANDS}.config:config", "Show and check settings, list files.", _SUBSYSTEMS),
    "completion": Lazy(f"{_COMMANDS}.completion:completion", "Completion for bash, zsh and fish.", _SUBSYSTEMS),
}


def _version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import p2pnode

        print(f"p2pnode {p2pnode.__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=LAZY,
    plugins=PLUGINS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "p2pnode run             on two machines of one network: they find each other",
        "p2pnode dht put hello --name greeting",
        "p2pnode demo --once     five peers on this machine, a tour, and an end",
    ),
)
@click.option("--home", metavar="DIR", help="Folder of the node (else P2PNODE_HOME, else the user's data folder).")
@click.option("-v", "--verbose", count=True, help="Say more; -vv says all, -vvv what libraries say too.")
@click.option("--log-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the log there too.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it and exit.")
@click.pass_context
def cli(ctx: click.Context, home: str | None, verbose: int, log_file: Path | None) -> None:
    """A peer-to-peer node: run one, and use it.

    Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 no node running, 4 not found,
    5 not verified, 6 timed out, 130 Ctrl-C.
    """
    ctx.obj = Session(home, verbose, log_file)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    sys.exit(int(run_line(list(sys.argv[1:] if argv is None else argv))))


def run_line(args: list[str]) -> int:
    """Run one command line and return its exit code; everything that it says is already printed."""
    return ends.run_line(cli, "p2pnode", args)


if __name__ == "__main__":
    main()
