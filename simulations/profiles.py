"""Links as scenarios name them."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.runtime.ports import MS
from simulations.links import LAN, MILLION, Bursts, Link
from simulations.regions import ONE_WAY_NS
from simulations.scenario import LinkSpec

PROFILES: Final = {
    #: Processes of one machine, each busy with other things: a fifth of a millisecond to two.
    "loopback": Link(latency_ns=(200_000, 2 * MS)),
    "lan": LAN,
    #: The world by regions; the two access lines add 4 to 20 ms one way (assumed: fibre to slow DSL).
    "wan": Link(latency_ns=(4 * MS, 20 * MS), table=ONE_WAY_NS),
}


def link_of(spec: LinkSpec) -> Link:
    link = PROFILES[spec.profile]
    if spec.latency_ms is not None:
        low, high = spec.latency_ms
        link = attrs.evolve(link, latency_ns=(round(low * MS), round(high * MS)), table=None)
    if spec.mtu is not None:
        link = attrs.evolve(link, mtu=spec.mtu)
    loss = _ppm(spec.loss)
    bursts = bursts_of(loss, spec.burst) if spec.burst > 1 and loss else None
    return attrs.evolve(
        link, loss_ppm=0 if bursts else loss, bursts=bursts, duplicate_ppm=_ppm(spec.duplicate),
        reorder_ppm=_ppm(spec.reorder),
    )  # fmt: skip


def bursts_of(loss_ppm: int, mean: float) -> Bursts:
    """Bursts in which everything is lost, `mean` datagrams long on average, that make up this share (below 1)."""
    end_ppm = min(MILLION, round(MILLION / mean))
    # In balance as many lines turn bad as turn good: good * begin = bad * end.
    return Bursts(begin_ppm=min(MILLION, end_ppm * loss_ppm // max(1, MILLION - loss_ppm)), end_ppm=end_ppm)


def _ppm(share: float) -> int:
    return round(share * MILLION)
