"""What can be said of a peer from outside, without asking anybody: for commands, replays and the simulator.

Values of dicts, lists, texts, numbers and bytes; ids in text form, keys in hex. Nothing here changes the peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overlay.dht.get import BLOB, SIGNED
from overlay.dht.own import PROVIDER
from overlay.dht.reach import ROLE_NAMES
from overlay.identity.node_id import format_id
from overlay.rpc.contact import Contact
from overlay.rpc.peers import PeerState
from overlay.runtime.ports import MS, SECOND
from overlay.wire.registry import Kind

if TYPE_CHECKING:
    from overlay.peer import Peer

#: A peer counts as there if it answered within this.
_PRESENT_NS = 300 * SECOND
#: What own records are called.
KINDS = {BLOB: "blob", SIGNED: "signed", PROVIDER: "provider"}


def describe(peer: Peer) -> dict[str, Any]:
    """All of it: `status`, "now", "table", "known", "pending", "own_records" and "tasks" (what each one awaits)."""
    return status(peer) | {
        "now": {"mono_ns": peer.loop.now.mono_ns, "wall_ms": peer.loop.now.wall_ms},
        "table": table(peer),
        "known": peers(peer),
        "pending": pending(peer),
        "own_records": own(peer),
        "deadline_ns": peer.next_deadline(),
        "tasks": [task.where() for task in peer.loop.tasks()],
    }


def status(peer: Peer) -> dict[str, Any]:
    endpoint = peer.endpoint
    return {
        "id": format_id(peer.id), "key": endpoint.signer.key.hex(), "network": endpoint.network.name,
        "network_id": endpoint.network.network_id.hex(), "role": ROLE_NAMES[peer.reach.role],
        "peers": len(_present(peer)), "table": len(peer.table), "records": len(peer.dht.store),
        "own": len(peer.own), "waiting": endpoint.asked.waiting, "size_estimate": peer.dht.size.estimate,
        "streams": streams(peer),
        "counters": dict(sorted(endpoint.counters.items())),
    }  # fmt: skip


def streams(peer: Peer) -> dict[str, int]:
    """Open now, those of them that others opened, handshakes that others have begun, streams that are being opened;
    beside them plain streams that are open."""
    figures = peer.streams.figures()
    dials = figures["dials"]
    return {
        "open": figures["streams"] - dials, "incoming": figures["incoming"],
        "handshakes": figures["handshakes"], "dials": dials,
        "plain": peer.streams.plains.figures()["open"],
    }  # fmt: skip


def peers(peer: Peer) -> list[dict[str, Any]]:
    """Who answered within five minutes, in the order of their ids."""
    now_ns = peer.loop.now.mono_ns
    return [
        {
            "id": format_id(contact.id), "address": str(contact.address), "rtt_ms": _ms(state.rtt.smoothed),
            "last_seen_s": round((now_ns - state.answered_ns) / SECOND, 1),
            "role": ROLE_NAMES.get(state.role if state.role is not None else 1, "full"), "score": None,
        }
        for contact, state in sorted(_present(peer).values(), key=lambda pair: pair[0].number)
    ]  # fmt: skip


def _present(peer: Peer) -> dict[bytes, tuple[Contact, PeerState]]:
    """By key, who answered lately and did not fall silent since."""
    now_ns = peer.loop.now.mono_ns
    present: dict[bytes, tuple[Contact, PeerState]] = {}
    for contact in peer.endpoint.peers.contacts():
        state = peer.endpoint.peers.get(contact)
        if state is None or not state.answered_ns or state.failures or now_ns - state.answered_ns > _PRESENT_NS:
            continue
        old = present.get(contact.key)
        if old is None or old[1].answered_ns < state.answered_ns:
            present[contact.key] = contact, state
    return present


def table(peer: Peer) -> list[dict[str, Any]]:
    """The buckets of the routing table, the farthest first."""
    now_ns = peer.loop.now.mono_ns
    buckets = []
    for bucket in peer.table.buckets():
        contacts = []
        for entry in bucket.entries:
            state = peer.endpoint.peers.get(entry.contact)
            contacts.append(
                {
                    "id": format_id(entry.contact.id), "address": str(entry.contact.address),
                    "rtt_ms": _ms(state.rtt.smoothed) if state is not None else None, "failures": entry.failures,
                    "since_s": round((now_ns - entry.since_ns) / SECOND, 1),
                }
            )  # fmt: skip
        buckets.append({"depth": bucket.depth, "contacts": contacts, "replacements": len(bucket.replacements)})
    return buckets


def pending(peer: Peer) -> list[dict[str, Any]]:
    """Requests that wait for a reply, the oldest first."""
    now_ns = peer.loop.now.mono_ns
    return [
        {
            "kind": Kind(request.message.KIND).name, "address": str(request.address),
            "id": None if request.contact is None else format_id(request.contact.id),
            "sends": request.sends, "sent_ms_ago": round((now_ns - request.sent_ns) / MS, 3),
        }
        for request in peer.endpoint.asked.pending()
    ]  # fmt: skip


def own(peer: Peer, *, values: bool = False) -> list[dict[str, Any]]:
    """What this peer publishes, with its value if `values`."""
    wall_ms = peer.loop.now.wall_ms
    return [
        {
            "key": (own.value if own.type == PROVIDER else own.key).hex(), "kind": KINDS[own.type],
            "name": own.salt if own.type == SIGNED else None, "seq": own.seq or None,
            "expires_s": None if own.until_ms is None else (own.until_ms - wall_ms) // 1000,
        } | ({"value": own.value} if values else {})
        for own in peer.own
        if own.until_ms is None or own.until_ms > wall_ms
    ]  # fmt: skip


def _ms(ns: int) -> float | None:
    return round(ns / MS, 3) if ns else None
