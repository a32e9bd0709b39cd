"""Who is what at some moment: clients and full nodes, and what is known of those behind a NAT."""

from __future__ import annotations

import attrs

from overlay.peer import Peer
from overlay.runtime.address import Scope
from overlay.wire.registry import Role
from simulations.bounds import not_negative
from simulations.nat import Nat
from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class Census:
    """Counts at `at_s`, or at the end: `full` and `clients` (what each node is to its contacts), `behind_nat`
    (strangers cannot reach them: all sorts but full cone), `behind_nat_full` (of these, those that believe to be
    reachable), `behind_nat_listed` (entries of tables that name one of these by a global address)."""

    at_s: float | None = attrs.field(default=None, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(swarm.scenario.duration_s if self.at_s is None else self.at_s, lambda: self._count(swarm))

    def _count(self, swarm: Swarm) -> None:
        counts = dict.fromkeys(("full", "clients", "behind_nat", "behind_nat_full", "behind_nat_listed"), 0)
        nodes = swarm.honest()
        hidden = {
            swarm.population.keys(node).key for node in nodes if swarm.network.nat_of(node) not in (None, Nat.FULL_CONE)
        }
        for node in nodes:
            peer = swarm.engine.peer(node)
            if not isinstance(peer, Peer):
                continue
            contacts = peer.table.contacts()
            full = peer.reach.role != Role.CLIENT
            counts["full" if full else "clients"] += 1
            if swarm.population.keys(node).key in hidden:
                counts["behind_nat"] += 1
                counts["behind_nat_full"] += full
            counts["behind_nat_listed"] += sum(
                contact.key in hidden and contact.address.scope is Scope.GLOBAL for contact in contacts
            )
        for name, count in counts.items():
            swarm.measures.count(name, count)
