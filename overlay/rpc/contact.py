"""A peer at an address, interned: one object per key and address in a process."""

from __future__ import annotations

from weakref import WeakValueDictionary

import attrs

from overlay.identity.node_id import node_id_of
from overlay.runtime.address import Address


@attrs.frozen(slots=True, weakref_slot=True, eq=False)
class Contact:
    """Compare by identity: two contacts of one book are equal only if they are the same object."""

    #: Ed25519 public key, 32 bytes.
    key: bytes
    id: bytes
    #: The id as an integer, for XOR distances.
    number: int
    address: Address
    #: key + ip + port: the 38 (IPv4) or 50 (IPv6) bytes of NODES, encoded once.
    packed: bytes

    def __repr__(self) -> str:
        return f"<Contact {self.id.hex()[:8]} {self.address}>"


class ContactBook:
    """Interns contacts; holds none alive, so it is bounded by what the tables and lookups hold.

    The peers of a simulated swarm share one book.
    """

    __slots__ = ("_contacts",)

    def __init__(self) -> None:
        self._contacts: WeakValueDictionary[tuple[bytes, Address], Contact] = WeakValueDictionary()

    def contact(self, key: bytes, address: Address) -> Contact:
        found = self._contacts.get((key, address))
        if found is None:
            node_id = node_id_of(key)
            found = Contact(key, node_id, int.from_bytes(node_id, "big"), address, key + address.packed)
            self._contacts[key, address] = found
        return found
