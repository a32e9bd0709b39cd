"""Links as scenarios name them. Latencies are integers from tables, for libm may differ between machines."""

from __future__ import annotations

import attrs

from overlay.runtime.ports import MS
from simulations.network import LAN, MILLION, Link
from simulations.scenario import LinkSpec

_PROFILES = {
    #: Processes of one machine, each busy with other things: a fifth of a millisecond to two.
    "loopback": Link(latency_ns=(200_000, 2 * MS)),
    "lan": LAN,
    #: Two continents: 20 to 120 ms one way.
    "wan": Link(latency_ns=(20 * MS, 120 * MS)),
}


def link_of(spec: LinkSpec) -> Link:
    link = _PROFILES[spec.profile]
    if spec.latency_ms is not None:
        low, high = spec.latency_ms
        link = attrs.evolve(link, latency_ns=(round(low * MS), round(high * MS)))
    return attrs.evolve(
        link, loss_ppm=_ppm(spec.loss), duplicate_ppm=_ppm(spec.duplicate), reorder_ppm=_ppm(spec.reorder)
    )


def _ppm(share: float) -> int:
    return round(share * MILLION)
