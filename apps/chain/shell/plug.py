"""The chain in a node: the core on its disk, and its miner. The entry point `chain` of p2pnode.apps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import attrs
import trio

from apps.chain.core.app import Chain
from apps.chain.core.books import OPERATIONS, Books
from apps.chain.core.facts import LIGHT_NOTE, NOTE, encode_params
from apps.chain.core.limits import DIGEST_EVERY
from apps.chain.core.networks import of_network
from apps.chain.core.params import Params
from apps.chain.core.pruning import check_keep
from apps.chain.shell.mining import mine
from apps.chain.shell.opening import open_chain
from apps.chain.shell.schema import FILE_NAME, DiskError
from apps.chain.shell.store import SqliteStore
from apps.chain.shell.telling import tell
from overlay.errors import LocalError
from p2pnode.api import Opened, RunningNode, Terms


class ChainShell:
    """A p2pnode.api.Shell."""

    def bare(self, terms: Terms) -> Chain:
        return Chain(_params(terms), dict.fromkeys(OPERATIONS, _no_disk), light=terms.light, keep=terms.prune)

    @asynccontextmanager
    async def open(self, folder: Path, terms: Terms) -> AsyncIterator[Opened]:
        params = _params(terms)
        if terms.prune:
            check_keep(terms.prune)
        store = await trio.to_thread.run_sync(partial(_opened, folder / FILE_NAME, params, light=terms.light))
        try:
            books = Books(
                store, params, light=terms.light, keep=terms.prune, digest_every=DIGEST_EVERY, pace=store.pace
            )
            chain = Chain(params, books.operations(), light=terms.light, keep=terms.prune)
            yield Opened(chain, tell if terms.light else _beside)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(store.close)


async def _beside(node: RunningNode) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, node)
        nursery.start_soon(mine, node)


def _params(terms: Terms) -> Params:
    return attrs.evolve(of_network(terms.network_id, terms.puzzle_bits), assume_valid=terms.assume_valid)


def _opened(path: Path, params: Params, *, light: bool) -> SqliteStore:
    """The newest blocks are looked at. It says which chain it is, and whether that is headers alone: whoever reads the
    file alone cannot know."""
    store = open_chain(path, params).store
    try:
        _check_assumed(path, store, params)
        for name, said in ((NOTE, encode_params(params)), (LIGHT_NOTE, b"1" if light else b"")):
            if store.note(name) != said:
                store.begin()
                store.put_note(name, said)
                store.commit()
    except BaseException:
        store.close()
        raise
    return store


def _check_assumed(path: Path, store: SqliteStore, params: Params) -> None:
    height, block = params.assume_valid or (0, b"")
    here = store.active(height) if block else None
    if here is not None and here.id != block:
        raise DiskError("the chain that is here has another block than --assume-valid names", {
            "file": str(path), "height": str(height), "here": here.id.hex(), "named": block.hex(),
            "if the one here is wrong": f"stop the node, move {path.name} away, start it: it comes back from peers",
            "if the other one is": "p2pnode run, without --assume-valid",
        })  # fmt: skip


def _no_disk(*_: object) -> NoReturn:
    raise LocalError("this is a replay: there is no disk")
