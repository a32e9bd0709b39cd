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
    owner = storage.get(_NETWORK)
    if owner is None:
        storage.put(_NETWORK, network.network_id + network.name.encode())
    elif owner[:32] != network.network_id:
        name = owner[32:].decode(errors="replace")
        same = " with other parameters, key or puzzle" if name == network.name else ""
        raise LocalError(
            f"this home belongs to network {name!r}{same} (id {owner[:4].hex()}), not to {network.name!r} (id "
            f"{network.network_id[:4].hex()}): give each network a home of its own (--home DIR)"
        )
