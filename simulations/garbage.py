"""How often Python looks for cycles while a swarm runs."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

#: New objects between two looks (700 by default, of which a datagram makes some 20), and looks of the young between
#: two of the middle-aged. Hardly any cycles are made, and nearly all that lives stays: looking at it again and again
#: took 8 % of the processor's time at 300 nodes, and the more the more there are. The memory is the same.
_NEW, _YOUNG = 50_000, 20


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Within, looks are rare; afterwards as they were. Changes nothing that a program can see but time and memory."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW, _YOUNG, before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
