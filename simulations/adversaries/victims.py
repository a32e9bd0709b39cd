"""What a victim still gets done: operations that adversaries have measured."""

from __future__ import annotations

from overlay.runtime.ports import Ok, Outcome
from simulations.adversaries.positions import victim
from simulations.swarm import Swarm


def lookups_of_victim(swarm: Swarm, from_s: float, every_s: float) -> None:
    """The victim looks random keys up: operation `victim_lookup`; success: the closest honest node was found."""
    rng, node = swarm.rng("victim"), victim(swarm)

    def one() -> None:
        target = rng.bytes(32)
        if not swarm.engine.alive(node):
            return
        number, began_ns = int.from_bytes(target, "big"), swarm.engine.now_ns
        nearest = min((other for other in swarm.honest() if other != node), key=lambda n: swarm.number(n) ^ number)

        def ended(outcome: Outcome, took_ns: int) -> None:
            found = isinstance(outcome, Ok) and swarm.id_text(nearest) in outcome.value["closest"]
            rpcs = outcome.value["rpcs"] if isinstance(outcome, Ok) else 0
            swarm.measures.operation("victim_lookup").add(began_ns, took_ns, found, rpcs=rpcs)

        swarm.ask(node, "lookup", {"key": target.hex()}, ended)

    swarm.every(every_s, one, begin_s=from_s)
