"""What is measured at every sample of a run (`sample_s`), cheaply: population, traffic, memory per node.

`Swarm.samplers` begins as SAMPLERS; a part or a command that wants a figure over time appends a function of its own,
which calls `swarm.measures.sample(name, ...)`. Every series is plotted in the report and gives the figures
`NAME_max` and `NAME_last`, which claims may name. A sampler only looks: it changes nothing in the swarm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from overlay.peer import Peer

if TYPE_CHECKING:
    from simulations.swarm import Swarm

Sampler = Callable[["Swarm"], object]

#: Nodes that are asked for their memory at each sample, evenly chosen: enough for a mean and a maximum that would
#: show a leak, and a thousandth of the time of a swarm of any size.
MEMORY_SAMPLE: Final = 200


def population(swarm: Swarm) -> None:
    """`alive`: nodes that are switched on, honest or not; `alive_adversaries`: those of them that are not."""
    engine, now_ns = swarm.engine, swarm.engine.now_ns
    swarm.measures.sample("alive", now_ns, sum(map(engine.alive, range(len(swarm)))))
    if swarm.adversaries:
        swarm.measures.sample("alive_adversaries", now_ns, sum(map(engine.alive, swarm.adversaries)))


def traffic(swarm: Swarm) -> None:
    """`sent`: datagrams so far."""
    swarm.measures.sample("sent", swarm.engine.now_ns, swarm.network.sent)


#: What an honest peer holds of others: name of the series, how much.
MEMORY: Final[dict[str, Callable[[Peer], int]]] = {
    "table": lambda peer: len(peer.table),
    "records": lambda peer: len(peer.dht.store),
    "remembered": lambda peer: len(peer.endpoint.peers),
}


def memory(swarm: Swarm) -> None:
    """`NAME_mean` and `NAME_most` of honest nodes, for `table` (entries of the routing table), `records` (held for
    others) and `remembered` (peers with their round-trip time and token)."""
    honest = swarm.honest()
    sampled = honest[:: max(1, -(-len(honest) // MEMORY_SAMPLE))]
    peers = [peer for peer in map(swarm.engine.peer, sampled) if isinstance(peer, Peer)]
    if not peers:
        return
    for name, size in MEMORY.items():
        sizes = list(map(size, peers))
        swarm.measures.sample(f"{name}_mean", swarm.engine.now_ns, round(sum(sizes) / len(sizes), 2))
        swarm.measures.sample(f"{name}_most", swarm.engine.now_ns, max(sizes))


#: What every swarm samples.
SAMPLERS: Final[tuple[Sampler, ...]] = (population, traffic, memory)
