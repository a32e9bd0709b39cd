"""The key of a home as command lines read, copy and take it over: an identity, and a wallet. PEM, PKCS#8, Ed25519."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p2pnode.ui.fail import fail

if TYPE_CHECKING:
    from overlay.identity.keys import KeyPair
    from p2pnode.paths import Home

#: Read by `run` too, so that a service can start.
PASSPHRASE_VARIABLE = "P2PNODE_PASSPHRASE"
STDIO = "-"


def own_key(home: Home) -> KeyPair:
    """Asks for the passphrase if it has one. Fail (not_found) if there is no key."""
    from p2pnode.keyfile import load_key, needs_passphrase

    path = home.key
    if not path.exists():
        fail("this home has no identity yet", code="not_found", looked_for=str(path), make_one="p2pnode id new")
    return load_key(path, passphrase=ask_passphrase() if needs_passphrase(path) else None)


def take_over(home: Home, file: Path, command: str) -> KeyPair:
    """The key in a file, or on stdin (`-`), becomes that of the home. Fail if that has one. `command`: this one."""
    from p2pnode.keyfile import MAX_SECRET, parse_key, save_key

    home.check()
    refuse_second(home, command)
    pem = sys.stdin.buffer.read(MAX_SECRET) if str(file) == STDIO else _read(file, MAX_SECRET)
    secret = ask_passphrase() if b"ENCRYPTED" in pem else None
    pair = parse_key(pem, name="stdin" if str(file) == STDIO else str(file), passphrase=secret)
    save_key(home.make().key, pair, passphrase=secret)
    return pair


def copy_key(pair: KeyPair, file: Path, *, passphrase: str | None) -> None:
    """To a new file (0600), or to stdout (`-`)."""
    from overlay.identity.pem import to_pem
    from p2pnode.keyfile import save_key

    if str(file) == STDIO:
        sys.stdout.buffer.write(to_pem(pair, passphrase=passphrase))
        sys.stdout.buffer.flush()
    else:
        save_key(file.absolute(), pair, passphrase=passphrase)


def refuse_second(home: Home, command: str) -> None:
    if os.path.lexists(home.key):
        fail(
            "this home has an identity, and a key is never overwritten", key=str(home.key),
            use_another_home=f"p2pnode --home DIR {command}",
        )  # fmt: skip


def ask_passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    return _asked(again=False) if given is None else given


def new_passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None:
        given = _asked(again=True)
    if not given:
        fail("the passphrase is empty", code="usage")
    return given


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        fail("the key file cannot be read", code="usage", file=str(file), reason=error.strerror or str(error))


def _asked(*, again: bool) -> str:
    if not _has_terminal():
        fail(
            "a passphrase is needed, and there is no terminal to ask at", code="usage",
            give_it=f"{PASSPHRASE_VARIABLE} in the environment",
        )  # fmt: skip
    return str(click.prompt("passphrase", hide_input=True, confirmation_prompt=again, err=True))


def _has_terminal() -> bool:
    """As getpass looks for one: that of the process first, so that stdin may be a key."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True
