"""How many contacts of a table share a subnet, and whether that is too many.

The caps (overlay/limits.py) never keep a contact out of a bucket that has room; they decide who is
refused or makes room when it is full.
"""

from __future__ import annotations

from overlay.dht.bucket import Bucket, Entry
from overlay.limits import MAX_PER_SUBNET_IN_BUCKET, MAX_PER_SUBNET_IN_TABLE, MAX_PER_WIDE_SUBNET


class Crowds:
    """Members per group of one table; entries that are not capped are not counted."""

    __slots__ = ("_groups", "_large", "_wides")

    def __init__(self) -> None:
        self._groups: dict[bytes, int] = {}
        self._wides: dict[bytes, int] = {}
        #: Groups with more members than any of their caps could bite at.
        self._large = 0

    @property
    def any_large(self) -> bool:
        """False: no group of this table is over any of its caps."""
        return self._large > 0

    def count(self, entry: Entry, change: int) -> None:
        """`change` 1: it entered the table; -1: it left."""
        if not entry.capped:
            return
        for counts, group, cap in (
            (self._groups, entry.group, MAX_PER_SUBNET_IN_BUCKET),
            (self._wides, entry.wide, MAX_PER_WIDE_SUBNET),
        ):
            before = counts.get(group, 0)
            counts[group] = before + change
            self._large += (counts[group] > cap) - (before > cap)
            if not counts[group]:
                del counts[group]

    def crowded(self, bucket: Bucket, entry: Entry, joining: int, table_size: int) -> bool:
        """Whether its groups are over their caps, counting `joining` more than are in the table."""
        if not entry.capped:
            return False
        members = self._groups.get(entry.group, 0) + joining
        return (
            members > MAX_PER_SUBNET_IN_TABLE
            or self._wides.get(entry.wide, 0) + joining > max(MAX_PER_WIDE_SUBNET, table_size // 10)
            # A bucket holds no more of them than the table: nearly always it need not be counted.
            or (
                members > MAX_PER_SUBNET_IN_BUCKET
                and bucket.members_of(entry.group) + joining > MAX_PER_SUBNET_IN_BUCKET
            )
        )
