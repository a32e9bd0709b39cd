"""The buckets of a routing table in the order of depth, and what that order says about distances.

Buckets split on our own prefix only, so the tree of the paper (Kademlia 2.4) is a list: bucket i holds
the contacts that share exactly i leading bits with us, the last one those that share at least as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from overlay.dht.bucket import Bucket, Entry
from overlay.dht.distance import BITS, bucket_index, common_prefix, random_in_bucket, random_under_prefix
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng


@attrs.frozen(slots=True)
class BucketView:
    """One bucket for people to look at; `entries` nearest to us first, `replacements` latest seen last."""

    depth: int
    entries: tuple[Entry, ...]
    replacements: tuple[Contact, ...]


class BucketList:
    """Never empty: it begins with one bucket for everybody."""

    __slots__ = ("_buckets", "_own")

    def __init__(self, own_number: int) -> None:
        self._own = own_number
        self._buckets = [Bucket(0, 0)]

    def __iter__(self) -> Iterator[Bucket]:
        return iter(self._buckets)

    def of(self, number: int) -> Bucket:
        return self._buckets[bucket_index(self._own, number, len(self._buckets))]

    def holds_deeper(self, bucket: Bucket, n: int) -> bool:
        """Whether the buckets behind this one, all nearer to us, have n live members."""
        for deeper in reversed(self._buckets[bucket.depth + 1 :]):
            n -= len(deeper.live)
            if n <= 0:
                return True
        return False

    def splits(self, bucket: Bucket) -> bool:
        """Whether this one may be split: it is the last one, and there are more bits to go by."""
        return bucket is self._buckets[-1] and bucket.depth < BITS - 1

    def split(self) -> tuple[Bucket, Bucket]:
        """Split the last bucket: what it is now, and the new last one."""
        bucket = self._buckets[-1]
        deeper = [
            key
            for key, entry in (*bucket.entries.items(), *bucket.spare.items())
            if common_prefix(self._own, entry.contact.number) > bucket.depth
        ]
        self._buckets.append(bucket.split(iter(deeper)))
        return bucket, self._buckets[-1]

    def closest(
        self,
        number: int,
        k: int,
        *,
        families: int = 3,
        include_failing: bool = False,
        accept: Callable[[Contact], bool] | None = None,
    ) -> list[Contact]:
        """Exactly the k contacts nearest to `number`, nearest first; fewer only if there are fewer.

        `families`: bit 1 admits IPv4, bit 2 IPv6. `accept` may refuse more.
        """
        # int.__xor__ as the key: an order of magnitude cheaper than a Python function.
        near = number.__xor__
        plain = families == 3 and accept is None and not include_failing
        found: list[Contact] = []
        for bucket in self._by_distance(number):
            live = bucket.live
            if include_failing:
                live = {entry.contact.number: entry.contact for entry in bucket.entries.values()}
            ordered = [live[n] for n in sorted(live, key=near)]
            if not plain:
                if families != 3:
                    ordered = [c for c in ordered if (2 if c.sort & 1 else 1) & families]
                if accept is not None:
                    ordered = [c for c in ordered if accept(c)]
            found += ordered
            if len(found) >= k:
                break
        del found[k:]
        return found

    def views(self) -> list[BucketView]:
        return [
            BucketView(
                bucket.depth,
                tuple(sorted(bucket.entries.values(), key=lambda entry: entry.contact.number ^ self._own)),
                tuple(entry.contact for entry in bucket.spare.values()),
            )
            for bucket in self._buckets
        ]

    def random_number(self, depth: int, rng: Rng) -> int:
        """A random number that belongs into the bucket of this depth."""
        if depth >= len(self._buckets) - 1:
            return random_under_prefix(self._own, len(self._buckets) - 1, rng)
        return random_in_bucket(self._own, depth, rng)

    def _by_distance(self, number: int) -> Iterator[Bucket]:
        """All buckets, each wholly nearer to `number` than the next.

        With b the bucket of `number`: bucket b agrees with it in bit b and comes first. All deeper ones
        differ in bit b; among them bucket j comes before those deeper than j if `number` differs from
        us in bit j. Those above b follow, deepest first.
        """
        buckets = self._buckets
        last = len(buckets) - 1
        differs = self._own ^ number
        b = min(BITS - differs.bit_length(), last)
        yield buckets[b]
        if b < last:
            after = []
            for j in range(b + 1, last):
                if differs >> (BITS - 1 - j) & 1:
                    yield buckets[j]
                else:
                    after.append(j)
            yield buckets[last]
            for j in reversed(after):
                yield buckets[j]
        for j in range(b - 1, -1, -1):
            yield buckets[j]
