"""How a command fails: what happened, the facts, the next command; and the exit code.

With --json a failure is one object on stdout, {"v": 1, "error": {"code", "message", "facts"}}, and stderr stays
empty; without it the same text goes to stderr. The exit code is the same in both.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from typing import NoReturn


class Exit(enum.IntEnum):
    """Exit codes of every command. They are a contract: scripts branch on them."""

    OK = 0
    #: It was tried and did not work.
    FAILED = 1
    #: The command line is wrong; nothing was contacted.
    USAGE = 2
    #: No node is running on this home.
    NO_NODE = 3
    #: Nobody who was asked has it.
    NOT_FOUND = 4
    #: A signature, a hash or a policy said no.
    NOT_VERIFIED = 5
    #: No answer came in time.
    TIMED_OUT = 6
    #: Ctrl-C: 128 + SIGINT, as shells count.
    INTERRUPTED = 130


#: The codes in JSON and on the control API, and the exit code of each.
EXITS: dict[str, Exit] = {
    "failed": Exit.FAILED,
    "usage": Exit.USAGE,
    "no_node": Exit.NO_NODE,
    "not_found": Exit.NOT_FOUND,
    "not_verified": Exit.NOT_VERIFIED,
    "timed_out": Exit.TIMED_OUT,
    "interrupted": Exit.INTERRUPTED,
}


class Fail(Exception):
    """A command failed and says why. Raised by `fail`, shown by `show`."""

    def __init__(self, what: str, *, code: str = "failed", facts: Mapping[str, str] | None = None) -> None:
        super().__init__(what)
        self.what = what
        #: One of EXITS; a code of a newer node counts as "failed".
        self.code = code
        #: Label and text, in order; the last one is the next command to type.
        self.facts = dict(facts or {})

    @property
    def exit(self) -> Exit:
        return EXITS.get(self.code, Exit.FAILED)


def fail(what: str, *, code: str = "failed", **facts: str) -> NoReturn:
    """Raise a Fail. Keywords become facts, in order: `looked_for="…"` is shown as "looked for"."""
    raise Fail(what, code=code, facts={label.replace("_", " ").strip(): text for label, text in facts.items()})


def as_text(failure: Fail) -> str:
    """
    error: no node is running here
      looked for  /home/ada/.local/share/p2pnode/control.sock
      start one   p2pnode run
    """
    width = max((len(label) for label in failure.facts), default=0)
    lines = [f"error: {failure.what}"]
    for label, text in failure.facts.items():
        first, *rest = text.splitlines() or [""]
        lines.append(f"  {label:<{width}}  {first}")
        lines += [f"  {'':<{width}}  {line}" for line in rest]
    return "\n".join(lines)


def as_object(failure: Fail) -> dict[str, object]:
    """What stands below "error"."""
    return {"code": failure.code, "message": failure.what, "facts": failure.facts}


def as_json(failure: Fail) -> str:
    return json.dumps({"v": 1, "error": as_object(failure)})


def show(failure: Fail, *, as_json_object: bool) -> Exit:
    """Print the failure where it belongs and return the exit code."""
    if as_json_object:
        print(as_json(failure), flush=True)
    else:
        print(as_text(failure), file=sys.stderr, flush=True)
    return failure.exit
