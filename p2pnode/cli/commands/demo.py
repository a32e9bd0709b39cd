"""`p2pnode demo`: starts the peers, gives the tour, leaves them running or not."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from p2pnode.cli.session import Session, examples, pass_session
from p2pnode.ui.fail import Exit
from p2pnode.ui.render import counted, print_json, say

if TYPE_CHECKING:
    from p2pnode.cli.demo.peers import DemoPeer


@click.command(epilog=examples("p2pnode demo", "p2pnode demo --peers 10 --once", "p2pnode demo --stop"))
@click.option("--peers", "count", default=5, show_default=True, type=click.IntRange(3, 20), help="How many.")
@click.option("--once", is_flag=True, help="End them after the tour and remove their homes.")
@click.option("--stop", is_flag=True, help="End the peers that earlier demos left running; no tour.")
@click.option("--json", "as_json", is_flag=True, help="Only the last line on stdout; the tour goes to stderr.")
@pass_session
def demo(session: Session, count: int, once: bool, stop: bool, as_json: bool) -> int:
    """Start real peers as processes on this machine and show what they do.

    Discovery; put here, get there; overwriting refused; kill one and get again; restart it. They talk over UDP on
    127.0.0.1, in a network of their own, with homes below this one. The last line on stdout is JSON:
    {"v": 1, "ok": …, "steps": [{"name", "ok", "ms"}, …]}.
    """
    from p2pnode.cli.demo.peers import DemoPeer, leave_all, stop_earlier
    from p2pnode.cli.demo.tour import Tour

    folder = session.home.make().dir / "demo"
    if stop:
        ended = stop_earlier(folder)
        say(f"{counted(ended, 'peer')} ended")
        if as_json:
            print_json({"v": 1, "ok": True, "ended": ended})
        return Exit.OK
    signal.signal(signal.SIGTERM, _end)  # as Ctrl-C: the peers must not outlive an aborted tour
    network = f"demo-{os.urandom(4).hex()}"
    root = folder / network
    peers = [DemoPeer(number, root / str(number), network) for number in range(1, count + 1)]
    tell = say if as_json else _print
    ok = keep = False
    try:
        tell(f"a demo of p2pnode: {count} peers, network {network}")
        steps = Tour(peers, network, tell).run()
        ok = all(step.ok for step in steps)
        keep = ok and not once
    finally:
        if not keep:
            leave_all(peers)
            if ok:
                shutil.rmtree(root, ignore_errors=True)
    if keep:
        _tell_how_to_go_on(session, peers, tell)
    elif not ok:
        tell(f"\nthe logs are in {root}")
    tell("\nok: every step did what it says" if ok else "\nnot ok")
    print_json({"v": 1, "ok": ok, "steps": [step.as_json() for step in steps]})
    return Exit.OK if ok else Exit.FAILED


def _tell_how_to_go_on(session: Session, peers: list[DemoPeer], tell: Callable[[str], None]) -> None:
    tell(f"\nthe {len(peers)} peers keep running. Talk to them:")
    tell(f"   p2pnode --home {peers[0].home} peers")
    tell(f"   p2pnode --home {peers[2].home} dht get {peers[1].id[:9]}/greeting")
    tell("join them from another terminal:")
    tell(f"   p2pnode --home DIR run --listen 127.0.0.1:0 --network {peers[0].network} --puzzle-bits 0 \\")
    tell(f"       --join {peers[0].ticket}")
    tell("end them all:")
    tell(f"   {session.command('demo --stop')}")


def _print(text: str) -> None:
    print(text, flush=True)


def _end(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
