"""The step of `p2pnode demo` that shows file sharing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from apps.files.cli.asking import short
from p2pnode.api import DemoPeer
from p2pnode.ui.fail import Fail
from p2pnode.ui.sizes import size_text

#: Loopback needs a moment; a machine that is busy with something else may not.
_PATIENCE_S = 60.0
_LOOK_S = 0.02
_BYTES = 5_000_000


def share_and_fetch(peers: Sequence[DemoPeer], say: Callable[[str], None]) -> None:
    """share a file here, fetch it there; then from there alone

    The first peer shares, the second fetches, then the last one does."""
    first, second, last = peers[0], peers[1], peers[-1]
    path = first.home / "film.mkv"
    path.write_bytes(os.urandom(_BYTES))
    shared = _ask(first, "share", path=str(path))
    say(f"   peer {first.number}   p2pnode files share film.mkv")
    say(f"            {size_text(shared['size'])}, {shared['link'][:48]}…")
    _fetch(second, shared, path, say)
    _ask(first, "remove", share=shared["id"])
    say(f"   peer {first.number}   p2pnode files remove {short(shared['id'])}")
    _fetch(last, shared, path, say)


def _fetch(peer: DemoPeer, shared: dict[str, Any], original: Path, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    _ask(peer, "get", link=shared["link"], folder=str(peer.home / "downloads"))
    while (status := _ask(peer, "status", share=shared["id"]))["state"] != "complete":
        if time.monotonic() > began + _PATIENCE_S or status["trouble"]:
            raise Fail(f"peer {peer.number} did not get it", facts={"state": status["state"], **_why(status)})
        time.sleep(_LOOK_S)
    if Path(status["path"]).read_bytes() != original.read_bytes():
        raise Fail(f"peer {peer.number} has another file than was shared")
    say(f"   peer {peer.number}   p2pnode files get magnet:?xt=urn:btmh:1220{short(shared['id'])}…")
    say(f"            the same {size_text(shared['size'])}, verified, in {time.monotonic() - began:.2f} s")


def _why(status: dict[str, Any]) -> dict[str, str]:
    return {"reason": status["trouble"]} if status["trouble"] else {}


def _ask(peer: DemoPeer, command: str, **args: Any) -> Any:
    return peer.node.call("POST", f"/v1/apps/files/{command}", args, timeout_s=_PATIENCE_S)["answer"]
