"""The chain as a node opens it: what it leaves in the file for those who read that alone."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio

from apps.chain.core.facts import LIGHT_NOTE
from apps.chain.shell.plug import ChainShell
from apps.chain.shell.schema import FILE_NAME
from apps.chain.shell.telling import Teller
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


def test_the_log_says_once_that_nothing_can_be_written_and_when_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="apps.chain.shell.telling")
    teller = Teller()
    for _ in range(3):
        teller.hear("trouble", {"error": "the disk is full (file: /home/ada/chain.db)"})
    teller.hear("block", {"height": 9, "block": b"", "txs": 0})
    teller.hear("block", {"height": 10, "block": b"", "txs": 0})
    teller.hear("reorg", {"deep": False, "depth": 2, "fork": 8})
    teller.hear("reorg", {"deep": True, "depth": 7, "fork": 3})
    told = [record.getMessage() for record in caplog.records]
    assert told[:2] == [
        "the chain: the disk is full (file: /home/ada/chain.db)", "the chain goes on, at height 9"
    ]  # fmt: skip
    assert len(told) == 3
    assert "7 blocks above height 3" in told[2]
