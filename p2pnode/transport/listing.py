"""What a node says about itself on the LAN, and how it reads what others say there.

TXT record (RFC 6763 6) of a public network: v=1, nid=16 hex digits of the network id, key=64 hex digits.
Of a private one: n=nonce, m=HMAC-SHA256(key derived from the network key, nonce), and random names, so that
a stranger learns neither who is there nor which network it is. Whoever replays such a listing makes members
send a sealed datagram to an address on the LAN, no more.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import attrs

from overlay import limits
from overlay.identity.keys import is_sound_key
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from overlay.runtime.address import Address, Scope
from overlay.runtime.ports import Entropy, Interface

#: Own nonces that are remembered: caches of others may repeat old listings of ours.
_NONCES_KEPT = 16
#: Addresses of one listing that are tried.
MAX_ADDRESSES = 4
#: Characters of the id in the name of a listing: 16 letters, 80 bits, no two alike by accident.
_NAME_CHARACTERS = 19


@attrs.frozen(slots=True)
class Listing:
    """One announcement: `label` is the instance and host name, `txt` the TXT record."""

    label: str
    txt: dict[str, str]


@attrs.frozen(slots=True)
class Found:
    """A peer of our network as its listing describes it; nothing here is proven."""

    #: Public key, None on a private network.
    key: bytes | None
    addresses: tuple[Address, ...]


@attrs.define(slots=True, eq=False)
class Listings:
    """Writes our listing and reads those of others."""

    network: Network
    #: Our public key.
    key: bytes
    entropy: Entropy
    _nonces: list[bytes] = attrs.field(factory=list, init=False)

    def own(self) -> Listing:
        """A fresh one: on a private network with a new nonce and new names."""
        if not self.network.private:
            txt = {"v": "1", "nid": self.network.network_id.hex()[:16], "key": self.key.hex()}
            return Listing("p2pnode-" + format_id(node_id_of(self.key))[:_NAME_CHARACTERS], txt)
        nonce = self.entropy(16)
        self._nonces = [*self._nonces[1 - _NONCES_KEPT :], nonce]
        return Listing(self.entropy(8).hex(), {"n": nonce.hex(), "m": self._mac(nonce).hex()})

    def read(self, txt: Mapping[bytes, bytes | None], addresses: tuple[Address, ...]) -> Found | None:
        """None if it is not of our network, is our own, or makes no sense. Never raises, whatever the bytes."""
        if not addresses:
            return None
        if self.network.private:
            nonce, mac = _hex(txt.get(b"n"), 16), _hex(txt.get(b"m"), 32)
            if nonce is None or mac is None or nonce in self._nonces:
                return None
            return Found(None, addresses) if hmac.compare_digest(mac, self._mac(nonce)) else None
        key = _hex(txt.get(b"key"), 32)
        same = txt.get(b"nid") == self.network.network_id.hex()[:16].encode()
        if not same or key is None or key == self.key or not is_sound_key(key):
            return None
        return Found(key, addresses)

    def _mac(self, nonce: bytes) -> bytes:
        return hmac.digest(self.network.derived_key("lan"), nonce, "sha256")


def _hex(text: bytes | None, size: int) -> bytes | None:
    if text is None or len(text) != 2 * size:
        return None
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def reachable(interfaces: tuple[Interface, ...], listen: tuple[Address, ...]) -> tuple[Interface, ...]:
    """Local addresses at which sockets bound to `listen` receive."""
    bound = {len(address.ip): address.ip for address in listen}
    return tuple(
        interface
        for interface in interfaces
        if (wanted := bound.get(len(interface.ip))) is not None and (wanted == interface.ip or not any(wanted))
    )


def announced(interfaces: tuple[Interface, ...], listen: tuple[Address, ...]) -> tuple[Interface, ...]:
    """Those of them that another machine on the LAN can try."""
    return tuple(i for i in reachable(interfaces, listen) if Address(i.ip, 0).scope >= Scope.LINK)


def usable(
    addresses: tuple[Address, ...], interfaces: tuple[Interface, ...], listen: tuple[Address, ...]
) -> tuple[Address, ...]:
    """Of the addresses in a listing, those worth a try, the best first, at most MAX_ADDRESSES.

    On an attached subnet before others, link-local last: nobody can be told of that one.
    A global address counts only on an attached subnet: a listing must not aim us at the internet.
    """
    families = {len(address.ip) for address in listen}
    own = {(interface.ip, address.port) for interface in announced(interfaces, listen) for address in listen}

    def is_usable(address: Address) -> bool:
        if len(address.ip) not in families or address.port < limits.MIN_FOREIGN_PORT:
            return False
        if (address.ip, address.port) in own or (
            address.scope is Scope.LINK and not address.is_v4 and not address.zone
        ):
            return False
        return address.scope in (Scope.LINK, Scope.PRIVATE) or (
            address.scope is Scope.GLOBAL and is_attached(address, interfaces)
        )

    good = [address for address in dict.fromkeys(addresses) if is_usable(address)]
    good.sort(key=lambda a: (a.scope is Scope.LINK, not is_attached(a, interfaces), not a.is_v4))
    return tuple(good[:MAX_ADDRESSES])


def is_attached(address: Address, interfaces: tuple[Interface, ...]) -> bool:
    """Whether the address is on the link of one of our interfaces."""
    number = int.from_bytes(address.ip, "big")
    for interface in interfaces:
        if len(interface.ip) != len(address.ip) or (address.zone and address.zone != interface.zone):
            continue
        shift = 8 * len(address.ip) - interface.prefix_len
        if number >> shift == int.from_bytes(interface.ip, "big") >> shift:
            return True
    return False
