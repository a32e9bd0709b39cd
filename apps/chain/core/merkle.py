"""The hash tree over the transactions of a block: RFC 6962 section 2.1, with SHA-256.

A leaf is hashed behind 0x00 and a node behind 0x01, so neither passes for the other (CVE-2017-12842), and nothing is
hashed twice to fill up a level (CVE-2012-2459). A header says how many leaves there are, which fixes the length of
every path. An odd last node that is carried up unchanged gives the same tree as the splits of the RFC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

_sha256 = hashlib.sha256

HASH_BYTES = 32
#: The root without leaves.
EMPTY: Final = _sha256(b"").digest()


def leaf_of(data: bytes) -> bytes:
    return _sha256(b"\x00" + data).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root above leaves as `leaf_of` makes them."""
    level = list(leaves)
    if not level:
        return EMPTY
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def path_of(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of a leaf (RFC 6962 2.1.1), from the bottom up. IndexError if there is no such leaf."""
    level, path = list(leaves), []
    if not 0 <= index < len(level):
        raise IndexError(index)
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        level, index = _level_above(level), index >> 1
    return tuple(path)


def proves(root: bytes, leaves: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether `leaf` is the one at `index` of so many, by its path. One of any other length proves nothing."""
    if not 0 <= index < leaves:
        return False
    node, step, last = leaf, 0, leaves - 1
    while last:
        if index & 1 or index < last:
            if step == len(path):
                return False
            beside = path[step]
            node = _sha256(b"\x01" + beside + node if index & 1 else b"\x01" + node + beside).digest()
            step += 1
        index >>= 1
        last >>= 1
    return step == len(path) and node == root


def _level_above(level: list[bytes]) -> list[bytes]:
    pairs = iter(level)
    above = [_sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above
