"""chain-explorer as a person types it, in a home with the chain of tests.support.explored, at a fixed moment."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from overlay.events import AppEvent
from p2pnode.ui.home import find_home
from tests.support.explored import REPORT, Explored, opened
from tests.support.fake_node import FakeNode
from tests.support.serving import serving

#: 12 s after the tip of `grown`.
NOW = 1_767_226_089.0
#: What the running node says: two peers have its tip, one is behind.
TIPS = 2, 1



@attrs.define(slots=True, eq=False)
class Place:
    """A folder to stand in, with a home and a file that is anchored."""

    folder: Path
    home: Path
    world: Explored

    @property
    def data(self) -> Path:
        return find_home(self.home).app_folder("chain")


def make_place(folder: Path, template: Path, like: Explored) -> Place:
    """`template`: a folder with the chain of `like`."""
    home = folder / "home"
    data = find_home(home).app_folder("chain")
    home.mkdir(mode=0o700)
    shutil.copytree(template, data)
    (folder / "report.txt").write_bytes(REPORT)
    return Place(folder, home, opened(data, like))


@contextmanager
def running(place: Place) -> Iterator[tuple[FakeNode, trio.lowlevel.TrioToken]]:
    """A node on the home: three transactions wait, three peers are there."""
    world = place.world
    txs = waiting(world)
    tip = world.tip.hex()
    peers = [{"peer": f"peer-{n}", "height": world.height, "tip": tip} for n in range(TIPS[0])]
    peers += [{"peer": "peer-9", "height": world.height - 1, "tip": "00" * 32}] * TIPS[1]
    peers.append({"peer": "new", "height": None, "tip": None})
    with serving(place.home) as (node, token):
        node.answers["chain", "mempool"] = [
            {"raw": tx.hex(), "seen_ms": int(NOW - 30 + 9 * n) * 1000} for n, tx in enumerate(txs)
        ]
        node.answers["chain", "peers"] = peers
        node.answers["chain", "status"] = {"synced": True, "headers": world.height}
        yield node, token


def waiting(world: Explored) -> list[bytes]:
    """What nobody mined yet. Nonces go on from those of the chain."""
    from apps.chain.core.operations import Anchor
    from tests.support.chains import pay

    nonces = dict(world.nonces)
    txs = [
        world.tx("edge-3", pay("anna", 2_000_000, memo=b"thanks"), fee=900),
        world.tx("cam-1", Anchor(b"\x07" * 32, tag=b"cam-1/12")),
        world.tx("cam-1", pay("edge-3", 300), pay("anna", 200), fee=4_000),
    ]
    world.nonces = nonces
    return txs


def live(place: Place, node: FakeNode, token: trio.lowlevel.TrioToken, *, reorg: bool = False) -> threading.Thread:
    """Once somebody listens: a transaction begins to wait, and a block comes; or another branch takes the place of a
    block that came unheard. The thread is started."""

    def play() -> None:
        trio.from_thread.run(node.until, lambda: node.listeners > 0, trio_token=token)
        if reorg:
            world, fork = place.world, place.world.tip
            world.block()
            world.beside(world.beside(fork, after_s=30).id, after_s=5)
            emit("reorg", depth=1)
            emit("block", height=world.height + 1)
            return
        first = node.answers["chain", "mempool"][0]["raw"]
        emit("tx", tx=_txid(first, place))
        block = place.world.block(bytes.fromhex(first))
        emit("block", height=block.header.height, block=block.id)

    def emit(name: str, **fields: Any) -> None:
        trio.from_thread.run_sync(node.emit, AppEvent("chain", name, tuple(fields.items())), trio_token=token)

    thread = threading.Thread(target=play)
    thread.start()
    return thread


def _txid(tx: str, place: Place) -> bytes:
    from apps.chain.core.tx import decode_tx

    return decode_tx(bytes.fromhex(tx), place.world.make.params.chain_id).txid
