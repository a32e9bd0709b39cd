"""The process that looks for nonces: `python -m apps.chain.shell.worker`, beside a node and of the least priority.

A JSON object a line. The node says what to work on, always the newest alone:

    {"number", "prefix": hex digits, "difficulty", "pow", "threads", "duty"}     {"number"}: rest
    <- {"number", "nonce": hex digits}      found; then it rests until the next line
    <- {"rate"}                             hashes a second of the last seconds, while it works

It ends when its standard input does, which is when the node does, however that ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import attrs

from apps.chain.core.limits import NONCE_BYTES
from apps.chain.core.work import Pow, search

#: Hashes between two looks at what is wanted: 10 ms of scrypt.
_SLICE = 24
_RATE_S = 2.0
_LEAST_PRIORITY = 19


@attrs.define(slots=True, eq=False)
class Worker:
    """Threads that take what `take` was given last; hashing releases the interpreter for all of them."""

    out: BinaryIO
    _order: dict[str, Any] = attrs.field(factory=dict, init=False)
    _threads: int = attrs.field(default=0, init=False)
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    #: Since the rate was said last; seconds of all threads together, those of rest for the duty included.
    _hashes: int = attrs.field(default=0, init=False)
    _seconds: float = attrs.field(default=0.0, init=False)

    def take(self, order: dict[str, Any]) -> None:
        with self._changed:
            self._order = order
            while self._threads < order.get("threads", 0):
                threading.Thread(target=self._run, args=(self._threads,), daemon=True).start()
                self._threads += 1
            self._changed.notify_all()

    def _run(self, index: int) -> None:
        while True:
            with self._changed:
                while index >= self._order.get("threads", 0):
                    self._changed.wait()
                order = self._order
            self._work(order)

    def _work(self, order: dict[str, Any]) -> None:
        """Until it finds one, or something else is wanted."""
        prefix, difficulty, pow = bytes.fromhex(order["prefix"]), order["difficulty"], Pow(order["pow"])
        # Wherever the threads begin, two of them hash the same with a chance of nothing.
        start = int.from_bytes(os.urandom(NONCE_BYTES), "big")
        while self._order is order:
            began = time.monotonic()
            raw = search(prefix, difficulty, pow, start=start, tries=_SLICE)
            start += _SLICE
            took = time.monotonic() - began
            with self._changed:
                self._count(took * 100 / order["duty"], order["threads"])
                if self._order is not order:
                    return
                if raw is not None:
                    self._say({"number": order["number"], "nonce": raw[-NONCE_BYTES:].hex()})
                    self._order = {"number": order["number"]}
                    return
                if order["duty"] < 100:
                    self._changed.wait(took * (100 - order["duty"]) / order["duty"])

    def _count(self, seconds: float, threads: int) -> None:
        self._hashes += _SLICE
        self._seconds += seconds
        if self._seconds >= _RATE_S * threads:
            self._say({"rate": round(self._hashes * threads / self._seconds)})
            self._hashes, self._seconds = 0, 0.0

    def _say(self, what: dict[str, Any]) -> None:
        try:
            self.out.write(json.dumps(what).encode() + b"\n")
            self.out.flush()
        except OSError:  # the node has gone
            os._exit(0)


def main() -> None:
    # Ctrl-C in a terminal reaches all of its processes; this one ends with its node.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_LEAST_PRIORITY)
    worker = Worker(sys.stdout.buffer)
    for line in sys.stdin.buffer:
        worker.take(json.loads(line))
    os._exit(0)  # threads that hash are not waited for


if __name__ == "__main__":
    main()
