"""How a run ends before its time: by Ctrl-C, or by an exception; and in whose line that was.

An exception that a handler of a signal raises may come out in a task of a peer, whose loop takes it for a failure of
that task. So nothing is raised here: the first Ctrl-C stops the run between two events, the second ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn

from p2pnode.ui.fail import Exit, Fail, fail, show
from p2pnode.ui.render import one_line, say

if TYPE_CHECKING:
    from simulations.swarm import Swarm

_OURS = ("overlay", "p2pnode", "simulations")
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


@contextmanager
def on_ctrl_c(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """While the context is open; what was there before comes back."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopping(swarm: Swarm, *, as_json: bool = False) -> Iterator[None]:
    """Ctrl-C once: the run ends between two events, and what ran is shown and written. Twice: at once."""

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, at_once)
        swarm.stop()
        say("stopping after this event; Ctrl-C again stops at once")

    def at_once(_number: int, frame: FrameType | None) -> None:
        _end_at_once(f"stopped by Ctrl-C at {swarm.now_s:.6f} virtual s", frame, as_json=as_json)

    with on_ctrl_c(stop):
        yield


@contextmanager
def ending_at_once(*, as_json: bool = False) -> Iterator[None]:
    """Ctrl-C ends a command that has nothing to show before its end."""

    def at_once(_number: int, frame: FrameType | None) -> None:
        _end_at_once("stopped by Ctrl-C", frame, as_json=as_json)

    with on_ctrl_c(at_once):
        yield


def _end_at_once(what: str, frame: FrameType | None, *, as_json: bool) -> None:
    facts = {}
    if own := _own_line(frame):
        facts["it was in"] = own
    sys.stdout, sys.stderr = sys.__stdout__ or sys.stdout, sys.__stderr__ or sys.stderr  # not by way of a bar
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K\x1b[?25h")  # which hides the cursor (DECTCEM), and whose line is wiped
    show(Fail(what, code="interrupted", facts=facts), as_json_object=as_json)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Exit.INTERRUPTED)


@contextmanager
def telling(again: str, swarm: Swarm | None = None) -> Iterator[None]:
    """An application that spins, or a part that is the person's own, is no bug of p2pnode."""
    from overlay.errors import LocalError

    try:
        yield
    except Fail:
        raise
    except Exception as error:
        at = "" if swarm is None else f" after {swarm.now_s:.6f} s"
        own = _own_line_of(error.__traceback__)
        if own or isinstance(error, LocalError):
            _tell(error, own, at, again)
        say(f"it broke off{at}; to see it again:\n  {again}")
        raise


def _tell(error: Exception, own: str, at: str, again: str) -> NoReturn:
    from overlay.errors import LocalError

    reason = str(error) if isinstance(error, LocalError) else f"{type(error).__name__}: {error}"
    facts = {"reason": one_line(reason)}
    facts |= {"where": one_line(own)} if own else {}
    facts |= {"when": one_line("; ".join(notes))} if (notes := getattr(error, "__notes__", [])) else {}
    fail(f"the run broke off{at}", code="failed", **facts, again=again)


def _own_line(frame: FrameType | None) -> str:
    """The innermost line that is neither ours nor a library's, and the node that was at work."""
    line, node = "", ""
    while frame is not None:
        if not line and _is_own(frame):
            line = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        if frame.f_code.co_name == "feed" and (host := frame.f_locals.get("host")) is not None:
            node = f", node {host.index}"
        frame = frame.f_back
    return line and line + node


def _own_line_of(trace: TracebackType | None) -> str:
    line = ""
    while trace is not None:
        if _is_own(trace.tb_frame):
            line = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno} in {trace.tb_frame.f_code.co_qualname}"
        trace = trace.tb_next
    return line


def _is_own(frame: FrameType) -> bool:
    module, file = str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename
    if module.partition(".")[0] in _OURS or module == "__main__" or file.startswith("<"):
        return False
    return not file.startswith(_LIBRARIES)
