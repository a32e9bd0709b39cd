"""`p2pnode stop`: ends the node of this home and waits until it is gone."""

from __future__ import annotations

import os
import select
import time

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import fail
from p2pnode.ui.render import print_json, say

#: Goodbyes to peers and the last write take well under a second.
PATIENCE_S = 15.0


@click.command(epilog=examples("p2pnode stop", "p2pnode --home ~/other stop"))
@json_option
@pass_session
def stop(session: Session, as_json: bool) -> None:
    """Have the node say goodbye to its peers, write what is left, and end. Returns when the process is gone."""
    pid = session.node().call("POST", "/v1/stop", {}, timeout_s=10)["pid"]
    if not ended(pid, within_s=PATIENCE_S):
        fail("the node is still ending", code="timed_out", process=str(pid), end_it_at_once=f"kill -9 {pid}")
    if as_json:
        print_json({"v": 1, "stopped": True})
    else:
        say("stopped")


def ended(pid: int, *, within_s: float) -> bool:
    """Wait for a process that is not a child of this one."""
    if hasattr(os, "pidfd_open"):  # Linux: readable at its end, even while its parent has not reaped it
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        except OSError:
            return _polled(pid, within_s)  # a kernel before 5.3
        try:
            return bool(select.select([descriptor], [], [], within_s)[0])
        finally:
            os.close(descriptor)
    return _polled(pid, within_s)


def _polled(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
