"""An unmodified client of BitTorrent (libtorrent) in this process, and a node that shares files, as a process."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import libtorrent as lt

from tests.support.nodes import NodeProcess

#: On two busy cores.
WITHIN_S = 60.0

_SETTINGS = {
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    # Its own transport and its obfuscation: nodes speak neither, and it takes seconds to give up on the first.
    "enable_outgoing_utp": False, "enable_incoming_utp": False, "in_enc_policy": 2, "out_enc_policy": 2,
    "allow_multiple_connections_per_ip": True, "min_reconnect_time": 1, "alert_mask": 0x7FFFFFFF,
}  # fmt: skip


@contextmanager
def _old_calls() -> Iterator[None]:
    """Its Python binding marks calls as deprecated whose successors are not in it yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@attrs.define(slots=True, eq=False)
class Torrents:
    """One session of libtorrent. What it does is waited for by its alerts."""

    listen: str = "127.0.0.1:0"
    session: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = lt.session({**_SETTINGS, "listen_interfaces": self.listen})

    @property
    def port(self) -> int:
        self.wait(lambda: self.session.listen_port() != 0, what="libtorrent listens")
        return int(self.session.listen_port())

    def fetch(self, magnet: str, folder: Path, node: str) -> Any:
        """Begin a download from the node at "host:port"; its handle."""
        params = lt.parse_magnet_uri(magnet)
        return self._add(params, folder, node)

    def fetch_torrent(self, path: Path, folder: Path, node: str) -> Any:
        with _old_calls():
            params = lt.add_torrent_params()
            params.ti = lt.torrent_info(str(path))
        return self._add(params, folder, node)

    def _add(self, params: Any, folder: Path, node: str) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        with _old_calls():
            params.save_path = str(folder)
            params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
            handle = self.session.add_torrent(params)
            if node:
                host, _, port = node.rpartition(":")
                handle.connect_peer((host, int(port)))
        return handle

    def seed(self, path: Path, piece: int, *, hybrid: bool = False, torrent: Path | None = None) -> Any:
        """Give a file or folder of its own; its handle."""
        with _old_calls():
            files = lt.file_storage()
            lt.add_files(files, str(path))
            creator = lt.create_torrent(files, piece, 0 if hybrid else lt.create_torrent.v2_only)
            lt.set_piece_hashes(creator, str(path.parent))
            data = lt.bencode(creator.generate())
            if torrent is not None:
                torrent.write_bytes(data)
            params = lt.add_torrent_params()
            params.ti = lt.torrent_info(lt.bdecode(data))
        handle = self._add(params, path.parent, "")
        self.wait(lambda: handle.status().is_seeding, what="libtorrent has checked what it seeds")
        return handle

    def finished(self, handle: Any) -> None:
        """Until all of a download is here, on the disk, too."""
        self.wait(lambda: handle.status().is_seeding, what="libtorrent has it all")
        assert handle.status().total_failed_bytes == 0
        with _old_calls():
            self.session.pop_alerts()
            handle.flush_cache()
        self.wait(lambda: any(isinstance(a, lt.cache_flushed_alert) for a in self.session.pop_alerts()), what="flushed")

    def wait(self, condition: Callable[[], bool], *, what: str) -> None:
        end = time.monotonic() + WITHIN_S
        said: list[str] = []
        while not condition():
            assert time.monotonic() < end, f"not within {WITHIN_S:g} s: {what}\n" + "\n".join(said[-50:])
            if self.session.wait_for_alert(100) is not None and not what.startswith("flushed"):
                said += [f"{alert.what()}: {alert.message()}" for alert in self.session.pop_alerts()]
                del said[:-200]

    def close(self) -> None:
        with _old_calls():
            for handle in self.session.get_torrents():
                self.session.remove_torrent(handle)


@attrs.define(slots=True, eq=False)
class FilesNode:
    """A node, asked as the command line asks it."""

    process: NodeProcess

    @property
    def address(self) -> str:
        return self.process.address

    def ask(self, command: str, **args: Any) -> Any:
        return self.process.call("POST", f"/v1/apps/files/{command}", args)["answer"]

    def get(self, folder: Path, **args: Any) -> dict[str, Any]:
        """Fetch all of it; how it stands then."""
        folder.mkdir(parents=True, exist_ok=True)
        share = self.ask("get", folder=str(folder), **args)["id"]
        end = time.monotonic() + WITHIN_S
        while (status := self.ask("status", share=share))["state"] not in ("complete", "failed", "full"):
            assert time.monotonic() < end, f"not within {WITHIN_S:g} s: {status}\n{self.process.log}"
        assert status["state"] == "complete", status
        return dict(status)


@contextmanager
def files_node(home: Path, *options: str) -> Iterator[FilesNode]:
    process = NodeProcess(home, ("--network", "torrents", "--puzzle-bits", "4", *options))
    process.start()
    try:
        process.wait_ready()
        yield FilesNode(process)
    finally:
        process.kill()
