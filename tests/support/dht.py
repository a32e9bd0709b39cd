"""Contacts at chosen places of the id space, those in a NODES, and how a lookup sees them."""

from __future__ import annotations

from overlay.dht.candidate import State
from overlay.dht.distance import BITS, random_number
from overlay.dht.shortlist import Shortlist
from overlay.rpc.contact import Contact, ContactBook
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng


def contact(number: int, *, address: Address | str = "10.0.0.1:4433", key: bytes | None = None) -> Contact:
    """A contact whose id is `number`: no key hashes to an id that a test wants. Not interned."""
    at = parse_address(address) if isinstance(address, str) else address
    node_id = number.to_bytes(32, "big")
    key = node_id if key is None else key
    return Contact(key, node_id, number, at, key + at.packed)


def top(prefix: int, bits: int) -> int:
    """A number that begins with `prefix`, `bits` long."""
    return prefix << (BITS - bits)


def lan(n: int, *, seed: int = 1) -> list[Contact]:
    """n contacts with random ids on one LAN."""
    rng = Rng(seed)
    return [contact(random_number(rng), address=Address(bytes((10, 0, i >> 8, i & 255)), 4433)) for i in range(n)]


def internet(n: int, *, seed: int = 1) -> list[Contact]:
    """n contacts with random ids, each in a /16 of its own as long as n <= 2000."""
    rng = Rng(seed)
    return [contact(random_number(rng), address=Address(bytes((60 + i % 60, i // 60, 7, 7)), 4433)) for i in range(n)]


def subnet(n: int, *, seed: int = 2, prefix: str = "50.1.2") -> list[Contact]:
    """n contacts with random ids in one global /24."""
    rng = Rng(seed)
    return [contact(random_number(rng), address=f"{prefix}.{1 + i % 250}:{4433 + i // 250}") for i in range(n)]


def named_in(v4: bytes, v6: bytes) -> list[tuple[bytes, Address]]:
    """(key, address) of each contact in the two lists of a NODES, as a peer reads them."""
    book = ContactBook()
    return [(found.key, found.address) for found in book.named(v4, v6)]


def state_of(shortlist: Shortlist, contact: Contact) -> State:
    """What became of one of its candidates so far."""
    return shortlist._pool.by_contact[contact].state
