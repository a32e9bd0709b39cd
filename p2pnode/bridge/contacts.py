"""The foreign peers that a bridge hands out: only those that answered a ping, one id an address.

Takes the place of the package's routing table, whose splitting rule lets a stranger with chosen
ids grow it without bound and whose `find_neighbors` returns the true k closest in 3-7 % of calls.
A linear scan of 512 contacts costs less than its answer costs to encode.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections import OrderedDict

import attrs

from p2pnode.bridge.limits import MAX_CONTACTS, MAX_CONTACTS_PER_HOST, MAX_PROOFS, NEIGHBOURS, PROVEN_S
from p2pnode.bridge.meter import Clock

#: Host (text) and port, as asyncio reports them.
Endpoint = tuple[str, int]


@attrs.define(slots=True)
class Contact:
    """`id` is what the peer answered to our ping with, not what it or others claimed."""

    id: bytes
    proven: float
    #: Pings in a row without an answer.
    failures: int = 0


@attrs.define(slots=True)
class Contacts:
    clock: Clock
    _at: dict[Endpoint, Contact] = attrs.field(init=False, factory=dict)
    _per_host: dict[str, int] = attrs.field(init=False, factory=dict)
    #: Whom to answer: id and time of the last pong. More than the contacts, so that who fills the
    #: table with his own does not shut others out.
    _proofs: OrderedDict[Endpoint, tuple[bytes, float]] = attrs.field(init=False, factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._at)

    def is_proven(self, where: Endpoint, node_id: bytes) -> bool:
        """Whether `where` answered a ping lately, with `node_id`."""
        proof = self._proofs.get(where)
        return proof is not None and proof[0] == node_id and self.clock() - proof[1] <= PROVEN_S

    def prove(self, where: Endpoint, node_id: bytes) -> bool:
        """`where` answered a ping with `node_id`. False if there is no room for it among the contacts."""
        self._proofs[where] = (node_id, self.clock())
        self._proofs.move_to_end(where)
        if len(self._proofs) > MAX_PROOFS:
            self._proofs.popitem(last=False)
        contact = self._at.get(where)
        if contact is not None:
            contact.id, contact.proven, contact.failures = node_id, self.clock(), 0
            return True
        host = where[0]
        crowded = self._per_host.get(host, 0) >= MAX_CONTACTS_PER_HOST and not is_loopback(host)
        if crowded or (len(self._at) >= MAX_CONTACTS and not self._drop_failing()):
            return False
        self._at[where] = Contact(node_id, self.clock())
        self._per_host[host] = self._per_host.get(host, 0) + 1
        return True

    def fail(self, where: Endpoint) -> None:
        """A ping was not answered; the second one in a row ends the contact."""
        contact = self._at.get(where)
        if contact is not None:
            contact.failures += 1
            if contact.failures > 1:
                self._drop(where)

    def silent(self, seconds: float, limit: int) -> list[Endpoint]:
        """Contacts to ping: those whose last answer is older, oldest first."""
        before = self.clock() - seconds
        old = [where for where, contact in self._at.items() if contact.failures or contact.proven < before]
        return heapq.nsmallest(limit, old, key=lambda where: self._at[where].proven)

    def closest(self, target: bytes, asker: Endpoint) -> list[tuple[bytes, str, int]]:
        """The exactly k closest to `target`, nearest first, without the asker.

        Loopback contacts are given to loopback askers only: elsewhere they name the asker itself.
        """
        point = int.from_bytes(target, "big")
        local = is_loopback(asker[0])
        found = [
            (int.from_bytes(contact.id, "big") ^ point, contact.id, *where)
            for where, contact in self._at.items()
            if where != asker and not contact.failures and (local or not is_loopback(where[0]))
        ]
        return [(node_id, host, port) for _, node_id, host, port in heapq.nsmallest(NEIGHBOURS, found)]

    def _drop_failing(self) -> bool:
        for where, contact in self._at.items():
            if contact.failures:
                self._drop(where)
                return True
        return False

    def _drop(self, where: Endpoint) -> None:
        del self._at[where]
        host = where[0]
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]


def is_loopback(host: str) -> bool:
    """`host` is an IP address in text; names are no loopback (nobody knows where they will point)."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
