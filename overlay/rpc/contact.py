"""A peer at an address, interned: one object per key and address in a process."""

from __future__ import annotations

from weakref import ref

import attrs

from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import work_of
from overlay.runtime.address import Address, unpack_address
from overlay.wire.messages import split_packed


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
    #: Scope and family of the address as one index for tables: 2 * scope, and 1 more for IPv6.
    sort: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "work", work_of(self.id))
        object.__setattr__(self, "sort", 2 * int(self.address.scope) + (len(self.address.ip) == 16))

    def __repr__(self) -> str:
        return f"<Contact {self.id.hex()[:8]} {self.address}>"


class ContactBook:
    """Interns contacts; holds none alive, so it is bounded by what the tables and lookups hold.

    The peers of a simulated swarm share one book.
    """

    __slots__ = ("_contacts",)

    def __init__(self) -> None:
        #: By `packed`, and the zone behind it if there is one: bytes hash faster than pairs of objects. A
        #: WeakValueDictionary would do, and cost a Python call for each of the 20 contacts of an answer.
        self._contacts: dict[bytes, ref[Contact]] = {}

    def contact(self, key: bytes, address: Address) -> Contact:
        packed = key + address.packed
        name = packed + address.zone.to_bytes(4, "big") if address.zone else packed
        known = self._contacts.get(name)
        found = known() if known is not None else None
        return found if found is not None else self._new(name, key, address, packed)

    def named(self, v4: bytes, v6: bytes) -> list[Contact]:
        """The contacts of NODES, IPv4 first."""
        known = self._contacts.get
        found: list[Contact] = []
        for packed in split_packed(v4, v6):  # nearly all are known: a call for each would be half of the time
            weak = known(packed)
            contact = weak() if weak is not None else None
            found.append(contact if contact is not None else self._unpacked(packed))
        return found

    def _unpacked(self, packed: bytes) -> Contact:
        address = unpack_address(packed[32:])
        if len(packed) != 32 + len(address.ip) + 2:  # IPv4 that was mapped into IPv6
            return self.contact(packed[:32], address)
        return self._new(packed, packed[:32], address, packed)

    def _new(self, name: bytes, key: bytes, address: Address, packed: bytes) -> Contact:
        contacts = self._contacts

        def died(weak: ref[Contact]) -> None:
            if contacts.get(name) is weak:
                del contacts[name]

        node_id = node_id_of(key)
        contact = Contact(key, node_id, int.from_bytes(node_id, "big"), address, packed)
        contacts[name] = ref(contact, died)
        return contact

    def __len__(self) -> int:
        return len(self._contacts)
