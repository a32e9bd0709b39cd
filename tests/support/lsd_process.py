"""Local service discovery as processes of their own, for hosts in namespaces. Each prints what it finds.

python -m tests.support.lsd_process ours HASH PORT      apps.files.shell.lsd
python -m tests.support.lsd_process theirs HASH PORT    libtorrent, which takes part in that torrent
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import trio

from apps.files.shell.lsd import serve
from overlay.runtime.address import Address
from p2pnode.transport.interfaces import list_interfaces


async def ours(one: bytes, port: int) -> None:
    async def shares() -> Sequence[bytes]:
        return [one]

    async def found(found: bytes, address: Address) -> None:
        print("found", found.hex(), address, flush=True)

    await serve(shares, port, found, interfaces=list_interfaces)


def theirs(one: bytes, port: int) -> None:
    import libtorrent as lt

    session = lt.session({
        "listen_interfaces": f"0.0.0.0:{port},[::]:{port}", "enable_lsd": True, "enable_dht": False,
        "enable_upnp": False, "enable_natpmp": False, "alert_mask": lt.alert.category_t.all_categories,
    })  # fmt: skip
    params = lt.add_torrent_params()
    params.info_hashes = lt.info_hash_t(lt.sha1_hash(one))
    params.save_path = "."
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    session.add_torrent(params)
    print("listening", flush=True)
    while True:
        session.wait_for_alert(1_000)
        for alert in session.pop_alerts():
            if alert.what() == "lsd_peer":
                print(alert.message(), flush=True)


if __name__ == "__main__":
    side, hash, port = sys.argv[1:]
    if side == "ours":
        trio.run(partial(ours, bytes.fromhex(hash), int(port)))
    theirs(bytes.fromhex(hash), int(port))
