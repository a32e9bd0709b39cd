"""`python -m tests.support.shifted_clock SECONDS WORDS...`: p2pnode with a wall clock that is wrong by so much.

The monotonic clock is left alone, as when a machine's clock is set.
"""

from __future__ import annotations

import sys
import time

from p2pnode.cli.main import main


def _shift(seconds: int) -> None:
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + seconds * 1_000_000_000


if __name__ == "__main__":
    _shift(int(sys.argv[1]))
    main(sys.argv[2:])
