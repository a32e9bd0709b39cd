"""What `p2pnode status` answers: put together in the node, read by the command line. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Keys of `status --json`, in this order: a contract.
KEYS = ("v", "id", "network", "listen", "ticket", "peers", "table", "records", "uptime_s", "version", "role")

JsonObject = dict[str, Any]


def compose(
    core: Mapping[str, Any], *, network: str, listen: Sequence[str], ticket: str, uptime_s: float, version: str
) -> JsonObject:
    """The contract's keys in their order, then what else the core reports (key, network_id, counters)."""
    known: JsonObject = {
        "v": 1,
        "network": network,
        "listen": list(listen),
        "ticket": ticket,
        "uptime_s": round(uptime_s, 3),
        "version": version,
    }
    ordered = {name: known[name] if name in known else core[name] for name in KEYS}
    return ordered | {name: value for name, value in core.items() if name not in ordered}


def sentence(status: Mapping[str, Any]) -> str:
    """Am I connected? In one sentence."""
    peers = status["peers"]
    if peers == 0:
        return "alone: no peer answers; it keeps trying"
    return f"connected: {peers} peer{'s' if peers != 1 else ''}, {status['table']} in the table"
