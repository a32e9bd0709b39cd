"""A storage belongs to one network.

In another its records would be served, and those of its owner published again: what was said in a
private network would be told to strangers.
"""

from __future__ import annotations

from overlay.errors import LocalError
from overlay.identity.network import Network
from overlay.runtime.ports import Storage

#: Network id, then the name.
_NETWORK = b"network"


def claim(storage: Storage, network: Network) -> None:
    """Claim a new storage for `network`. Raises LocalError if it is another's."""
    check_claim(storage, network)
    if storage.get(_NETWORK) is None:
        storage.put(_NETWORK, network.network_id + network.name.encode())


def check_claim(storage: Storage, network: Network) -> None:
    """Raises LocalError if it is another's; one that is nobody's stays so."""
    owner = storage.get(_NETWORK)
    if owner is not None and owner[:32] != network.network_id:
        name = owner[32:].decode(errors="replace")
        raise OtherOwner(name, owner[:32], network)


class OtherOwner(LocalError):
    """The storage is another network's."""

    def __init__(self, name: str, network_id: bytes, asked: Network) -> None:
        super().__init__(f"this home belongs to network {name!r}: take another (--home DIR)")
        self.facts = {
            "it belongs to": f"{name!r} (id {network_id[:4].hex()})",
            "asked for": f"{asked.name!r} (id {asked.network_id[:4].hex()})",
        }
        if name == asked.name:
            self.facts["what differs"] = "the key of the network, its puzzle bits or its parameters"
        self.facts["name another"] = "p2pnode --home DIR run"
