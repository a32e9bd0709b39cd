"""Peers of the demo: each a process with a home of its own, talked to through the control API."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from p2pnode.api import Client, connect
from p2pnode.ui.fail import Fail

#: A process imports for half a second on a small machine; twenty start at once on two cores.
START_S = 60.0
#: Nodes say goodbye and flush well within this.
LEAVE_S = 10.0
POLL_S = 0.02
#: Last bytes of a log that are shown when a peer ends at once.
_TAIL = 2000


@attrs.define(slots=True, eq=False)
class DemoPeer:
    number: int
    home: Path
    network: str
    process: subprocess.Popen[bytes] | None = None
    #: Known once it runs.
    id: str = ""
    ticket: str = ""

    @property
    def node(self) -> Client:
        return connect(self.home)

    def start(self, *, join: Sequence[str] = ()) -> None:
        """Start the process; `wait_ready` waits for it."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = [sys.executable, "-m", "p2pnode.cli.main", "--home", str(self.home), "run", "--no-lan"]
        line += ["--listen", "127.0.0.1:0", "--network", self.network, "--puzzle-bits", "0"]
        line += [word for ticket in join for word in ("--join", ticket)]
        # Settings of the user's own node are not for these.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("P2PNODE_")}
        with (self.home / "node.log").open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the tour, which then ends its peers itself.
            self.process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
            )

    def wait_ready(self) -> None:
        def answers() -> bool:
            self._still_runs()
            try:
                status = self.node.call("GET", "/v1/status", timeout_s=5)
            except Fail as failure:
                if failure.code != "no_node":
                    raise
                return False
            self.id, self.ticket = status["id"], status["ticket"]
            return True

        wait_until(answers, within_s=START_S, what=f"peer {self.number} does not serve")

    def _still_runs(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            log = (self.home / "node.log").read_bytes()[-_TAIL:].decode(errors="replace").strip()
            raise Fail(
                f"peer {self.number} ended with exit code {self.process.returncode}",
                facts={"it said": log or "nothing", "log": str(self.home / "node.log")},
            )

    def kill(self) -> None:
        """kill -9: no goodbye, no flush."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.node.call("GET", "/v1/status", timeout_s=10)
        return status

    @property
    def address(self) -> str:
        return str(self.status()["listen"][0]).partition(" ")[2]

    def sees(self) -> dict[str, str]:
        """Id and address of the peers that answered it."""
        return {peer["id"]: peer["address"] for peer in self.node.call("GET", "/v1/peers", timeout_s=10)["peers"]}


def wait_until(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Ask again and again; Fail with `what` if it does not come true."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise Fail(f"{what} within {within_s:g} s", code="timed_out")
        time.sleep(POLL_S)


def leave_all(peers: Sequence[DemoPeer]) -> None:
    """SIGTERM to all, then wait; what does not end is killed, and all are at a second Ctrl-C."""
    running = [peer for peer in peers if peer.process is not None]
    deadline = time.monotonic() + LEAVE_S
    try:
        for peer in running:
            assert peer.process is not None
            peer.process.terminate()
        for peer in running:
            assert peer.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                peer.process.wait(timeout=max(0.1, deadline - time.monotonic()))
    finally:
        for peer in running:
            peer.kill()


def stop_earlier(folder: Path) -> int:
    """End the peers that earlier demos left running below `folder`, and remove their homes. How many ran."""
    from p2pnode.cli.commands.stop import ended

    count = 0
    for home in _homes(folder):
        try:
            pid = connect(home).call("POST", "/v1/stop", {}, timeout_s=5)["pid"]
        except Fail as failure:
            if failure.code != "no_node":
                raise
            continue
        ended(pid, within_s=LEAVE_S)
        count += 1
    shutil.rmtree(folder, ignore_errors=True)
    return count


def _homes(folder: Path) -> Iterator[Path]:
    yield from sorted(path.parent for path in folder.glob("*/*/node.log"))
