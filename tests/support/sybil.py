"""Real peers that were corrupted: they keep their place in the network and lie about everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from overlay.identity.keys import KeyPair
from overlay.identity.node_id import node_id_of
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.wire.messages import Nodes, Stored, StoreStatus
from overlay.wire.registry import Kind
from tests.support.swarm import Swarm

#: Contacts to name in an answer about a target.
Naming = Callable[[int], Sequence[Contact]]


def ground_keys(key: bytes, n: int, *, among: int, seed: int = 1) -> list[KeyPair]:
    """n keys whose ids are nearer to `key` than `among` random ids are expected to be."""
    rng, target = Rng(seed), int.from_bytes(key, "big")
    found: list[KeyPair] = []
    while len(found) < n:
        keys = KeyPair.from_seed(rng.bytes(32))
        if int.from_bytes(node_id_of(keys.key), "big") ^ target < (1 << 256) // among:
            found.append(keys)
    return found


def add_sybils(swarm: Swarm, gang: Sequence[KeyPair], *, address: Callable[[int], Address] | None = None) -> list[int]:
    """Have them join, name each other, hide what they should hold and confirm what they do not keep."""
    nodes = []
    for keys in gang:
        swarm._keys[len(swarm)] = keys
        swarm._address = address or swarm._address
        nodes.append(swarm.add())
    contacts = [swarm._book.contact(keys.key, swarm.address(node)) for keys, node in zip(gang, nodes, strict=True)]
    for node in nodes:
        corrupt(swarm.peer(node), lambda target: sorted(contacts, key=lambda contact: contact.number ^ target)[:20])
    swarm.join(nodes=nodes)
    return nodes


def corrupt(peer: Any, naming: Naming) -> None:
    endpoint = peer.endpoint

    def name_others(inbound: Inbound) -> None:
        target = next(item for item in inbound.message.encode_body() if isinstance(item, bytes))
        packed = b"".join(contact.packed for contact in naming(int.from_bytes(target, "big")))
        endpoint.reply(inbound, Nodes(endpoint.token_for(inbound.contact), 1, packed, b""))

    def confirm(inbound: Inbound) -> None:
        endpoint.reply(inbound, Stored(StoreStatus.STORED))

    for kind in (Kind.FIND_NODE, Kind.FIND_VALUE, Kind.FIND_PROVIDERS):
        endpoint.serve(kind, name_others)
    for kind in (Kind.STORE, Kind.PROVIDE):
        endpoint.serve(kind, confirm)
