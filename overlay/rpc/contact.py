"""A peer at an address, interned: one object per key and address in a process."""

from __future__ import annotations

from weakref import WeakValueDictionary

import attrs

from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import work_of
from overlay.runtime.address import Address, unpack_address


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
    #: Leading zero bits of SHA-256(id), at most 64: how hard a puzzle it solves.
    work: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "work", work_of(self.id))

    def __repr__(self) -> str:
        return f"<Contact {self.id.hex()[:8]} {self.address}>"


class ContactBook:
    """Interns contacts; holds none alive, so it is bounded by what the tables and lookups hold.

    The peers of a simulated swarm share one book.
    """

    __slots__ = ("_contacts",)

    def __init__(self) -> None:
        #: By `packed`, and the zone behind it if there is one: bytes hash faster than pairs of objects.
        self._contacts: WeakValueDictionary[bytes, Contact] = WeakValueDictionary()

    def contact(self, key: bytes, address: Address) -> Contact:
        packed = key + address.packed
        name = packed + address.zone.to_bytes(4, "big") if address.zone else packed
        found = self._contacts.get(name)
        if found is None:
            found = self._contacts[name] = _contact(key, address, packed)
        return found

    def unpacked(self, packed: bytes) -> Contact:
        """The contact that NODES names with these 38 or 50 bytes."""
        found = self._contacts.get(packed)
        if found is None:
            address = unpack_address(packed[32:])
            if len(packed) != 32 + len(address.ip) + 2:  # IPv4 that was mapped into IPv6
                return self.contact(packed[:32], address)
            found = self._contacts[packed] = _contact(packed[:32], address, packed)
        return found


def _contact(key: bytes, address: Address, packed: bytes) -> Contact:
    node_id = node_id_of(key)
    return Contact(key, node_id, int.from_bytes(node_id, "big"), address, packed)
