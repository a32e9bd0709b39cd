"""The entrance: whom this node was told to join, whom it knew when it last ran, and its first look around.

While nobody answers, both are asked again and again. Anchors are on disk, so a restart loses none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import attrs

from overlay.dht.distance import random_in_bucket
from overlay.dht.get import find_node
from overlay.dht.reach import Reach
from overlay.dht.size import MIN_SAMPLES
from overlay.dht.state import DhtState
from overlay.errors import LimitError, OverlayError
from overlay.limits import ANCHORS, MAX_IDS_PER_SEED, MAX_SEEDS
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address, unpack_address
from overlay.runtime.ports import SECOND
from overlay.wire.messages import Ping

_ANCHOR = b"anchor/"
#: While nobody is known, all places are asked again at least this often.
_RETRY_MAX_NS = 30 * SECOND


@attrs.define(slots=True, eq=False)
class Entrance:
    dht: DhtState
    reach: Reach
    #: Where to ask while nobody is known -> the ids of which one must answer there; none: whoever answers.
    places: dict[Address, tuple[bytes, ...]] = attrs.Factory(dict)
    #: How long nobody must be known before all places are asked again.
    retry_ns: int = SECOND
    _looking: bool = False

    async def join(
        self, addresses: Iterable[tuple[Address, bytes | None]], *, keep: bool = True
    ) -> tuple[int, list[Contact]]:
        """Ping them all; then look around. How many answered (with the id expected, if one was), and who else did.

        `keep`: ask them again whenever nobody is known, and let nobody else in from there for as long as this node
        runs. Not for what strangers announce on a LAN.
        """
        addresses = list(addresses)[:MAX_SEEDS]
        for address, node_id in addresses if keep else ():
            ids = self.places.pop(address, ())
            if node_id is not None and node_id not in ids:
                ids = (*ids, node_id)[-MAX_IDS_PER_SEED:]
            if len(self.places) >= MAX_SEEDS:
                del self.places[next(iter(self.places))]
            self.places[address] = ids
        answered = await self._ping_all([address for address, _ in addresses])
        expected = {address: node_id for address, node_id in addresses if node_id is not None}
        joined = [
            contact
            for contact in answered
            if expected.get(contact.address, contact.id) == contact.id and self.expects(contact)
        ]
        if joined:
            await self.reach.prove(joined)
            await self.look_around()
        return len(joined), [contact for contact in answered if contact not in joined]

    def expects(self, contact: Contact) -> bool:
        """False if we were told that somebody else is at its address: it is no way into the network then."""
        ids = self.places.get(contact.address)
        return not ids or contact.id in ids

    async def _ping_all(self, addresses: list[Address]) -> list[Contact]:
        """Addresses of unknown keys, so `ask_all` cannot be used."""
        answered: list[Contact] = []

        async def ping(address: Address) -> None:
            try:
                contact, _ = await self.dht.endpoint.call(address, Ping())
            except OverlayError:
                return
            answered.append(contact)

        async with self.dht.loop.group(name="join") as group:
            for address in addresses:
                group.spawn(ping(address), name=f"ping {address}")
        return answered

    async def look_around(self) -> None:
        """Kademlia paper 2.3: look up oneself, then somewhere in each bucket farther than the nearest neighbour."""
        if self._looking:
            return
        self._looking = True
        try:
            await self._look(self.dht.own_number)
            # The far buckets hold almost everybody; as many lookups as a trusted size needs samples. Side by side they
            # ask 2 to 4 % more than one after the other, who knows whom the one before has met, and take a third.
            async with self.dht.loop.group(name="bootstrap") as group:
                for depth in range(MIN_SAMPLES):
                    target = random_in_bucket(self.dht.own_number, depth, self.dht.rng)
                    group.spawn(self._look(target, sample=True), name=f"bucket {depth}")
        finally:
            self._looking = False
        await self.save_anchors()  # a node that dies in its first minute finds its way back, too

    async def _look(self, target: int, *, sample: bool = False) -> None:
        with suppress(LimitError):  # busy with the user's lookups: those fill the table as well
            await find_node(self.dht, target, sample=sample)

    def alone(self) -> bool:
        alone = all(entry.failures for entry in self.dht.table.entries())
        if not alone:
            self.retry_ns = 5 * SECOND
        return alone

    async def try_again(self) -> None:
        """Nobody answers: anchors of the last run, and all that we were told to join."""
        self.retry_ns = min(2 * self.retry_ns, _RETRY_MAX_NS)
        seeds = list(dict.fromkeys([*self._anchors(), *self.places]))
        answered = [contact for contact in await self._ping_all(seeds) if self.expects(contact)]
        if answered:
            await self.reach.prove(answered)
            await self.look_around()

    def _anchors(self) -> list[Address]:
        rows = self.dht.journal.storage.scan(_ANCHOR)
        return [unpack_address(value[32:]) for _, value in rows if len(value) in (38, 50)]

    async def save_anchors(self) -> None:
        storage = self.dht.journal.storage
        anchors = {_ANCHOR + c.key: c.packed for c in self.dht.table.anchors(ANCHORS) if not c.address.zone}
        if not anchors:
            return  # alone for now: the old ones may come back
        gone = [key for key, _ in storage.scan(_ANCHOR) if key not in anchors]
        new = {key: packed for key, packed in anchors.items() if storage.get(key) != packed}
        for key in gone:
            storage.delete(key)
        for key, packed in new.items():
            storage.put(key, packed)
        if gone or new:
            # An idle node writes nothing else for minutes. If this fails, the next round writes them.
            self.dht.journal.after_commit(lambda _outcome: None)
