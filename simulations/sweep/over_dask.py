"""Runs cells over machines, by dask.distributed (https://distributed.dask.org)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from simulations.sweep.plan import Cell, Plan
from simulations.sweep.rows import Row
from simulations.sweep.run import Missing, run_cell

#: A scheduler on the other side of the world answers in one; one that is about to start has the rest.
PATIENCE_S = 10
_SCHEMES = ("tcp", "tls", "ws", "wss")


class Unreachable(RuntimeError):
    """No scheduler answers at that address; `reason`."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what)
        self.reason = reason


class Lost(RuntimeError):
    """The scheduler, or the workers that had a cell, are gone."""


def place_of(scheduler: str) -> tuple[str, int] | None:
    """Host and port of `tcp://host:8786`, `tls://[::1]:8786`, or without the scheme; None if it is no address."""
    try:
        parts = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    is_plain = not (parts.path or parts.query or parts.fragment or parts.username) and parts.scheme in _SCHEMES
    is_plain = is_plain and scheduler.isprintable() and " " not in scheduler
    return (host, port) if host and port and is_plain else None


def by_dask(
    plan: Plan, cells: Sequence[Cell], *, jobs: int, scheduler: str | None, tell: Callable[[str], object]
) -> Iterator[Row]:
    """Rows as they come, over the workers of a dask scheduler, or of a local cluster of `jobs` processes.

    The workers need the same p2pnode. `tell` hears what is waited for. Closed early, what no worker has begun is not
    begun. Raises Missing, Unreachable, Lost.
    """
    try:
        import distributed as untyped
        from distributed.utils import silence_logging_cmgr
    except ImportError:
        raise Missing("dask.distributed is not installed: pip install 'p2pnode[sweep]'") from None
    distributed: Any = untyped
    with ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))  # what is lost is raised here
        if scheduler is not None:
            tell(f"asking the scheduler at {scheduler}, which has {PATIENCE_S} s to answer")
            client = _client(distributed, scheduler)
            if not client.nthreads():
                tell("it has no workers yet: cells run once one comes (dask worker ADDRESS)")
        else:
            cluster = distributed.LocalCluster(
                n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            )  # fmt: skip
            stack.callback(cluster.close)
            client = distributed.Client(cluster)
        stack.callback(client.close, timeout=PATIENCE_S)
        futures = [client.submit(run_cell, plan, cell, pure=False) for cell in cells]
        stack.callback(_cancel, client, futures)
        for future in distributed.as_completed(futures):
            yield _result(future, scheduler)


def _client(distributed: Any, scheduler: str) -> Any:
    """A Client waits for ever for a greeting (distributed 2026.8) and hides why nobody can be reached. So this looks
    first who is there."""

    async def greet() -> None:
        arguments = distributed.Security().get_connection_args("client")
        comm = await distributed.comm.connect(scheduler, timeout=PATIENCE_S, **arguments)
        comm.abort()

    place = place_of(scheduler)
    assert place is not None
    try:
        socket.create_connection(place, PATIENCE_S).close()
        asyncio.run(asyncio.wait_for(greet(), PATIENCE_S))
        return distributed.Client(scheduler, timeout=PATIENCE_S)
    except Exception as error:  # whatever listens there may answer anything
        raise Unreachable(f"no dask scheduler answers at {scheduler}", _reason(error)) from None


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"nothing was said there in {PATIENCE_S} s"
        case OSError(strerror=str(text)):
            return text
    return f"{type(error).__name__}: {error}"


def _result(future: Any, scheduler: str | None) -> Row:
    from concurrent.futures import CancelledError

    try:
        return future.result()  # type: ignore[no-any-return]
    except CancelledError:  # by distributed itself, when the connection is gone
        raise Lost(f"the scheduler{'' if scheduler is None else f' at {scheduler}'} is gone") from None
    except Exception as error:  # run_cell raises nothing: a worker died, or has another p2pnode
        raise Lost(f"the workers could not run a cell: {type(error).__name__}: {error}") from None


def _cancel(client: Any, futures: Sequence[Any]) -> None:
    with suppress(Exception):  # nobody is there any more who could be told
        client.cancel(futures)
