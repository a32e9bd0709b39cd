"""What command lines and shells of applications see of a node: a client of a running one, and p2pnode.shells.

    node = connect(home)
    node.call("GET", "/v1/status")["peers"]

HTTP/1.1 over the unix socket in the home. Standard library and attrs only (31 ms to import). Every failure is a
`p2pnode.ui.fail.Fail` with the exit code of the interface; a caller need not look at HTTP.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from p2pnode.paths import Home as Home
from p2pnode.shells import Opened as Opened
from p2pnode.shells import RunningNode as RunningNode
from p2pnode.shells import Shell as Shell
from p2pnode.shells import Terms as Terms
from p2pnode.ui.fail import EXITS, Fail

SOCKET_NAME = "control.sock"
#: A secure PUT is two lookups of 20 s, stores and a read-back; more than that is a node that hangs.
DEFAULT_TIMEOUT_S = 120.0
#: An answer of the node; a table of 20 x 256 contacts is 1 MB.
MAX_ANSWER = 64 * 1024 * 1024
#: sockaddr_un.sun_path holds 108 bytes on Linux and 104 on BSD and macOS, the final NUL included.
_MAX_SUN_PATH = 103


@contextlib.contextmanager
def addressable(path: Path) -> Iterator[str]:
    """A text that names this socket and fits into sockaddr_un, also in a home with a long name.

    Through /proc/self/fd of the folder where the path is too long (Linux); elsewhere Fail.
    """
    if len(os.fsencode(path)) <= _MAX_SUN_PATH:
        yield str(path)
        return
    if not sys.platform.startswith("linux"):
        raise Fail(
            "the path of the control socket is too long for this system",
            facts={"path": str(path), "limit": f"{_MAX_SUN_PATH} bytes", "use": "p2pnode --home SHORTER-DIR …"},
        )
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(home: Path) -> Client:
    """A client of the node that runs on this home. Nothing is contacted before the first call."""
    return Client(home / SOCKET_NAME)


class Client:
    """One request a connection; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Any:
        """The JSON that the node answers. Fail: no_node, timed_out, or what the node says."""
        with self._exchange(method, path, body, query=query, timeout_s=timeout_s) as response:
            try:
                return json.loads(response.read(MAX_ANSWER))
            except TimeoutError:
                raise self._too_slow(timeout_s) from None
            except (ValueError, OSError, http.client.HTTPException) as error:
                raise Fail("the node broke off in its answer", facts={"reason": str(error)}) from None

    def lines(
        self, path: str, *, query: dict[str, str] | None = None, opened: Callable[[], object] = lambda: None
    ) -> Iterator[Any]:
        """The data of each server-sent event, until the node ends or the caller stops.

        `opened` is called once the node has accepted, before the first event."""
        with self._exchange("GET", path, None, query=query, timeout_s=None) as response:
            opened()
            try:
                for line in response:
                    if line.startswith(b"data:"):
                        yield json.loads(line[5:])
            except (OSError, http.client.HTTPException):
                return

    def is_alive(self) -> bool:
        """True if something accepts connections there."""
        try:
            self._dial(timeout_s=1.0).close()
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        query: dict[str, str] | None,
        timeout_s: float | None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._connected(timeout_s)  # so HTTPConnection does not dial
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            try:
                data = None if body is None else json.dumps(body)
                # hypercorn keeps what may carry another request for 5 s after its client has gone.
                headers = {"Connection": "close"}
                if data is not None:
                    headers["Content-Type"] = "application/json"
                connection.request(method, target, body=data, headers=headers)
                response = connection.getresponse()
            except TimeoutError:
                raise self._too_slow(timeout_s) from None
            except (OSError, http.client.HTTPException) as error:
                raise Fail(
                    "the node closed the connection without an answer",
                    facts={"reason": str(error) or type(error).__name__, "look": "p2pnode doctor"},
                ) from None
            if response.status >= 400:
                raise _failure_of(response)
            yield response
        finally:
            connection.close()

    def _connected(self, timeout_s: float | None) -> socket.socket:
        try:
            return self._dial(timeout_s=timeout_s)
        except (TimeoutError, BlockingIOError):
            raise self._too_slow(timeout_s) from None
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise Fail(
                "no node is running here",
                code="no_node",
                facts={
                    "looked for": str(self.path),
                    "start one": "p2pnode run            (or name another: p2pnode --home DIR …)",
                },
            ) from None
        except OSError as error:
            raise Fail(
                "the control socket cannot be used",
                facts={"socket": str(self.path), "reason": error.strerror or str(error)},
            ) from None

    def _dial(self, *, timeout_s: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if timeout_s is not None:
                # Blocking, with a bound: a non-blocking connect to a busy unix socket fails at once with EAGAIN.
                timeval = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
            with addressable(self.path) as address:
                connection.connect(address)
            connection.settimeout(timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection

    def _too_slow(self, timeout_s: float | None) -> Fail:
        return Fail(
            f"the node did not answer within {timeout_s:g} s" if timeout_s else "the node did not answer",
            code="timed_out",
            facts={"socket": str(self.path)} | _process_of(self.path),
        )


def _process_of(control: Path) -> dict[str, str]:
    """Which process does not answer, and how to end or wake it; its number is the first line of node.lock."""
    try:
        pid = int(control.with_name("node.lock").read_bytes()[:32].partition(b"\n")[0])
    except (OSError, ValueError):
        return {"see whose it is": f"fuser '{control}'"}
    if _is_stopped(pid):
        return {"process": f"{pid}, stopped by a signal (Ctrl-Z?)", "let it go on": f"kill -CONT {pid}"}
    return {"process": str(pid), "end it": f"kill {pid}            (kill -9 {pid} if that does not help)"}


def _is_stopped(pid: int) -> bool:
    """proc(5): the state follows the name, which is in parentheses and may hold anything. Linux only; else False."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] == b"T"
    except OSError:
        return False


def _failure_of(response: http.client.HTTPResponse) -> Fail:
    text = response.read(MAX_ANSWER)
    try:
        error = json.loads(text)["error"]
        code, message = str(error["code"]), str(error["message"])
        facts = {str(label): str(value) for label, value in error.get("facts", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return Fail("the node answered what this program does not understand", facts={"status": str(response.status)})
    return Fail(message, code=code if code in EXITS else "failed", facts=facts)


# --- for command lines of applications -----------------------------------------------------


class Session(Protocol):
    """`click.pass_obj` gives it to a command: what was said before the verb."""

    @property
    def home(self) -> Home: ...

    def node(self) -> Client:
        """The running node of this home; nothing is contacted before the first call."""
        ...

    def command(self, words: str) -> str:
        """A command line that a person can paste: with --home if this one had it."""
        ...


def ask_app(
    session: Session, app: str, command: str, args: dict[str, Any], *, what: str, without: str,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Any:  # fmt: skip
    """The answer of an application of the running node. Fail: what it says, or what the node does.

    `what`, as a person calls it, does not run in a node that was started `without` it."""
    try:
        return session.node().call("POST", f"/v1/apps/{app}/{command}", args, timeout_s=timeout_s)["answer"]
    except Fail as failure:
        if failure.code == "not_found" and failure.what.startswith("no application"):
            facts = {"it was started without": without, "start it with": session.command("run")}
            raise Fail(f"{what} does not run in this node", code=failure.code, facts=facts) from None
        raise


class DemoPeer(Protocol):
    """A peer of `p2pnode demo`: a step of an application (entry points p2pnode.demo) gets all of them, and `say`.

    The first line of its docstring is its title; it raises Fail if what it shows did not happen."""

    @property
    def number(self) -> int: ...
    @property
    def home(self) -> Path: ...
    @property
    def node(self) -> Client: ...
