"""A program that people use, as Debian 12 has it, fetches from a node on its LAN: qBittorrent, with libtorrent 2.0.

Not Transmission 3.00 and aria2 1.36, which it has, too: neither reads any hybrid .torrent, libtorrent's
no more than ours. The one refuses the empty key of a file tree, the other makes another SHA-1 of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.disk_rig import make_tree, tree_at
from tests.support.netns import HostNode, Lan, until

pytestmark = [pytest.mark.needs("root", "ip", "qbittorrent-nox")]

#: A daemon starts, looks around, announces itself: seconds. Its tick and its choking: more of them.
WITHIN_S = 180
LENGTHS = {"film.bin": 5 * (1 << 20) + 77, "small": 3, "sub/Übung.txt": 16_385, "sub/two": 300_000}

_QBITTORRENT = """[LegalNotice]
Accepted=true
[BitTorrent]
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\BTProtocol=TCP
Session\\Encryption=2
[Preferences]
WebUI\\Enabled=false
General\\Locale=en
"""


def write_tree(folder: Path) -> Path:
    return make_tree(folder, {name: random.Random(name).randbytes(length) for name, length in LENGTHS.items()})


@asynccontextmanager
async def program(lan: Lan, host: int, *argv: str) -> AsyncIterator[None]:
    """It runs on that host as long as the context is open; its folder is HOME."""
    line = ["ip", "netns", "exec", lan.name(host), "env", f"HOME={lan.folder}", *argv]
    log = lan.folder / "program.log"
    with log.open("wb") as out:
        process = await trio.lowlevel.open_process(line, stdout=out, stderr=out)
    try:
        yield
    except BaseException as error:
        error.add_note(f"{argv[0]} said:\n{log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def fetched(got: Path, tree: Path) -> None:
    wanted = tree_at(tree)
    await until(lambda: got.exists() and tree_at(got) == wanted, within_s=WITHIN_S, what=f"all of {got} is there")


def ask(node: HostNode, command: str, **args: object) -> dict[str, object]:
    answer: dict[str, object] = node.call("POST", f"/v1/apps/files/{command}", args)["answer"]
    return answer


async def test_qbittorrent_fetches_by_the_link_of_a_v2_share(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "shared" / "Share")
    settings = tmp_path / "qbt" / "qBittorrent" / "config" / "qBittorrent.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(_QBITTORRENT)
    with Lan(hosts=2, folder=tmp_path) as lan:
        async with lan.node(0) as node:
            shared = await trio.to_thread.run_sync(lambda: ask(node, "share", path=str(tree)))
            assert "urn:btih" not in str(shared["link"])
            argv = [f"--profile={tmp_path / 'qbt'}", f"--save-path={tmp_path / 'got'}", str(shared["link"])]
            async with program(lan, 1, "qbittorrent-nox", *argv):
                await fetched(tmp_path / "got" / "Share", tree)
            status = await trio.to_thread.run_sync(lambda: ask(node, "status", share=shared["id"]))
            # Zeros behind the ends of files are given, too, where libtorrent 2.0 asks for them: less than a block each.
            assert 0 <= status["uploaded"] - sum(LENGTHS.values()) <= len(LENGTHS) * 16_384
