"""How often Python looks for cycles while a swarm runs."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

#: New objects between two looks (700 by default, of which a datagram makes some 20), and looks of the young between
#: two of the middle-aged. Hardly any cycles are made, and nearly all that lives stays: at 2,000 nodes a quarter of
#: the processor's time went into looking at it again and again. What waits for a look is below 20 MB.
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
