"""The lookup of overlay.dht.lookup and shortlist, compiled: whom it asks, in which order, and when it ends.

Requests take a random time each, as on a link of scenarios between the ends of an internet, so paths run ahead of each
other as they do in the swarm. Nobody is silent, so nobody is slow, late or failed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from overlay.limits import ALPHA, MAX_LOOKUP_RPCS, PATH_WIDTH, PATHS, K
from simulations.model.compiled import jit, parallel
from simulations.model.ids import Flags, Ids, Indexes, below, mix, nearest
from simulations.model.tables import ROOM, Net, closest

#: Candidates that a path keeps: one that has K nearer ones on its own path is never asked.
_KEPT = K
#: Keys that a lookup remembers, a power of two: MAX_LOOKUP_CANDIDATES four times over, so that chains stay short.
_KNOWN = 4096
_MOST_KNOWN = 3072
_FRESH, _ASKED, _ANSWERED = 0, 1, 2
#: One way, in us, evenly drawn. The mean is near that of the profile "wan", whose table goes from 8 to 200 ms.
_LATENCY_US = (20_000, 120_000)
_ENDLESS = np.uint64(0xFFFFFFFFFFFFFFFF)


@jit
def _learn(known: Any, node: Any) -> Any:
    """Whether `node` is new to the set."""
    at = np.int64((np.uint64(node) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52))
    while known[at] != -1:
        if known[at] == node:
            return False
        at = (at + 1) & (_KNOWN - 1)
    known[at] = node
    return True


@jit
def _insert(keys: Any, nodes: Any, states: Any, hops: Any, n: Any, key: Any, node: Any, state: Any, hop: Any) -> Any:
    """Into columns sorted by `keys`, which hold as many as there is room for; how many they are."""
    room = keys.size
    if n == room and key >= keys[n - 1]:
        return n
    at = n if n < room else room - 1
    while at > 0 and keys[at - 1] > key:
        keys[at], nodes[at], states[at], hops[at] = keys[at - 1], nodes[at - 1], states[at - 1], hops[at - 1]
        at -= 1
    keys[at], nodes[at], states[at], hops[at] = key, node, state, hop
    return min(n + 1, room)


@jit
def _push(keys: Any, n: Any, key: Any) -> Any:
    """Into the sorted k smallest; how many they are."""
    if n == K and key >= keys[n - 1]:
        return n
    at = n if n < K else K - 1
    while at > 0 and keys[at - 1] > key:
        keys[at] = keys[at - 1]
        at -= 1
    keys[at] = key
    return min(n + 1, K)


@jit
def _limit(kth: Any, keys: Any, n: Any, paths: Any) -> Any:
    """Distance up to which candidates of a path are asked and waited for (Shortlist._limit)."""
    if paths > 1 and n > 0:
        return max(kth, keys[min(PATH_WIDTH, n) - 1])
    return kth


@jit
def _askable(keys: Any, states: Any, n: Any, limit: Any) -> Any:
    for i in range(n):
        if keys[i] > limit:
            return -1
        if states[i] == _FRESH:
            return i
    return -1


@jit
def one(
    net: Any, ring: Any, ring_size: Any, source: Any, target: Any, owner: Any, paths: Any, chance: Any,
) -> Any:  # fmt: skip
    """(found `owner` among the k closest that answered, RPCs, hops of these k) of one lookup.

    `ring`: the accomplices nearest to the target, which every colluding router names."""
    ids, bad = net.ids, net.bad
    group, named = np.empty(ROOM, np.int64), np.empty(K, np.int64)
    count = closest(net, source, source, target, group, named)
    seeds = np.empty(K, np.int64)
    for i in range(count):
        at = i
        while at > 0 and ids[seeds[at - 1]] ^ target > ids[named[i]] ^ target:
            seeds[at] = seeds[at - 1]
            at -= 1
        seeds[at] = named[i]
    paths = max(1, min(paths, count))
    known = np.full(_KNOWN, -1, np.int32)
    keys, nodes = np.empty((PATHS, _KEPT), np.uint64), np.empty((PATHS, _KEPT), np.int64)
    states, hops = np.empty((PATHS, _KEPT), np.int64), np.empty((PATHS, _KEPT), np.int64)
    sizes, asked = np.zeros(PATHS, np.int64), np.zeros(PATHS, np.int64)
    alive, alive_size = np.empty(K, np.uint64), 0
    knows = 0
    for i in range(count):
        path = i % paths
        _learn(known, seeds[i])
        knows += 1
        key = ids[seeds[i]] ^ target
        sizes[path] = _insert(
            keys[path], nodes[path], states[path], hops[path], sizes[path], key, seeds[i], _FRESH, 0
        )  # fmt: skip
        alive_size = _push(alive, alive_size, key)

    slots = ALPHA if paths == 1 else 1
    room = max(PATHS, ALPHA)
    due, flying = np.empty(room, np.int64), np.empty(room, np.int64)
    flying_path, flying_hop = np.empty(room, np.int64), np.empty(room, np.int64)
    in_flight, now = 0, 0
    answered, answered_node = np.empty(K, np.uint64), np.empty(K, np.int64)
    answered_hop, unused, answered_size = np.empty(K, np.int64), np.empty(K, np.int64), 0
    rpcs = 0
    while True:
        kth = alive[K - 1] if alive_size == K else _ENDLESS
        for path in range(paths):
            while asked[path] < slots and rpcs < MAX_LOOKUP_RPCS:
                limit = _limit(kth, keys[path], sizes[path], paths)
                place = _askable(keys[path], states[path], sizes[path], limit)
                if place < 0:
                    break
                states[path, place] = _ASKED
                asked[path] += 1
                rpcs += 1
                chance = mix(chance + np.uint64(0x9E3779B97F4A7C15))
                span = _LATENCY_US[1] - _LATENCY_US[0]
                due[in_flight] = now + 2 * _LATENCY_US[0] + below(chance, span) + below(mix(chance), span)
                flying[in_flight], flying_path[in_flight] = nodes[path, place], path
                flying_hop[in_flight] = hops[path, place]
                in_flight += 1
        waited = False
        next_up = 0
        for i in range(in_flight):
            path = flying_path[i]
            waited |= ids[flying[i]] ^ target <= _limit(kth, keys[path], sizes[path], paths)
            if due[i] < due[next_up]:
                next_up = i
        for path in range(paths):  # somebody whose path waits for an answer that no longer matters
            waited |= _askable(keys[path], states[path], sizes[path], _limit(kth, keys[path], sizes[path], paths)) >= 0
        if not waited or in_flight == 0:
            break
        now, node, path, hop = due[next_up], flying[next_up], flying_path[next_up], flying_hop[next_up]
        in_flight -= 1
        due[next_up], flying[next_up] = due[in_flight], flying[in_flight]
        flying_path[next_up], flying_hop[next_up] = flying_path[in_flight], flying_hop[in_flight]
        asked[path] -= 1
        key = ids[node] ^ target
        for i in range(sizes[path]):
            if keys[path, i] == key:
                states[path, i] = _ANSWERED
        answered_size = _insert(answered, answered_node, unused, answered_hop, answered_size, key, node, 0, hop)
        lies = bad[node]
        count = ring_size if lies else closest(net, node, source, target, group, named)
        for i in range(count):
            other = ring[i] if lies else named[i]
            if other == node or knows >= _MOST_KNOWN or not _learn(known, other):
                continue
            knows += 1
            key = ids[other] ^ target
            sizes[path] = _insert(
                keys[path], nodes[path], states[path], hops[path], sizes[path], key, other, _FRESH, hop + 1
            )  # fmt: skip
            alive_size = _push(alive, alive_size, key)
    deepest, found = 0, False
    for i in range(answered_size):
        deepest = max(deepest, answered_hop[i])
        found |= answered_node[i] == owner
    return found, rpcs, deepest


@parallel
def many(
    net: Net, bad_ids: Ids, bad_starts: Indexes, bad_nodes: Indexes, targets: Ids, sources: Indexes, paths: int,
    found: Flags, rpcs: Indexes, hops: Indexes,
) -> None:  # fmt: skip
    """One lookup a target, over all cores; fills the last three arrays. `bad_nodes`: indexes of `bad_ids`."""
    for i in numba.prange(targets.size):
        target = targets[i]
        ring = np.empty(K, np.int64)
        ring_size = nearest(bad_ids, bad_starts, target, K, ring) if bad_ids.size else 0
        for j in range(ring_size):
            ring[j] = bad_nodes[ring[j]]
        owner = _owner(net, target, sources[i])
        chance = mix(net.seed ^ mix(np.uint64(i) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)))
        found[i], rpcs[i], hops[i] = one(
            net, ring, ring_size, sources[i], target, owner, paths, chance
        )  # fmt: skip


@jit
def _owner(net: Any, target: Any, source: Any) -> Any:
    """The honest node nearest to the target that is not the one who looks: what a lookup must find."""
    count = 16
    while True:
        near = np.empty(count, np.int64)
        n = nearest(net.ids, net.starts, target, count, near)
        for i in range(n):
            if not net.bad[near[i]] and near[i] != source:
                return near[i]
        if n == net.ids.size:
            return np.int64(-1)
        count = min(4 * count, net.ids.size)
