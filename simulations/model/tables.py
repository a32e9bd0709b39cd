"""Routing tables that nobody stores: what a node would answer, drawn when it is asked, the same each time.

A bucket is all ids that share exactly so many bits with a node. A node knows all of it if they are at most k, and
always its own k nearest (overlay.dht.membership, Kademlia 2.4). Of larger buckets it knows k, and not any k: it met
them when it joined, by a lookup of a random id in the bucket (overlay.dht.upkeep), so most of them lie side by side,
and they are nodes that were there before it. Tables drawn evenly would be better than those of the swarm by 4 points
of success at 300 nodes, half of them colluding. Routers that collude hold the share of most buckets that they hold of
the network, here and in the swarm; but a lookup that they captured fills a bucket with them alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from overlay.limits import K
from simulations.model.compiled import jit
from simulations.model.ids import Flags, Ids, Indexes, below, leading_zeros, mix, sharing

#: Room for one group: k drawn and k nearest, or the last bucket.
ROOM = 2 * K

#: Places of a large bucket that are not side by side: bootstraps, who asked us first, and whom the lookup met on its
#: way, 0.6 a doubling (what a lookup of the model asks beyond the k closest). The first four fit swarms of 300.
_SCATTERED = 4
#: Seniority is in 256ths of the time over which the network grew; the first sixteenth is one generation, else a
#: bucket would be searched for too long.
_FIRST = 16


class Net(NamedTuple):
    """A network; all arrays in the order of the sorted ids."""

    ids: Ids
    starts: Indexes
    #: When each node joined, in 256ths of the time over which the network grew.
    born: NDArray[np.uint8]
    bad: Flags
    #: The share, in 65,536ths, of large buckets that a captured lookup has filled.
    capture: int
    seed: np.uint64


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


@jit
def closest(net: Any, node: Any, asker: Any, target: Any, group: Any, out: Any) -> Any:
    """Put the k contacts of `node` nearest to `target` into `out` (not sorted); how many there are.

    `asker` is never one of them. `group` is work space for ROOM indexes. The order of the buckets is that of
    overlay.dht.bucket_list."""
    ids, starts = net.ids, net.starts
    own = ids[node]
    difference = own ^ target
    bit = min(leading_zeros(difference), 63)
    found = 0
    skipped = np.uint64(0)  # buckets that come after the deeper ones, a bit each
    depth = bit
    while depth < 64:
        begin, end = sharing(ids, starts, own, depth)
        if end - begin <= K + 1:  # the last bucket: everybody
            size = 0
            for other in range(begin, end):
                if other != node and other != asker:
                    group[size] = other
                    size += 1
            found = _add(ids, target, group, size, out, found)
            break
        if depth == bit or (difference >> np.uint64(63 - depth)) & _ONE:
            size = bucket(net, node, depth, group)
            found = _add(ids, target, group, _without(group, size, asker), out, found)
            if found == K:
                return found
        else:
            skipped |= _ONE << np.uint64(depth)
        depth += 1
    depth = min(depth, 63)
    while depth >= 0 and found < K:
        if depth < bit or (skipped >> np.uint64(depth)) & _ONE:
            size = bucket(net, node, depth, group)
            found = _add(ids, target, group, _without(group, size, asker), out, found)
        depth -= 1
    return found


@jit
def bucket(net: Any, node: Any, depth: Any, out: Any) -> Any:
    """Put whom `node` knows of those who share exactly `depth` bits with it into `out`; how many they are."""
    ids, starts, born, bad = net.ids, net.starts, net.born, net.bad
    own = ids[node]
    begin, end = sharing(ids, starts, own ^ (_ONE << np.uint64(63 - depth)), depth + 1)
    size = end - begin
    if size <= K:
        for i in range(size):
            out[i] = begin + i
        return size
    counter = mix(net.seed ^ mix(np.uint64(node) * _GOLDEN + np.uint64(depth)))
    # Who was there before it, but enough of them for k.
    until = max(max(_FIRST, born[node]), min(255, 384 * K // size))
    n, tries = 0, 0
    scattered = _SCATTERED + max(0, 56 - leading_zeros(np.uint64(size))) * 6 // 10
    while n < scattered and tries < 16 * scattered:
        counter += _GOLDEN
        other = begin + below(mix(counter), size)
        if born[other] <= until and not _has(out, n, other):
            out[n] = other
            n += 1
        tries += 1
    scattered = n
    other = begin + below(mix(counter + _GOLDEN), size)
    captured = below(mix(counter ^ _GOLDEN), 1 << 16) < net.capture
    for step in range(2 * size):
        if n == K:
            break
        other = other + 1 if other + 1 < end else begin
        if step == size:
            until, captured = 255, False  # too few were there before it
            scattered = n
        if born[other] <= until and (bad[other] or not captured) and not _has(out, scattered, other):
            out[n] = other
            n += 1
    deeper_begin, deeper_end = sharing(ids, starts, own, depth + 1)
    missing = K - (deeper_end - deeper_begin - 1)
    if missing > 0:
        n = _add_neighbours(ids, own, begin, end, missing, out)
    return n


@jit
def _add_neighbours(ids: Any, own: Any, begin: Any, end: Any, count: Any, out: Any) -> Any:
    """The `count` of [begin, end) nearest to `own`, after the k that `out` has; how many that makes."""
    n = K
    near = np.empty(K, np.int64)
    distances = np.empty(K, np.uint64)
    kept = 0
    for node in range(begin, end):
        distance = ids[node] ^ own
        if kept == count and distance >= distances[kept - 1]:
            continue
        at = kept if kept < count else count - 1
        while at > 0 and distances[at - 1] > distance:
            near[at], distances[at] = near[at - 1], distances[at - 1]
            at -= 1
        near[at], distances[at] = node, distance
        kept = min(kept + 1, count)
    for i in range(kept):
        if not _has(out, K, near[i]):
            out[n] = near[i]
            n += 1
    return n


@jit
def _has(nodes: Any, n: Any, node: Any) -> Any:
    for i in range(n):  # noqa: SIM110 - compiled: no generators
        if nodes[i] == node:
            return True
    return False


@jit
def _without(nodes: Any, n: Any, node: Any) -> Any:
    """Take `node` out of the first n, in place; how many are left."""
    for i in range(n):
        if nodes[i] == node:
            nodes[i] = nodes[n - 1]
            return n - 1
    return n


@jit
def _add(ids: Any, target: Any, group: Any, size: Any, out: Any, found: Any) -> Any:
    """Add the nearest of `group` to `out` as far as there is room for k; how many that makes."""
    room = K - found
    if size > room:
        for i in range(room):  # the nearest first, as far as they are wanted
            best = i
            for j in range(i + 1, size):
                if ids[group[j]] ^ target < ids[group[best]] ^ target:
                    best = j
            group[i], group[best] = group[best], group[i]
        size = room
    for i in range(size):
        out[found + i] = group[i]
    return found + size
