"""`p2pnode doctor`: one page about this machine, each line with what to do."""

from __future__ import annotations

import resource
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from p2pnode.cli import checks
from p2pnode.cli.checks import Row
from p2pnode.cli.session import Session, examples, json_option, on_home, pass_session
from p2pnode.ui.fail import Exit, Fail
from p2pnode.ui.render import PLAIN_WIDTH, counted, is_fancy, print_json, say

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
            _print(row, session)
        say("nothing stands in the way" if ok else "something stands in the way: see the lines with fail")
    return Exit.OK if ok else Exit.FAILED


def _rows(session: Session) -> list[Row]:
    from p2pnode.config_load import load
    from p2pnode.paths import HomeError

    home = session.home
    try:
        home.check()
    except HomeError as error:
        return [checks.failed("home", error)]
    try:
        config = load(home)
    except HomeError as error:
        details = "; ".join(text for label, text in error.facts.items() if label != "all settings")
        text = f"{error.what}: {details}" if details else error.what
        return [Row("settings", "fail", text, session.command("config check"))]
    status, row = _node(session)
    listen = config.listen if not status else status["listen"]
    listen_port = int(listen[0].rpartition(":")[2])
    return [
        Row("home", "ok", str(home.dir)),
        row,
        _identity(home, config) if not status else _identity_in_use(status, config),
        *([] if status is not None else [_store(home.db)]),
        *([] if status is not None else checks.port(config.listen, chosen="listen" in config.sources)),
        *checks.multicast(_own_addresses()),
        checks.firewall(listen_port),
        checks.files(hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        checks.clock(now=time.time(), newest_write=_written(home.db)),
        *checks.disk(home.dir),
    ]


def _node(session: Session) -> tuple[dict[str, Any] | None, Row]:
    """What a running node says of itself: None if there is none, empty if it does not say."""
    try:
        status = session.node().call("GET", "/v1/status", timeout_s=5)
    except Fail as failure:
        if failure.code == "no_node":
            return None, Row("node", "ok", "not running", session.command("run"))
        return {}, checks.failed("node", failure)
    text = f"running, {counted(status['peers'], 'peer')}, {status['table']} in the table"
    return status, Row("node", "ok" if status["peers"] else "warn", text, "" if status["peers"] else "p2pnode peers")


def _identity_in_use(status: dict[str, Any], config: Config) -> Row:
    """`run --puzzle-bits` and `--network` may say other than the settings; the ticket says what is so."""
    from overlay.errors import LocalError
    from overlay.identity.node_id import node_id_of
    from overlay.identity.puzzle import solves
    from overlay.wire.ticket import parse_ticket

    try:
        bits = parse_ticket(status["ticket"]).puzzle_bits
    except LocalError:  # of a newer version
        bits = config.network.puzzle_bits
    return checks.key(bits=bits, solves=solves(node_id_of(bytes.fromhex(status["key"])), bits))


def _store(path: Path) -> Row:
    if not path.exists():
        return Row("store", "ok", "none yet; the first run makes one")
    from p2pnode.store import check_store

    error = check_store(path)
    return Row("store", "ok", "every page of it can be read") if error is None else checks.failed("store", error)


def _identity(home: Home, config: Config) -> Row:
    bits = config.network.puzzle_bits
    if not home.key.exists():
        return checks.key(bits=bits, solves=None)
    from overlay.identity.node_id import node_id_of
    from overlay.identity.puzzle import solves
    from p2pnode.keyfile import KeyFileError, load_key, needs_passphrase

    try:
        if needs_passphrase(home.key):
            return Row("identity", "ok", "the key is there, encrypted")
        pair = load_key(home.key)
    except KeyFileError as error:
        return checks.failed("identity", error)
    return checks.key(bits=bits, solves=solves(node_id_of(pair.key), bits))


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


def _print(row: Row, session: Session) -> None:
    state = f"{row.state:<4}"
    if is_fancy():
        state = click.style(state, fg=_COLOURS[row.state])
    indent = f"{'':<4}  {'':<9}  "
    first, *rest = textwrap.wrap(row.text, PLAIN_WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    print(f"{state}  {row.name:<9}  {first}")
    for line in rest:
        print(indent + line)
    if row.next:  # whole, however long: it is to be pasted
        print(f"{indent}next: {on_home(row.next, session.home_option)}")
