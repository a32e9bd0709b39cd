"""`p2pnode doctor`: one page about this machine, each line with what to do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from p2pnode.cli import checks
from p2pnode.cli.checks import Row
from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import Exit, Fail
from p2pnode.ui.render import counted, is_fancy, print_json, say

if TYPE_CHECKING:
    from p2pnode.config import Config
    from p2pnode.paths import Home

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(epilog=examples("p2pnode doctor", "p2pnode doctor --json | jq '.rows[] | select(.state != \"ok\")'"))
@json_option
@pass_session
def doctor(session: Session, as_json: bool) -> int:
    """Check what usually goes wrong: multicast, firewall, clock, disk, puzzle, port. Exit code 1 if something fails.

    Nothing is sent beyond this machine but one multicast datagram with TTL 1.
    """
    rows = list(_rows(session))
    ok = all(row.state != "fail" for row in rows)
    if as_json:
        print_json({"v": 1, "ok": ok, "rows": [attrs.asdict(row) for row in rows]})
    else:
        for row in rows:
            _print(row)
        say("nothing stands in the way" if ok else "something stands in the way: see the lines with fail")
    return Exit.OK if ok else Exit.FAILED


def _rows(session: Session) -> list[Row]:
    from p2pnode.config import load
    from p2pnode.paths import HomeError

    home = session.home
    try:
        config = load(home)
    except HomeError as error:
        details = "; ".join(text for label, text in error.facts.items() if label != "all settings")
        text = f"{error.what}: {details}" if details else error.what
        return [Row("settings", "fail", text, session.command("config check"))]
    running, row = _node(session)
    listen_port = int(config.listen[0].rpartition(":")[2])
    return [
        Row("home", "ok", str(home.dir)),
        row,
        _identity(home, config),
        *([] if running else checks.port(config.listen, chosen="listen" in config.sources)),
        *checks.multicast(_own_addresses()),
        checks.firewall(listen_port),
        checks.clock(now=time.time(), newest_write=_written(home.db)),
        *checks.disk(home.dir),
    ]


def _node(session: Session) -> tuple[bool, Row]:
    try:
        status = session.node().call("GET", "/v1/status", timeout_s=5)
    except Fail as failure:
        if failure.code == "no_node":
            return False, Row("node", "ok", "not running", session.command("run"))
        return True, Row("node", "fail", failure.what, session.command("stop"))
    text = f"running, {counted(status['peers'], 'peer')}, {status['table']} in the table"
    return True, Row("node", "ok" if status["peers"] else "warn", text, "" if status["peers"] else "p2pnode ticket")


def _identity(home: Home, config: Config) -> Row:
    bits = config.network.puzzle_bits
    if not home.key.exists():
        return checks.key(exists=False, bits=bits, solves=None)
    from overlay.identity.node_id import node_id_of
    from overlay.identity.puzzle import solves
    from p2pnode.keyfile import KeyFileError, load_key, needs_passphrase

    try:
        if needs_passphrase(home.key):
            return Row("identity", "ok", "the key is there, encrypted")
        pair = load_key(home.key)
    except KeyFileError as error:
        return checks.key(exists=True, bits=bits, solves=None, error=error.what)
    return checks.key(exists=True, bits=bits, solves=solves(node_id_of(pair.key), bits))


def _own_addresses() -> list[str]:
    import socket

    from p2pnode.transport.interfaces import list_interfaces

    found = [socket.inet_ntoa(interface.ip) for interface in list_interfaces() if len(interface.ip) == 4]
    return [address for address in found if not address.startswith("127.")]


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _print(row: Row) -> None:
    state = f"{row.state:<4}"
    if is_fancy():
        state = click.style(state, fg=_COLOURS[row.state])
    print(f"{state}  {row.name:<9}  {row.text}")
    if row.next:
        print(f"{'':<4}  {'':<9}  next: {row.next}")
