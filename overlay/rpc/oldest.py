"""Makes room in what is remembered of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: So large a share goes at once: one look at all, some milliseconds at 8,192, serves the next hundreds that come.
_SHARE = 16


def forget_oldest(records: dict[K, V], when: Callable[[V], int]) -> None:
    """Drop those with the least `when`; of equals those that came first. `records` is not empty.

    An order by use in the dict itself would have every use take a record out and put it in again, and a dict
    that is used so is twice as large.
    """
    count = max(1, len(records) // _SHARE)
    for key in sorted(records, key=lambda key: when(records[key]))[:count]:
        del records[key]
