"""The model as a whole: a network of so many ids, an adversary's share, so many lookups; and what came of them."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import attrs
import numpy as np

from overlay.limits import PATHS
from simulations.model import MAX_MODEL_NODES
from simulations.model.ids import start_index
from simulations.model.lookup import many
from simulations.model.tables import Net
from simulations.wilson import wilson

#: Lookups that tell how many joins are captured, and how often that is asked.
_PILOT, _PILOTS = 4_000, 2


@attrs.frozen(slots=True, kw_only=True)
class ModelEnd:
    """One cell: `lookups` lookups over `paths` disjoint paths while a share `adversaries` of the nodes colludes."""

    nodes: int
    adversaries: float
    paths: int
    lookups: int
    seed: int
    success: float
    #: Wilson's 95 %.
    low: float
    high: float
    rpcs: float
    hops: float
    #: Wall time, all cores, tables drawn included.
    us_a_lookup: float


def run(*, nodes: int, adversaries: float, paths: int, lookups: int, seed: int) -> ModelEnd:
    """The same result for the same arguments, whatever the number of cores. Success: as in `swarm run`, the nearest
    honest node is among the k closest that answered."""
    if not 2 <= nodes <= MAX_MODEL_NODES:
        raise ValueError(f"nodes: expected 2 to {MAX_MODEL_NODES:,}, found {nodes:,}")
    if not 1 <= paths <= PATHS:
        raise ValueError(f"paths: expected 1 to {PATHS}, found {paths}")
    if not 0 <= adversaries < 1:
        raise ValueError(f"adversaries: expected a share from 0 to below 1, found {adversaries:g}")
    rng = np.random.Generator(np.random.PCG64(seed))
    ids = np.sort(rng.integers(0, 1 << 64, nodes, dtype=np.uint64))
    born = rng.integers(0, 256, nodes, dtype=np.uint8)
    bad = np.zeros(nodes, np.bool_)
    bad[rng.permutation(nodes)[: round(adversaries * nodes)]] = True
    bad_nodes, honest = np.flatnonzero(bad), np.flatnonzero(~bad)
    if len(honest) < 2:
        raise ValueError(f"adversaries: {adversaries:g} of {nodes} nodes leaves fewer than two honest ones")
    bad_ids = ids[bad_nodes]
    targets = rng.integers(0, 1 << 64, lookups, dtype=np.uint64)
    sources = honest[rng.integers(0, len(honest), lookups)]
    index, bad_index = start_index(ids), start_index(bad_ids)

    def look(count: int, ways: int, capture: float) -> tuple[Any, Any, Any]:
        found, rpcs = np.zeros(count, np.bool_), np.zeros(count, np.int64)
        hops = np.zeros(count, np.int64)
        net = Net(ids, index, born, bad, round(capture * 65_536), np.uint64(seed))
        many(net, bad_ids, bad_index, bad_nodes, targets[:count], sources[:count], ways, found, rpcs, hops)
        return found, rpcs, hops

    # Nodes join by lookups of one path; those that fail are the captured ones. Twice: capture makes capture likelier.
    capture = 0.0
    for _ in range(_PILOTS if len(bad_nodes) else 1):
        capture = 1 - float(look(min(lookups, _PILOT), 1, capture)[0].mean())
    begin = perf_counter()
    found, rpcs, hops = look(lookups, paths, capture)
    took_s = perf_counter() - begin
    low, high = wilson(int(found.sum()), lookups)
    return ModelEnd(
        nodes=nodes, adversaries=adversaries, paths=paths, lookups=lookups, seed=seed,
        success=round(float(found.mean()), 6), low=round(low, 6), high=round(high, 6),
        rpcs=round(float(rpcs.mean()), 2), hops=round(float(hops.mean()), 2),
        us_a_lookup=round(took_s / lookups * 1e6, 2),
    )  # fmt: skip
