"""`p2pnode completion`: the script that a shell reads at start."""

from __future__ import annotations

import os
from pathlib import Path

import click

from p2pnode.cli.session import examples
from p2pnode.ui.fail import fail

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        "p2pnode completion bash >> ~/.bashrc",
        "p2pnode completion zsh >> ~/.zshrc",
        "p2pnode completion fish > ~/.config/fish/completions/p2pnode.fish",
    )
)
@click.argument("shell", metavar="[SHELL]", required=False, type=click.Choice(_SHELLS))
def completion(shell: str | None) -> None:
    """Print the completion script of SHELL: bash, zsh or fish (by default the one in $SHELL)."""
    from click.shell_completion import get_completion_class

    from p2pnode.cli.main import cli

    name = shell or Path(os.environ.get("SHELL", "")).name
    chosen = get_completion_class(name)
    if name not in _SHELLS or chosen is None:
        fail(f"no completion for the shell {name!r}", code="usage", known=", ".join(_SHELLS))
    template = chosen(cli, {}, "p2pnode", "_P2PNODE_COMPLETE")
    # Not .source(): for bash that first runs bash to learn its version.
    print(template.source_template % template.source_vars())
