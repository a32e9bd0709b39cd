"""When what a command says cannot be written: the reader has enough, the disk is full, nobody listens."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO


def open_closed() -> None:
    """Where the shell gave no stdout or stderr (`>&-`), what is said goes nowhere: else the next file that is opened
    would be taken for it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


def tolerate() -> None:
    """What a stream has no letters for is shown as `?`: no command ends because a terminal speaks ASCII."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        is_utf8 = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
        if reconfigure is not None and (stream.errors == "strict" or not is_utf8):
            reconfigure(errors="replace")


def settle(stream: IO[str]) -> bool:
    """What was said before is written; False if that cannot be, and is given up."""
    try:
        stream.flush()
    except OSError:
        give_up(stream)
        return False
    return True


def give_up(stream: IO[str]) -> None:
    """What is left in it goes nowhere: the interpreter would try again at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())
    finally:
        os.close(null)
    with contextlib.suppress(OSError):
        stream.flush()
