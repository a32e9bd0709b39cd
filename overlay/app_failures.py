"""What is reported of an error in an application: its text, and the line of the application in which it came up."""

from __future__ import annotations

from typing import Final

#: What may go wrong in an application and ends no more than what it was about. sys.exit() is among it: an application
#: is not the node. Ctrl-C and the cancelling of tasks are not.
WRONG: Final = (Exception, SystemExit)


def told_of(error: BaseException) -> tuple[tuple[str, str], ...]:
    """Fields of an event: what went wrong, all of it if it is a group, and where the first of it did."""
    leaves = _leaves(error)
    return ("error", "; ".join(map(text_of, leaves))), ("where", _where(leaves[0]))


def text_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]


def _where(error: BaseException) -> str:
    """`chat.py:12 in run`: the innermost line that is not of this package."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        code, module = trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith("overlay."):
            found = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} in {code.co_qualname}"
        trace = trace.tb_next
    return found
