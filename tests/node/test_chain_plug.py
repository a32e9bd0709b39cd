"""The chain as a node opens it: what it leaves in the file for those who read that alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import trio

from apps.chain.core.app import Chain
from apps.chain.core.facts import LIGHT_NOTE
from apps.chain.core.limits import DIGEST_EVERY
from apps.chain.core.summary import Summary
from apps.chain.shell import plug
from apps.chain.shell.plug import ChainShell
from apps.chain.shell.schema import FILE_NAME, DiskError
from apps.chain.shell.telling import Teller
from apps.chain.shell.view import open_view
from overlay.errors import LocalError
from p2pnode.api import Terms
from tests.support.chain_folder import write_chain
from tests.support.chains import PARAMS


def terms(*, light: bool, **more: Any) -> Terms:
    return Terms(False, False, bytes(32), 0, light, **more)


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


def test_a_node_that_prunes_forgets_old_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plug, "of_network", lambda *_: PARAMS)
    write_chain(tmp_path, 300)

    async def main() -> None:
        with open_view(tmp_path / FILE_NAME) as view:
            good = view.actives(7, 7)[0].id
        with pytest.raises(DiskError, match="another block than --assume-valid names"):
            async with ChainShell().open(tmp_path, terms(light=False, assume_valid=(7, bytes(32)))):
                pass
        asked = terms(light=False, prune=290, assume_valid=(7, good))
        async with ChainShell().open(tmp_path, asked) as opened:
            chain = opened.app
            assert isinstance(chain, Chain)
            assert (chain.keep, chain.params.assume_valid) == (290, (7, good))
            left, summary = chain.operations["prune"]()
            assert (left, Summary(*summary).kept_from) == (0, 11)
        with pytest.raises(LocalError, match="288 blocks are always kept"):
            async with ChainShell().open(tmp_path, terms(light=False, prune=100)):
                pass

    trio.run(main)
    with open_view(tmp_path / FILE_NAME) as view:
        kept = [view.block(row.id) is not None for row in view.actives(0, 300)]
    assert kept == [True, *[False] * 10, *[True] * 290]


def test_a_node_digests_its_state_for_others_to_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plug, "of_network", lambda *_: PARAMS)
    write_chain(tmp_path / "theirs", DIGEST_EVERY)
    write_chain(tmp_path / "ours", DIGEST_EVERY - 1)
    with open_view(tmp_path / "theirs" / FILE_NAME) as view:
        tip = view.tip()
        raw = view.block(tip.id)

    async def main() -> None:
        async with ChainShell().open(tmp_path / "ours", terms(light=False)) as opened:
            chain = opened.app
            assert isinstance(chain, Chain)
            _, begun = chain.operations["open"]()
            assert Summary(*begun).digest == b""
            _, summary = chain.operations["blocks"]((raw,), (), (b"",), 1000 * tip.time)
            told = Summary(*summary)
            assert (told.mark_height, told.mark, len(told.digest)) == (DIGEST_EVERY, tip.id, 32)

    trio.run(main)


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
