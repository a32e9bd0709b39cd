"""The step of `p2pnode demo` that shows the chain."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from apps.chain.cli.explorer.texts import credits_text
from apps.chain.core.limits import CREDIT
from p2pnode.api import DemoPeer
from p2pnode.ui.fail import Fail

#: A block of such a network takes a tenth of a second of a free processor, and four are needed.
_PATIENCE_S = 90.0
_LOOK_S = 0.1
_PAID = 5 * CREDIT // 2
_BLOCKS = 4
_THREADS = 2
#: Words of a command line that are shown in part.
_LONG = 32
_Say = Callable[[str], None]


def mine_and_pay(peers: Sequence[DemoPeer], say: _Say) -> None:
    """mine here, pay and anchor there, and look at it from a third

    The first peer mines until a reward can be spent, pays the second and anchors a file; the last one has seen it."""
    first, second, last = peers[0], peers[1], peers[-1]
    began = time.monotonic()
    _ask(first, "mine_start", threads=_THREADS)
    say(f"   peer {first.number}   p2pnode chain mine start --threads {_THREADS}")
    _until(first, "no block of its own that it may spend", lambda: _balance(first) > _PAID + CREDIT)
    balance, height = _balance(first), _ask(first, "status")["height"]
    say(f"            {height} blocks and {credits_text(balance)} credits in {time.monotonic() - began:.1f} s")
    address = _ask(second, "address")["address"]
    paid = _ask(first, "send", to=address, amount=_PAID, memo="demo")["tx"]
    say(f"   peer {first.number}   p2pnode chain send {address[:12]}… {credits_text(_PAID)}")
    path = first.home / "report.txt"
    path.write_text("all is well\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    anchored = _ask(first, "anchor", digest=digest, tag="demo")["tx"]
    say(f"   peer {first.number}   p2pnode chain anchor report.txt")
    for peer in (second, last):
        _until(peer, "does not see both in a block", lambda peer=peer: _has(peer, paid) and _has(peer, anchored))  # type: ignore[misc]
    _ask(first, "mine_stop")
    if (got := _balance(second)) != _PAID:
        raise Fail(f"peer {second.number} has {credits_text(got)} credits, not {credits_text(_PAID)}")
    say(f"   peer {second.number}   p2pnode chain wallet show:   {credits_text(got)} credits")
    _explore(last, say, "blocks", "--limit", str(_BLOCKS))
    _explore(last, say, "anchor", digest)


def _balance(peer: DemoPeer) -> int:
    return int(_ask(peer, "account")["balance"])


def _has(peer: DemoPeer, tx: str) -> bool:
    """Whether it is in a block of the chain that this peer keeps."""
    try:
        return bool(_ask(peer, "tx", tx=tx)["confirmations"])
    except Fail as failure:
        if failure.code != "not_found":
            raise
        return False


def _until(peer: DemoPeer, what: str, condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + _PATIENCE_S:
            status = _ask(peer, "status")
            facts = {"its chain": f"height {status['height']}, {status['peers']} peers, {status['mempool']} wait"}
            raise Fail(f"peer {peer.number}: {what} within {_PATIENCE_S:g} s", code="timed_out", facts=facts)
        time.sleep(_LOOK_S)


def _explore(peer: DemoPeer, say: _Say, *line: str) -> None:
    """What chain-explorer prints of the chain of this peer."""
    program = [sys.executable, "-m", "apps.chain.cli.explorer.main", "--home", str(peer.home)]
    ran = subprocess.run([*program, *line], capture_output=True, text=True, timeout=_PATIENCE_S)
    if ran.returncode:
        raise Fail(f"chain-explorer fails on peer {peer.number}", facts={"it said": ran.stderr.strip()})
    words = [word if len(word) < _LONG else f"{word[:12]}…" for word in line]
    say(f"   peer {peer.number}   chain-explorer {' '.join(words)}")
    for text in ran.stdout.splitlines():
        say(f"   {text}")


def _ask(peer: DemoPeer, command: str, **args: Any) -> Any:
    return peer.node.call("POST", f"/v1/apps/chain/{command}", args, timeout_s=_PATIENCE_S)["answer"]
