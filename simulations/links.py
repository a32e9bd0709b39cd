"""How datagrams fare between two nodes: delay, loss, order, size.

Integers only, for libm may differ between machines; probabilities in parts per million.
"""

from __future__ import annotations

from typing import Final

import attrs

from overlay.errors import LocalError
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS

MILLION: Final = 1_000_000
#: Ethernet's 1,500 bytes less 40 (IPv6) and 8 (UDP).
ETHERNET_PAYLOAD: Final = 1452

#: One way in ns, from the region of the sender to that of the receiver.
Table = tuple[tuple[int, ...], ...]


def _share(link: Link, attribute: attrs.Attribute[int], value: int) -> None:
    if not 0 <= value <= MILLION:
        raise LocalError(f"{attribute.name} is {value}: expected parts per million, 0 to {MILLION}")


def _span(link: Link, attribute: attrs.Attribute[tuple[int, int]], value: tuple[int, int]) -> None:
    if not 0 <= value[0] <= value[1]:
        raise LocalError(f"{attribute.name} is {value}: expected two times in ns, the lesser one first")


@attrs.frozen(slots=True, kw_only=True)
class Bursts:
    """Loss that comes in bursts: the chain of two states of Gilbert (1960) and Elliott (1963).

    The access line of a node is good or bad and may change with each datagram that it sends; `Link.loss_ppm`
    is for the good state.
    """

    #: Chance that a good line turns bad before the next datagram, and the other way round.
    begin_ppm: int = attrs.field(validator=_share)
    end_ppm: int = attrs.field(validator=_share)
    #: Loss while it is bad.
    loss_ppm: int = attrs.field(default=MILLION, validator=_share)


@attrs.frozen(slots=True, kw_only=True)
class Link:
    """What lies between two nodes, in either direction."""

    #: Delay in ns, uniform between the two. Each datagram draws its own, so a wide range reorders what is not sent at
    #: one instant.
    latency_ns: tuple[int, int] = attrs.field(default=(20 * MS, 120 * MS), validator=_span)
    #: Added to it, by the regions of the two.
    table: Table | None = None
    loss_ppm: int = attrs.field(default=0, validator=_share)
    bursts: Bursts | None = None
    #: Datagrams that arrive twice, each with a delay of its own.
    duplicate_ppm: int = attrs.field(default=0, validator=_share)
    #: Datagrams held back by `reorder_ns` more, so that later ones overtake them.
    reorder_ppm: int = attrs.field(default=0, validator=_share)
    reorder_ns: tuple[int, int] = attrs.field(default=(50 * MS, 500 * MS), validator=_span)
    #: Longer payloads are lost without notice: IPv6 routers do not fragment, and the "too big" is often filtered.
    mtu: int = ETHERNET_PAYLOAD

    def delay(self, sender: int, receiver: int, rng: Rng) -> int:
        """For one datagram between these regions."""
        return self.transit(sender, receiver, rng) + self.held_back(rng)

    def transit(self, sender: int, receiver: int, rng: Rng) -> int:
        low, high = self.latency_ns
        delay = low if low == high else rng.between(low, high)
        return delay if self.table is None else delay + self.table[sender][receiver]

    def held_back(self, rng: Rng) -> int:
        """So much longer, so that others overtake it."""
        if self.reorder_ppm and rng.below(MILLION) < self.reorder_ppm:
            return rng.between(*self.reorder_ns)
        return 0


INTERNET: Final = Link()
#: A switched LAN: a fifth of a millisecond to one, hardly any loss.
LAN: Final = Link(latency_ns=(200_000, MS))
