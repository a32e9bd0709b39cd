"""What a machine does for its peer beside the network, and how long it takes: compute, operate, the disk.

A peer never sees an effect of its own call within that call, and no disk or processor is infinitely fast:
that would hide every race.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from overlay.errors import LocalError, OverlayError
from overlay.runtime.ports import MS, Compute, Failed, Ok, Operate, Outcome
from simulations.host import Host

#: One pass over a byte in ns: 500 MB/s, SHA-256 without instructions for it, or a cheap SSD.
BYTE_NS: Final = 2
#: To hand work to a thread and back, in ns: measured for a trio thread, 118 us.
_HAND_OVER_NS: Final = 100_000


def compute_cost(function: str, args: tuple[Any, ...]) -> int:
    """ns on a worker, by the bytes of the arguments; the same for every function."""
    return _HAND_OVER_NS + BYTE_NS * bytes_in(args)


def bytes_in(value: object) -> int:
    """All bytes in nested tuples and lists."""
    match value:
        case bytes() | bytearray() | memoryview():
            return len(value)
        case tuple() | list():
            return sum(map(bytes_in, value))
    return 0


@attrs.frozen(slots=True, kw_only=True)
class Delays:
    """How long the machine below a peer takes, in ns."""

    #: One sqlite transaction in the WAL, without fsync.
    commit_ns: int = 2 * MS
    #: fsync of a consumer SSD.
    sync_ns: int = 8 * MS
    #: An operation beside its bytes, in and out.
    operate_ns: int = MS
    #: (function, args) -> time on one of the two virtual workers.
    compute_ns: Callable[[str, tuple[Any, ...]], int] = compute_cost


@attrs.define(slots=True, eq=False)
class Disk:
    """A disk that does not do what it should: commits and syncs fail, after so many more that go well.

    What failed is not lost from memory: the next commit that works covers it, as in p2pnode's store.
    """

    #: What the outcome says.
    trouble: str
    #: Writes that still go well.
    good: int = 0
    #: Writes that fail, then it is well again; None: all that follow.
    bad: int | None = None

    def fails(self) -> bool:
        """Asked once for each write."""
        if self.good > 0:
            self.good -= 1
            return False
        if self.bad is None:
            return True
        self.bad -= 1
        return self.bad >= 0


@attrs.frozen(slots=True)
class Work:
    """`functions` serve Compute and `operations` Operate by name; an operation gets the index of its node first."""

    delays: Delays
    functions: Mapping[str, Callable[..., Any]]
    operations: Mapping[str, Callable[..., Any]]

    def compute(self, host: Host, effect: Compute, now_ns: int) -> tuple[int, Outcome]:
        """(time of its end, outcome): the worker that is free first takes it."""
        outcome = _outcome_of(self.functions, effect.function, effect.args)
        free = host.workers_free_ns
        worker = free.index(min(free))
        free[worker] = max(now_ns, free[worker]) + self.delays.compute_ns(effect.function, effect.args)
        return free[worker], outcome

    def operate(self, host: Host, effect: Operate, now_ns: int) -> tuple[int, Outcome]:
        outcome = _outcome_of(self.operations, effect.operation, (host.index, *effect.args))
        moved = bytes_in(effect.args) + (bytes_in(outcome.value) if isinstance(outcome, Ok) else 0)
        return now_ns + self.delays.operate_ns + BYTE_NS * moved, outcome

    def write(self, host: Host, mark: int, *, sync: bool) -> Outcome:
        """The end of a Commit or Sync that covers all before `mark`."""
        disk = host.disk
        if disk is not None and disk.fails():
            host.storage.forget(mark)
            return Failed("failed", f"the store could not write: {disk.trouble}")
        if sync:
            host.storage.sync(mark)
        else:
            host.storage.commit(mark)
        return Ok()


def _outcome_of(registry: Mapping[str, Callable[..., Any]], name: str, args: tuple[Any, ...]) -> Outcome:
    if name not in registry:
        raise LocalError(f"nothing is registered as {name!r}")
    try:
        return Ok(registry[name](*args))
    except OverlayError as error:
        return Failed("failed", str(error))
    except Exception as error:  # as p2pnode.driver: the application hears of it
        return Failed("failed", f"{type(error).__name__}: {error}")
