"""A node that ends cleanly gives its stamps back: its next life begins at the clock, not two minutes ahead of it."""

from __future__ import annotations

from pathlib import Path

from overlay.runtime.ports import Now
from p2pnode.config import Config, NetworkConfig
from p2pnode.node import open_node
from p2pnode.paths import Home
from p2pnode.store import open_store

CONFIG = Config(listen=("127.0.0.1:0",), lan=False, network=NetworkConfig(puzzle_bits=0), sources={"listen": "test"})


async def test_a_clean_end_gives_stamps_back(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), CONFIG) as a, open_node(Home(tmp_path / "b"), CONFIG) as b:
        await b.command("join", addresses=[{"address": a.listen[0].split()[1]}])
        stamps = b.driver.peer.endpoint.stamps  # type: ignore[attr-defined]
        last = stamps.take(Now(0, 0))
    # a was asked, so it signed; b said goodbye to it at least.
    store = open_store(tmp_path / "b" / "node.db")
    try:
        stored = int.from_bytes(store.get(b"stamp") or b"", "big")
    finally:
        store.close()
    assert last < stored < last + 60_000
