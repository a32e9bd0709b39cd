"""Programs that people use fetch from a node on its LAN: qBittorrent of Debian 12, with libtorrent 2.0, and
Transmission 4.1 of Debian 13.

Not Transmission 3.00 and aria2 1.36, which Debian 12 has: neither reads any hybrid .torrent, libtorrent's
no more than ours. The one refuses the empty key of a file tree, the other makes another SHA-1 of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.disk_rig import make_tree, tree_at
from tests.support.netns import ROOT, HostNode, Lan, until

pytestmark = [pytest.mark.needs("root", "ip")]

#: A daemon starts, looks around, announces itself: seconds. Its tick and its choking: more of them.
WITHIN_S = 90
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

#: A Debian 13 (`make trixie`). The folder of the test is mounted in it, until the program ends: `ip netns exec` gives a
#: mount namespace.
_TRIXIE = ROOT / ".cache" / "trixie"
_IN_TRIXIE = 'mount --bind "$0" "$1/mnt" && exec chroot "$@"'
_TRANSMISSION = (
    "transmission-daemon", "--foreground", "--config-dir=/mnt/settings", "--watch-dir=/mnt/watched",
    "--download-dir=/mnt/got", "--lpd", "--no-dht", "--no-utp", "--no-portmap", "--no-auth", "--log-level=debug",
)  # fmt: skip


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
    """All of it, and nothing else but pads (BEP 47), which Transmission 4.1 writes like files."""
    wanted = tree_at(tree)

    def is_there() -> bool:
        return got.exists() and wanted == {
            name: data for name, data in tree_at(got).items() if not name.startswith(".pad")
        }

    await until(is_there, within_s=WITHIN_S, what=f"all of {got} is there")


def ask(node: HostNode, command: str, **args: object) -> dict[str, object]:
    answer: dict[str, object] = node.call("POST", f"/v1/apps/files/{command}", args)["answer"]
    return answer


@pytest.mark.needs("qbittorrent-nox")
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


@pytest.mark.needs("trixie")
async def test_transmission_fetches_by_a_hybrid_torrent(tmp_path: Path) -> None:
    """The .torrent names nobody: they find each other by local service discovery."""
    tree = write_tree(tmp_path / "shared" / "Share")
    there = tmp_path / "transmission"
    (there / "watched").mkdir(parents=True)
    with Lan(hosts=2, folder=tmp_path) as lan:
        # It joins the group of IPv4 at the interface of its default route.
        lan.run(1, "ip", "route", "add", "default", "dev", "eth0")
        async with lan.node(0) as node:
            shared = await trio.to_thread.run_sync(lambda: ask(node, "share", path=str(tree)))
            path = str(there / "watched" / "share.torrent")
            hybrid = await trio.to_thread.run_sync(
                lambda: ask(node, "export", share=shared["id"], path=path, hybrid=True)
            )
            assert "urn:btih" in str(hybrid["link"])
            async with program(lan, 1, "sh", "-c", _IN_TRIXIE, str(there), str(_TRIXIE), *_TRANSMISSION):
                await fetched(there / "got" / "Share", tree)
            status = await trio.to_thread.run_sync(lambda: ask(node, "status", share=hybrid["id"]))
            assert status["uploaded"] >= sum(LENGTHS.values())
