"""Who a node is: its key, searched for once, and whether another node on this machine has the same."""

from __future__ import annotations

import hashlib
import logging
from functools import partial

import trio

from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import solves
from p2pnode import keyfile
from p2pnode.paths import Home

log = logging.getLogger(__name__)


async def identity_of(
    home: Home, network: Network, passphrase: str | None, progress: keyfile.Progress | None
) -> tuple[KeyPair, bool]:
    def told(tries: int, expected: int) -> None:
        trio.from_thread.check_cancelled()  # Ctrl-C ends the search
        if progress is not None:
            progress(tries, expected)

    search = partial(keyfile.load_or_create, home.key, network.puzzle_bits, passphrase=passphrase, progress=told)
    pair, is_new = await trio.to_thread.run_sync(search)
    return pair, is_new


def warn_of_the_puzzle(pair: KeyPair, network: Network) -> None:
    if not solves(node_id_of(pair.key), network.puzzle_bits):
        log.warning(
            "this identity does not solve the puzzle of %d bits of network %r: others serve it, but ask it nothing",
            network.puzzle_bits, network.name,
        )  # fmt: skip


def name_here(network: Network, pair: KeyPair) -> str:
    """What all homes with one key on one network share. Hashed: others on this machine can list such names."""
    return hashlib.sha256(b"p2pnode/here/1" + network.network_id + pair.key).hexdigest()
