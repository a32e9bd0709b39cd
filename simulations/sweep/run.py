"""Runs cells: one, or many over processes of this machine.

One cell is one process's work from start to end, so its result does not depend on where or beside what it ran.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event

from simulations.population import Codec
from simulations.sweep.plan import Cell, Plan
from simulations.sweep.rows import VERSION, Row, fault_of

#: Set in the workers of `here` only.
_stop: Event | None = None


class Missing(RuntimeError):
    """A package of the extra `sweep` is not installed."""


class WorkerDied(RuntimeError):
    """A process of the pool was killed, most likely for want of memory."""


def run_cell(plan: Plan, cell: Cell) -> Row:
    """Run one cell; a row with `error` if it crashed, with `interrupted` if it was stopped."""
    from simulations.swarm import Swarm

    row: Row = {
        "v": VERSION, "plan": plan.hash, "cell": cell.name, "settings": dict(cell.values), "seed": cell.seed,
        "command": plan.command(cell),
    }  # fmt: skip
    try:
        end = Swarm(plan.scenario_of(cell), seed=cell.seed, codec=Codec(plan.codec)).run(_look_up)
    except Exception as error:
        return row | {"error": f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()}
    broken = [f"{b.invariant} at {b.at_s:g} s: {b.what}" for b in end.broken]
    claims = [{"name": v.name, "ok": v.ok, "value": v.value, "bound": v.bound} for v in end.verdicts]
    ran: Row = row | {
        "error": None, "interrupted": end.interrupted, "nodes": end.nodes, "virtual_s": end.virtual_s,
        "wall_s": end.wall_s, "events": end.events, "trace_hash": end.trace_hash, "claims": claims, "broken": broken,
        "not_run": list(end.not_run), "measures": end.measures,
    }  # fmt: skip
    fault = fault_of(ran)  # parts of one's own measure what they like
    return ran if fault is None else row | {"error": f"what it measured cannot be kept: {fault}"}


def here(plan: Plan, cells: Sequence[Cell], *, jobs: int) -> Iterator[Row]:
    """Rows as they come, over `jobs` fresh processes. Closed early, it stops what runs. Raises WorkerDied."""
    spawn = multiprocessing.get_context("spawn")  # never fork: the caller may have threads
    stop = spawn.Event()
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_begin, initargs=(stop,)) as pool:
        futures: list[Future[Row]] = [pool.submit(run_cell, plan, cell) for cell in cells]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise WorkerDied(f"one of {jobs} processes was killed, most likely for want of memory") from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(stop: Event) -> None:
    """In each worker. Ctrl-C is the business of the parent, which says when to stop; once it is gone, nobody wants the
    cell."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _look_up(_virtual_s: float) -> None:
    if _stop is not None and _stop.is_set():
        raise KeyboardInterrupt  # Swarm.run takes it for what it is
