"""The XOR metric of Kademlia (paper section 2.1) on 256-bit integers.

Ids and keys are compared as big-endian integers. A prefix of `depth` bits that two numbers share
is the unit in which the routing table thinks.
"""

from __future__ import annotations

from overlay.runtime.chance import Rng

BITS = 256
SPACE = 1 << BITS


def number_of(identifier: bytes) -> int:
    """32 bytes of an id or a key as the integer that distances are taken of."""
    return int.from_bytes(identifier, "big")


def distance(a: int, b: int) -> int:
    return a ^ b


def common_prefix(a: int, b: int) -> int:
    """Leading bits that `a` and `b` share, 0..256."""
    return BITS - (a ^ b).bit_length()


def bucket_index(own: int, other: int, buckets: int) -> int:
    """Place of `other` in a table of `buckets` buckets whose last holds every longer prefix too."""
    return min(common_prefix(own, other), buckets - 1)


def random_in_bucket(own: int, depth: int, rng: Rng) -> int:
    """A random number that shares exactly `depth` leading bits with `own`, 0 <= depth < 256."""
    below = BITS - depth - 1
    return (((own >> below) ^ 1) << below) | (random_number(rng) & ((1 << below) - 1))


def random_under_prefix(own: int, depth: int, rng: Rng) -> int:
    """A random number that shares at least `depth` leading bits with `own`, 0 <= depth <= 256."""
    below = BITS - depth
    return ((own >> below) << below) | (random_number(rng) & ((1 << below) - 1))


def random_number(rng: Rng) -> int:
    """Uniform in [0, 2**256)."""
    return int.from_bytes(rng.bytes(BITS // 8), "big")
