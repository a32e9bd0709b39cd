"""What tests ask of a topic in a swarm: who got which message how often, and how many datagrams it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from overlay.events import GossipDelivered
from overlay.gossip.exchange import Exchange
from overlay.gossip.topic import Kept
from overlay.rpc.contact import Contact
from tests.support.swarm import Swarm

TOPIC = "chat"


def subscribe(swarm: Swarm, nodes: Iterable[int]) -> None:
    swarm.commands([(node, "subscribe", {"topic": TOPIC}) for node in nodes])


def publish(swarm: Swarm, node: int, body: bytes) -> int:
    return int(swarm.command(node, "publish", topic=TOPIC, body=body)["peers"])


def delivered(swarm: Swarm) -> Counter[tuple[int, bytes]]:
    """(node, body) -> how often, since reports were last cleared."""
    return Counter((node, event.body) for node, _, event in swarm.reports if isinstance(event, GossipDelivered))


def mesh_of(swarm: Swarm, node: int) -> dict[bytes, bool]:
    """Key of each member -> did the node choose it."""
    [topic] = swarm.peer(node).gossip.state.topics.values()
    return {key: member.outbound for key, member in topic.mesh.members.items()}


@attrs.define(slots=True, eq=False)
class MuteExchange(Exchange):
    """Takes everything, says it has everything, passes nothing on."""

    def send(self, contacts: Iterable[Contact], kept: Kept) -> int:
        return 0


def mute(swarm: Swarm, node: int) -> None:
    gossip = swarm.peer(node).gossip
    gossip._exchange = gossip._upkeep.exchange = MuteExchange(gossip.state)
