"""What the honest nodes believe at the end of a run, beside the truth: for claims about tables."""

from __future__ import annotations

from overlay.dht.bucket import Entry
from overlay.peer import Peer
from simulations.adversaries.positions import victim
from simulations.measures import quantile
from simulations.swarm import Swarm


def entries(swarm: Swarm, node: int) -> list[Entry]:
    """The routing table of a node that runs."""
    peer = swarm.engine.peer(node)
    assert isinstance(peer, Peer)
    return peer.table.entries()


def survey_at_end(swarm: Swarm) -> None:
    """Has these be counted when the scenario ends, over the honest nodes that run; once, whoever asks for it.

    `adversary_share` of the running nodes; `table_adversary_share`, of all entries of their tables, `_worst` that of
    the worst of them, `_median`; `table_false`, entries with a key or an address that is no node's; `victim_table`,
    the share in the victim's table. `dropped_REASON`: datagrams that the honest nodes dropped.
    """
    if "table_false" not in swarm.measures.counts:
        swarm.measures.counts["table_false"] = 0
        swarm.at(swarm.scenario.duration_s, lambda: _survey(swarm))


def _survey(swarm: Swarm) -> None:
    counts, population = swarm.measures.counts, swarm.population
    node_of = {population.keys(node).key: node for node in range(len(swarm))}
    honest = swarm.honest()
    hostile = sum(swarm.engine.alive(node) for node in swarm.adversaries)
    counts["adversary_share"] = round(hostile / max(1, hostile + len(honest)), 6)
    total = bad = false = 0
    shares: list[int] = []
    for node in honest:
        table = entries(swarm, node)
        known = [node_of.get(entry.contact.key) for entry in table]
        mine = sum(other in swarm.adversaries for other in known if other is not None)
        false += sum(
            other is None or not swarm.network.is_at(other, entry.contact.address)
            for other, entry in zip(known, table, strict=True)
        )
        total, bad = total + len(table), bad + mine
        shares.append(1_000_000 * mine // max(1, len(table)))
        if node == victim(swarm):
            counts["victim_table"] = shares[-1] / 1_000_000
    counts["table_false"] = false
    if total:
        counts["table_adversary_share"] = round(bad / total, 6)
        counts["table_adversary_share_median"] = quantile(shares, 50) / 1_000_000
        counts["table_adversary_share_worst"] = max(shares) / 1_000_000
    dropped: dict[str, int] = {}
    for node in honest:
        peer = swarm.engine.peer(node)
        assert isinstance(peer, Peer)
        for name, count in peer.endpoint.counters.items():
            if name.startswith("dropped: "):
                reason = name.removeprefix("dropped: ").replace(" ", "_")
                dropped[reason] = dropped.get(reason, 0) + count
    for reason, count in sorted(dropped.items()):
        counts[f"dropped_{reason}"] = count
