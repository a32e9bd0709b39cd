"""Who may keep how much on this node: in all, per author and per storing group.

Items are numbers that grow with the distance from our own id: when a quota is full, the farthest item
of that quota makes room, or the newcomer is refused if it is the farthest itself. So a flood displaces
what others hold as well, never what we are among the closest to.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import attrs


@attrs.frozen(slots=True)
class Owner:
    """Whom an item is charged to. An empty group is ourselves: not charged."""

    author: bytes
    group: bytes


class Quota:
    """Counts items and names whom to evict; it holds no data."""

    __slots__ = ("_all", "_authors", "_groups", "_owners", "_per_author", "_per_group", "_total")

    def __init__(self, *, total: int, per_author: int, per_group: int) -> None:
        self._total = total
        self._per_author = per_author
        self._per_group = per_group
        self._owners: dict[int, Owner] = {}
        #: Nearest first. Sorted lists: an insertion moves 8 bytes an item, 65,536 items in 20 us.
        self._all: list[int] = []
        self._authors: dict[bytes, list[int]] = {}
        self._groups: dict[bytes, list[int]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, item: int) -> bool:
        return item in self._owners

    def admit(self, item: int, owner: Owner) -> list[int] | None:
        """Charge a new item. The items that must go for it (taken off already), or None: refused."""
        quotas = [(self._authors.get(owner.author, []), self._per_author), (self._all, self._total)]
        if owner.group:
            quotas.insert(0, (self._groups.get(owner.group, []), self._per_group))
        out: list[int] = []  # at most one a quota, and what leaves for one may do for the next
        for items, most in quotas:
            going = [gone for gone in out if _holds(items, gone)]
            if len(items) - len(going) < most:
                continue
            farthest = next((other for other in reversed(items) if other not in going), -1)
            if farthest < item:
                return None
            out.append(farthest)
        for gone in out:
            self.release(gone)
        self._owners[item] = owner
        insort(self._all, item)
        insort(self._authors.setdefault(owner.author, []), item)
        if owner.group:
            insort(self._groups.setdefault(owner.group, []), item)
        return out

    def release(self, item: int) -> None:
        """The item is gone."""
        owner = self._owners.pop(item, None)
        if owner is None:
            return
        del self._all[bisect_left(self._all, item)]
        _discard(self._authors, owner.author, item)
        if owner.group:
            _discard(self._groups, owner.group, item)


def _holds(items: list[int], item: int) -> bool:
    at = bisect_left(items, item)
    return at < len(items) and items[at] == item


def _discard(lists: dict[bytes, list[int]], name: bytes, item: int) -> None:
    items = lists[name]
    del items[bisect_left(items, item)]
    if not items:
        del lists[name]
