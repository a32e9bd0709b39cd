"""A model of our lookup for networks that no simulator holds: a million nodes, tables drawn as they are asked for.

It is a model: ids, routing tables and whom a lookup asks are those of the peer; there is no time limit, no loss, no
churn, no record, no trust, and nobody is slow or dead. docs/simulator.md says how far it agrees with the swarm.
"""

from __future__ import annotations

from typing import Final

#: 64-bit ids of more would begin to collide.
MAX_MODEL_NODES: Final = 20_000_000
