"""`p2pnode network new`: the key of a private network."""

from __future__ import annotations

from pathlib import Path

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.render import print_json, say


@click.group(epilog=examples("p2pnode network new office.key"))
def network() -> None:
    """Make the key of a private network.

    Whoever has the key is a member and reads everything; without it a node does not even see that the network is
    there. Expelling a member means a new key for all others.
    """


@network.command(
    epilog=examples(
        "p2pnode network new office.key",
        "p2pnode run --network office --network-key office.key   on every machine",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
@pass_session
def new(session: Session, file: Path | None, as_json: bool) -> None:
    """Generate a key and write it to FILE (0600, never over another), or to stdout (also with `-`)."""
    import os

    from overlay.identity.network import format_psk, new_psk

    line = format_psk(new_psk(os.urandom))
    if file is None or str(file) == "-":
        print_json({"v": 1, "key": line, "file": None}) if as_json else print(line)
        return
    from p2pnode.keyfile import write_secret

    write_secret(file.absolute(), f"{line}\n".encode())
    if as_json:
        print_json({"v": 1, "key": None, "file": str(file.absolute())})
        return
    say(f"new network key   {file}")
    say("copy it to every machine by a safe way, then there:")
    say(f"  p2pnode run --network NAME --network-key {file}")
