"""Regions of the world and the delays between them.

Round trips are averages over 10 January to 8 February 2026 between the regions of one cloud provider
(github.com/ibm-cloud-docs/vpc, _include-segments/network-latency.md, "Inter-region latency"), the mean of
both directions, rounded to 1 ms. Within a region: to its second city in the same table (Washington - Toronto,
Frankfurt - Madrid, Tokyo - Osaka, Dallas - Washington); the other three have one city there and get 30 ms, as
the widest of these. Africa is not in the source.
"""

from __future__ import annotations

from typing import Final

from overlay.runtime.ports import MS
from simulations.links import Table

NAMES: Final = (
    "North America, east", "North America, south", "South America", "Europe", "India", "East Asia", "Australia",
)  # fmt: skip

#: Round trips in ms: Washington, Dallas, Sao Paulo, Frankfurt, Chennai, Tokyo, Sydney.
ROUND_TRIP_MS: Final = (
    (20, 32, 125, 86, 235, 140, 214),
    (32, 32, 144, 123, 247, 143, 184),
    (125, 144, 30, 201, 361, 283, 324),
    (86, 123, 201, 30, 138, 239, 251),
    (235, 247, 361, 138, 30, 111, 125),
    (140, 143, 283, 239, 111, 9, 115),
    (214, 184, 324, 251, 125, 115, 30),
)

#: One way in ns; a route is taken to be as long in either direction.
ONE_WAY_NS: Final[Table] = tuple(tuple(ms * MS // 2 for ms in row) for row in ROUND_TRIP_MS)
