"""What accomplices know of each other: asked for the way, they name the nearest of their own."""

from __future__ import annotations

import attrs

from overlay.limits import K
from overlay.peer import Peer
from overlay.rpc.endpoint import Inbound
from overlay.wire.messages import FindNode, FindProviders, FindValue, Nodes
from overlay.wire.registry import Kind, Role
from simulations.nearest import Nearest
from simulations.swarm import Swarm


@attrs.define(slots=True, eq=False)
class Ring:
    """Keys and addresses by id, to be named in NODES. Counts `named_astray`: answers with them."""

    _swarm: Swarm
    _nearest: Nearest = attrs.Factory(Nearest)
    _packed: dict[int, bytes] = attrs.Factory(dict)

    def add(self, number: int, packed: bytes) -> None:
        """`packed`: the 38 bytes of NODES."""
        self._nearest.add(number)
        self._packed[number] = packed

    def near(self, target: int, but: int) -> list[bytes]:
        """The 20 nearest to `target`, without id `but`, who asked."""
        numbers = [number for number in self._nearest.to(target, K + 1) if number != but][:K]
        return [self._packed[number] for number in numbers]

    def name_each_other(self, peer: Peer) -> None:
        """From now on this peer answers FIND_NODE, FIND_VALUE and FIND_PROVIDERS with accomplices."""

        def lie(inbound: Inbound) -> None:
            self._swarm.measures.count("named_astray")
            reply_nodes(peer, inbound, self.near(target_of(inbound), inbound.contact.number))

        for kind in (Kind.FIND_NODE, Kind.FIND_VALUE, Kind.FIND_PROVIDERS):
            peer.endpoint.serve(kind, lie)


def target_of(inbound: Inbound) -> int:
    """What a FIND_* asks for, as a number."""
    message = inbound.message
    assert isinstance(message, FindNode | FindValue | FindProviders)
    return int.from_bytes(message.target if isinstance(message, FindNode) else message.key, "big")


def reply_nodes(peer: Peer, inbound: Inbound, packed: list[bytes]) -> None:
    token = peer.endpoint.token_for(inbound.contact)
    peer.endpoint.reply(inbound, Nodes(token=token, role=Role.FULL, v4=b"".join(packed), v6=b""))
