"""Gateway to networks of the `kademlia` package: their programs join without a change.

The package's wire protocol has no author, no version, no proof of address and no bound, so all of
that is added here, at the edge: what a foreign peer stores becomes a record signed by this node,
and nothing of the foreign side reaches the core but `put`, `get`, `forget`, `provide` and `providers`.

    values.py    a foreign value as the bytes of a record (and of blobs, if it is long)
    gateway.py   what the foreign side calls: who is let in, answers in time, a cache
    search.py    foreign key -> the newest value that any bridge holds
    keeper.py    foreign key and value -> records of ours: published, renewed, withdrawn
    ledger.py    what the node publishes for the bridge, counted against quotas, remembered over restarts
    commands.py  what is asked of the node
    contacts.py  the foreign peers that are known, bounded and exact
    meter.py     token buckets
    protocol.py  the package's protocol behind a guard
    server.py    `serve_bridge`

docs/bridge.md says what works, what cannot, and which weakness stops where.
"""

from __future__ import annotations

from p2pnode.bridge.commands import Command
from p2pnode.bridge.server import Bridge, exposure, serve_bridge

__all__ = ["Bridge", "Command", "exposure", "serve_bridge"]
