"""The chain as a node opens it: what it leaves in the file for those who read that alone."""

from __future__ import annotations

from pathlib import Path

import trio

from apps.chain.core.facts import LIGHT_NOTE
from apps.chain.shell.plug import ChainShell
from apps.chain.shell.schema import FILE_NAME
from apps.chain.shell.view import open_view
from p2pnode.api import Terms


def terms(*, light: bool) -> Terms:
    return Terms(False, False, bytes(32), 0, light)


def open_once(folder: Path, *, light: bool) -> None:
    async def main() -> None:
        async with ChainShell().open(folder, terms(light=light)):
            pass

    trio.run(main)


def test_the_file_says_whether_it_is_headers_alone(tmp_path: Path) -> None:
    for light in (True, False, True):
        open_once(tmp_path, light=light)
        with open_view(tmp_path / FILE_NAME) as view:
            assert view.note(LIGHT_NOTE) == (b"1" if light else b"")
