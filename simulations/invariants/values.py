"""Acknowledged writes: holders keep them, readers find them, and nobody reads what nobody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from overlay.limits import K
from overlay.peer import Peer
from overlay.runtime.ports import MS, SECOND, Ok
from overlay.wire.records import blob_key, signed_key
from simulations.invariants.base import Broken
from simulations.nearest import Nearest

if TYPE_CHECKING:
    from simulations.swarm import Asked, Swarm

#: Puts that are followed, the first ones of a run; and those looked at in one sample.
_FOLLOWED = 400
_AT_ONCE = 40
#: A put is looked at once whatever was under way has been committed.
_SETTLED_NS = 100 * MS
#: Nothing was lost for so long: requests that were have been repeated.
_CALM_NS = 60 * SECOND


@attrs.define(slots=True, eq=False)
class _Put:
    key: bytes
    author: int
    seq: int = 0
    values: dict[bytes, None] = attrs.Factory(dict)
    #: -1: not yet.
    acknowledged_ns: int = -1
    #: Wall ms at which it may be gone.
    until_ms: int = 0
    #: Honest holders at the first look: node -> (disks, power cuts). None: not looked yet.
    holders: dict[int, tuple[int, int]] | None = None


class ValuesFound:
    """Whoever held an acknowledged value holds it still, unless it lost its disk or its power, ran out of room or had
    its clock set. A reader who knows k nodes finds it as long as half of its first holders run and have it and one of
    them is among the k closest honest nodes, in a swarm without adversaries where nothing was lost for a minute. And
    what a reader gets was written by the author that it names."""

    name: ClassVar[str] = "values-found"

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._puts: dict[bytes, _Put] = {}
        #: (key, value, node that read it) of reads that no acknowledged put explains yet.
        self._strange: list[tuple[bytes, bytes, int]] = []
        self._broken: list[Broken] = []
        self._next = 0
        self._lost = self._trouble_ns = 0
        swarm.ended.append(self._on_ended)

    def sample(self, swarm: Swarm) -> list[Broken]:
        lost = sum(swarm.network.lost.values())
        if lost != self._lost or any(host.pause is not None for host in swarm.engine.hosts):
            self._lost, self._trouble_ns = lost, swarm.engine.now_ns
        puts = list(self._puts.values())
        if len(puts) > _AT_ONCE:
            begin = self._next % len(puts)
            self._next = begin + _AT_ONCE
            puts = (puts + puts)[begin : begin + _AT_ONCE]
        for put in puts:
            if put.holders is None:
                if 0 <= put.acknowledged_ns <= swarm.engine.now_ns - _SETTLED_NS:
                    self._look(put)
            else:
                self._keeps(put, put.holders)
        broken, self._broken = self._broken, []
        return broken

    def at_end(self, swarm: Swarm) -> list[Broken]:
        for key, value, node in self._strange:
            put = self._puts.get(key)
            if put is not None and value not in put.values and put.author not in swarm.adversaries:
                self._tell(node, f"it read at {key.hex()[:8]} what the author, node {put.author}, never wrote")
        self._strange.clear()
        for put in self._puts.values():
            if put.holders is not None:
                self._keeps(put, put.holders)
        broken, self._broken = self._broken, []
        return broken

    # --- what is told ---

    def _on_ended(self, asked: Asked) -> None:
        if asked.node in self._swarm.adversaries:
            return
        if asked.name == "put":
            self._on_put(asked)
        elif asked.name == "get":
            self._on_get(asked)

    def _on_put(self, asked: Asked) -> None:
        args, engine = asked.args, self._swarm.engine
        # Also of a put that failed some copies may be out.
        salt = args.get("salt") or str(args.get("name") or "").encode()
        key = signed_key(self._swarm.population.id(asked.node), salt) if salt else blob_key(args["value"])
        put = self._puts.get(key)
        if put is None:
            if len(self._puts) >= _FOLLOWED:
                return
            put = self._puts[key] = _Put(key, asked.node)
        put.values[args["value"]] = None
        if isinstance(asked.outcome, Ok):
            put.acknowledged_ns, put.holders = engine.now_ns, None
            put.seq = max(put.seq, asked.outcome.value.get("seq") or 0)
            # Copies live a day (MAX_RECORD_TTL_MS), and are published again before.
            ttl_s = args.get("ttl_s")
            put.until_ms = engine.now_of(asked.node).wall_ms + 1000 * (86_000 if ttl_s is None else ttl_s)

    def _on_get(self, asked: Asked) -> None:
        args = asked.args
        if "key" not in args:
            return
        key = bytes.fromhex(args["key"])
        put = self._puts.get(key)
        if isinstance(asked.outcome, Ok):
            value = asked.outcome.value["value"]
            if (put is None or value not in put.values) and len(self._strange) < _FOLLOWED:
                self._strange.append((key, value, asked.node))
            return
        if (
            put is not None
            and put.holders is not None
            and asked.outcome.code in ("not_found", "timed_out")
            and self._should_be_found(asked, put, put.holders)
        ):
            told = asked.outcome.message
            self._tell(asked.node, f"it does not find {key.hex()[:8]}, which its k closest hold: {told}")

    # --- what is looked at ---

    def _look(self, put: _Put) -> None:
        """Who holds it, of those who run."""
        hosts = self._swarm.engine.hosts
        put.holders = {
            node: (hosts[node].disks, hosts[node].power_cuts)
            for node in self._swarm.honest()
            if hosts[node].disk is None and hosts[node].storage.settled and self._holds(node, put)
        }

    def _keeps(self, put: _Put, holders: dict[int, tuple[int, int]]) -> None:
        engine = self._swarm.engine
        for node, disks in holders.items():
            host = engine.hosts[node]
            if host.peer is None or (host.disks, host.power_cuts) != disks or host.clock is not None:
                continue
            if engine.now_of(node).wall_ms < put.until_ms and not self._holds(node, put) and not self._evicts(node):
                self._tell(node, f"it forgot {put.key.hex()[:8]}, which it held")

    def _holds(self, node: int, put: _Put) -> bool:
        peer = self._swarm.engine.peer(node)
        if not isinstance(peer, Peer):
            return False
        held = peer.dht.store.get(put.key, peer.loop.now.wall_ms)
        return held is not None and held.seq >= put.seq

    def _evicts(self, node: int) -> bool:
        peer = self._swarm.engine.peer(node)
        return isinstance(peer, Peer) and peer.dht.store.counters.evicted > 0

    def _should_be_found(self, asked: Asked, put: _Put, holders: dict[int, tuple[int, int]]) -> bool:
        swarm = self._swarm
        engine = swarm.engine
        calm = (
            not swarm.adversaries
            and sum(swarm.network.lost.values()) == self._lost
            and asked.began_ns - self._trouble_ns >= _CALM_NS
        )
        alive = [node for node in holders if engine.alive(node) and self._holds(node, put)]
        reader = engine.peer(asked.node) if engine.alive(asked.node) else None
        honest = swarm.honest()
        if not isinstance(reader, Peer) or len(reader.table) < min(K, len(honest) // 2):
            return False  # who just came knows nobody
        if not calm or 2 * len(alive) < len(holders) or engine.now_of(asked.node).wall_ms >= put.until_ms:
            return False
        near = Nearest()
        for node in honest:
            near.add(swarm.number(node))
        closest = dict.fromkeys(near.to(int.from_bytes(put.key, "big"), K))
        return any(swarm.number(node) in closest for node in alive)

    def _tell(self, node: int, what: str) -> None:
        self._broken.append(Broken(self.name, node, self._swarm.now_s, what))


class DiskKeepsSeqs:
    """The seq of an acknowledged put is on the disk of its author for ever, whatever kills the process or cuts the
    power; and no stamp is used twice. Another disk knows nothing of either."""

    name: ClassVar[str] = "disk-keeps-seqs"

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        #: (node, disks) -> salt -> seq.
        self._seqs: dict[tuple[int, int], dict[bytes, int]] = {}
        #: (node, disks) -> the last stamp seen.
        self._stamps: dict[tuple[int, int], int] = {}
        swarm.ended.append(self._on_ended)

    def sample(self, swarm: Swarm) -> list[Broken]:
        broken = []
        for node in swarm.honest():
            peer, place = swarm.engine.peer(node), (node, swarm.engine.hosts[node].disks)
            if not isinstance(peer, Peer):
                continue
            stamp, before = peer.endpoint.stamps._last, self._stamps.get(place, 0)
            if stamp < before:
                broken.append(Broken(self.name, node, swarm.now_s, f"it could use stamp {before} again"))
            self._stamps[place] = stamp
            for salt, seq in self._seqs.get(place, {}).items():
                if (kept := peer.own.stored_seq(salt)) < seq:
                    what = f"its disk says seq {kept} of {salt!r}, and seq {seq} was acknowledged"
                    broken.append(Broken(self.name, node, swarm.now_s, what))
        return broken

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm)

    def _on_ended(self, asked: Asked) -> None:
        if asked.name != "put" or not isinstance(asked.outcome, Ok) or asked.outcome.value.get("seq") is None:
            return
        name = asked.args.get("salt") or asked.args["name"].encode()
        seqs = self._seqs.setdefault((asked.node, self._swarm.engine.hosts[asked.node].disks), {})
        if name in seqs or len(seqs) < _FOLLOWED:
            seqs[name] = max(seqs.get(name, 0), asked.outcome.value["seq"])
