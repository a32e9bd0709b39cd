"""How many datagrams a second one address may have us look at."""

from __future__ import annotations

from overlay.limits import MAX_ADDRESSES_METERED, MAX_DATAGRAMS_PER_ADDRESS_S
from overlay.runtime.address import LOOPBACK, Address
from overlay.runtime.ports import SECOND


class Meter:
    """Counts per address (IPv6: per /64, which one host owns) in windows of a second.

    Loopback is not metered: hundreds of peers share its one address, and its
    processes can take the processor in easier ways.
    """

    __slots__ = ("_counts", "_window")

    def __init__(self) -> None:
        self._window = -1
        self._counts: dict[bytes, int] = {}

    def allows(self, source: Address, now_ns: int) -> bool:
        if source.scope is LOOPBACK:
            return True
        window = now_ns // SECOND
        if window != self._window:
            self._window = window
            self._counts.clear()
        group = source.ip[:8]
        count = self._counts.get(group, 0)
        if count >= MAX_DATAGRAMS_PER_ADDRESS_S:
            return False
        if count or len(self._counts) < MAX_ADDRESSES_METERED:
            self._counts[group] = count + 1
        return True
