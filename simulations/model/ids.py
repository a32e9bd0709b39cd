"""Sorted ids, and who shares a prefix with whom: the parts of the model that numba compiles.

Ids are the first 64 bits of the real ones: of a million nodes no two agree in them (odds of 1 in 37 million).
Functions here take `ids` sorted and `starts` from `start_index`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.model.compiled import inline, jit

Ids = NDArray[np.uint64]
Indexes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ONE = np.uint64(1)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


def start_index(ids: Ids) -> Indexes:
    """Where each prefix of log2(n) - 2 bits begins in `ids`, one more entry for the end: four ids a prefix, so that
    a search ends in the cache line where it began."""
    bits = min(24, max(1, len(ids).bit_length() - 3))
    prefixes = (ids >> np.uint64(64 - bits)).astype(np.int64)
    return np.searchsorted(prefixes, np.arange((1 << bits) + 1)).astype(np.int64)


@inline
def mix(x: Any) -> Any:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): chance by counter, the same on any thread."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inline
def below(x: Any, n: Any) -> Any:
    """The upper half of the random `x` as a number below `n`."""
    return np.int64(((x >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@jit
def leading_zeros(x: Any) -> Any:
    """Of 64 bits."""
    if x == 0:
        return 64
    n = 0
    for step in (32, 16, 8, 4, 2, 1):
        if x >> np.uint64(64 - step) == 0:
            n += step
            x <<= np.uint64(step)
    return n


@jit
def _lower(ids: Any, starts: Any, value: Any) -> Any:
    """The first index whose id is not below `value`."""
    shift = np.uint64(1 + leading_zeros(np.uint64(starts.size - 1)))  # 64 less the bits of a prefix
    prefix = np.int64(value >> shift)
    low, high = starts[prefix], starts[prefix + 1]
    while low < high:
        middle = (low + high) >> 1
        if ids[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def sharing(ids: Any, starts: Any, base: Any, bits: Any) -> Any:
    """(first, end): the indexes of all ids that share `bits` leading bits with `base`."""
    if bits <= 0:
        return np.int64(0), np.int64(ids.size)
    if bits >= 64:
        bits = 64
    low = np.uint64(64 - bits)
    first = (base >> low) << low
    last = first | ((_ONE << low) - _ONE)
    begin = _lower(ids, starts, first)
    if last == _FULL:
        return begin, np.int64(ids.size)
    return begin, _lower(ids, starts, last + _ONE)


@jit
def nearest(ids: Any, starts: Any, target: Any, count: Any, out: Any) -> Any:
    """Put the indexes of the `count` ids nearest to `target` by XOR into `out`, nearest first; how many there are.

    They all share the longest prefix that `count` ids share with it."""
    bits = 63 - leading_zeros(np.uint64(max(1, ids.size // count)))
    begin, end = sharing(ids, starts, target, bits)
    while end - begin < count and bits > 0:
        bits -= 1
        begin, end = sharing(ids, starts, target, bits)
    while bits < 64:
        inner_begin, inner_end = sharing(ids, starts, target, bits + 1)
        if inner_end - inner_begin < count:
            break
        bits, begin, end = bits + 1, inner_begin, inner_end
    return keep_nearest(ids, target, begin, end, count, out)


@jit
def keep_nearest(ids: Any, target: Any, begin: Any, end: Any, count: Any, out: Any) -> Any:
    """The `count` nearest of the indexes [begin, end), nearest first, into `out`; how many there are."""
    n = 0
    for node in range(begin, end):
        distance = ids[node] ^ target
        if n == count and distance >= ids[out[n - 1]] ^ target:
            continue
        at = n if n < count else count - 1
        while at > 0 and ids[out[at - 1]] ^ target > distance:
            out[at] = out[at - 1]
            at -= 1
        out[at] = node
        n = min(n + 1, count)
    return n
