"""How gossip finds fellow subscribers: each provides the key of its topic in the DHT.

It is a provider record like any other, but not among the own records on disk: who is gone, or no longer subscribes,
simply stops renewing it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs

from overlay.dht.providers import contact_of, provide, some_providers
from overlay.dht.state import DhtState, may_pass
from overlay.gossip.service import Gossip
from overlay.gossip.state import GossipState
from overlay.limits import MAX_PASSED_ON
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.task import Task
from overlay.streams import Streams
from overlay.wire.messages import Nodes, Role

#: Disjoint paths of a lookup for subscribers: liars may hide them on one.
_PATHS = 3


def gossip_over(
    dht: DhtState, streams: Streams, rng: Rng, spawn: Callable[[Coroutine[Any, Any, None], str], Task[None] | None]
) -> Gossip:
    """`spawn`: have a coroutine run until the peer ends."""
    return Gossip(GossipState(dht.loop, dht.endpoint, rng, DhtDirectory(dht), dht.report, spawn, streams))


@attrs.define(slots=True, eq=False)
class DhtDirectory:
    """The port overlay.gossip.state.Directory."""

    dht: DhtState

    @property
    def ready(self) -> bool:
        return len(self.dht.table) > 0

    async def find(self, key: bytes) -> list[Contact]:
        """Raises LimitError if too many lookups run."""
        dht = self.dht
        found = await some_providers(dht, key, paths=_PATHS)
        contacts = [contact_of(dht, provider) for provider in found]
        return [contact for contact in contacts if contact is not None and contact.key != dht.endpoint.signer.key]

    async def announce(self, key: bytes, ttl_s: int) -> int:
        wall_ms = self.dht.loop.now.wall_ms
        confirmed, _ = await provide(self.dht, key, seq=wall_ms, expires_ms=wall_ms + ttl_s * 1000)
        return confirmed

    def learn(self, v4: bytes, v6: bytes, referrer: Contact) -> list[Contact]:
        return self.dht.learn(Nodes(bytes(8), Role.FULL, v4, v6), referrer)

    def pack(self, contacts: Sequence[Contact], asker: Contact) -> tuple[bytes, bytes]:
        told = [contact for contact in contacts if may_pass(contact.address, asker.address)][:MAX_PASSED_ON]
        v4 = b"".join(contact.packed for contact in told if contact.address.is_v4)
        return v4, b"".join(contact.packed for contact in told if not contact.address.is_v4)

    def may_probe(self, contact: Contact) -> bool:
        return self.dht.may_probe(contact)
