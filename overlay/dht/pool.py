"""All candidates of one lookup, near to far, with no more of one address group than its share.

What is known is bounded: the farthest that nobody has asked yet is forgotten for one that is nearer.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from overlay.dht.candidate import ANSWERED, FAILED, FRESH, LATE, Candidate, Path
from overlay.dht.diversity import Grouping
from overlay.limits import MAX_ADDRESSES_PER_KEY, MAX_CANDIDATES_PER_GROUP
from overlay.rpc.contact import Contact


class Pool:
    """The dicts and `alive` are for others to read."""

    __slots__ = (
        "_diversity", "_k", "_kth", "_kth_known", "_max", "_members", "_own", "_set_aside", "_target",
        "alive", "by_contact", "by_key", "by_rank",
    )  # fmt: skip

    def __init__(self, target: int, *, diversity: Grouping, k: int, own: int | None, most: int) -> None:
        self._target = target
        self._k = k
        self._own = own
        self._diversity = diversity
        self._max = most
        self.by_contact: dict[Contact, Candidate] = {}
        self.by_key: dict[bytes, list[Candidate]] = {}
        self.by_rank: dict[tuple[int, int], Candidate] = {}
        #: All that have not failed and are not late, nearest first.
        self.alive: list[tuple[int, int]] = []
        #: Living members per capped group.
        self._members: dict[bytes, list[Candidate]] = {}
        #: Beyond the cap of their group, nearest first: asked only if there are not k others.
        self._set_aside: list[tuple[int, int]] = []
        self._kth = 0
        self._kth_known = False

    def threshold(self) -> int:
        """Distance of the k-th nearest living key; endless if there are fewer."""
        if not self._kth_known:
            self._kth_known = True
            self._kth = 1 << 256
            keys = 0
            last = -1
            for distance, _ in self.alive:
                if distance != last:  # equal distance, same id, same key
                    last = distance
                    keys += 1
                    if keys == self._k:
                        self._kth = distance
                        break
        return self._kth

    def learn(self, contact: Contact, path: Path, hops: int, referrer: Contact | None) -> bool:
        """Somebody was named; a key stays on the path that named it first. Whether it is a new candidate."""
        if contact.number == self._own or contact in self.by_contact:
            return False
        same_key = self.by_key.get(contact.key)
        if same_key:
            living = [other for other in same_key if other.state not in (LATE, FAILED)]
            if len(living) >= MAX_ADDRESSES_PER_KEY or any(other.state is ANSWERED for other in living):
                return False
            path = same_key[0].path
        distance = contact.number ^ self._target
        if len(self.by_contact) >= self._max and not self._make_room(distance):
            return False
        group = self._diversity.group(contact.address) if self._diversity.capped(contact.address) else None
        rank = (distance, len(same_key) if same_key else 0)
        while rank in self.by_rank:  # a number given back by a forgotten address
            rank = (distance, rank[1] + 1)
        candidate = Candidate(contact, distance, path, hops, referrer, group, rank)
        self.by_contact[contact] = candidate
        self.by_rank[rank] = candidate
        if same_key is None:
            self.by_key[contact.key] = [candidate]
        else:
            same_key.append(candidate)
        if group is not None and not self._has_place(group, distance):
            insort(self._set_aside, rank)
        else:
            self.enlist(candidate)
        return True

    def _has_place(self, group: bytes, distance: int) -> bool:
        """Whether a candidate this near may join its group; a farther fresh one is set aside for it."""
        members = self._members.get(group, [])
        if len(members) < MAX_CANDIDATES_PER_GROUP:
            return True
        fresh = [member for member in members if member.state is FRESH and member.distance > distance]
        if not fresh:
            return False
        farthest = max(fresh, key=lambda member: member.rank)
        self.delist(farthest)
        insort(self._set_aside, farthest.rank)
        return True

    def enlist(self, candidate: Candidate) -> None:
        """It lives: may be asked, or has answered."""
        insort(self.alive, candidate.rank)
        insort(candidate.path.alive, candidate.rank)
        if candidate.state is FRESH:
            insort(candidate.path.fresh, candidate.rank)
        if candidate.group is not None:
            self._members.setdefault(candidate.group, []).append(candidate)
        if candidate.distance <= self._kth:
            self._kth_known = False

    def delist(self, candidate: Candidate) -> None:
        """Late, failed or set aside: in no list, but remembered."""
        path = candidate.path
        for ranks in (self.alive, path.alive, path.fresh) if candidate.state is FRESH else (self.alive, path.alive):
            del ranks[bisect_left(ranks, candidate.rank)]
        if candidate.group is not None:
            self._members[candidate.group].remove(candidate)
        if candidate.distance <= self._kth:
            self._kth_known = False

    def forget(self, candidate: Candidate) -> None:
        """Take a fresh candidate out altogether."""
        aside = bisect_left(self._set_aside, candidate.rank)
        if aside < len(self._set_aside) and self._set_aside[aside] == candidate.rank:
            del self._set_aside[aside]
        else:
            self.delist(candidate)
        del self.by_contact[candidate.contact]
        del self.by_rank[candidate.rank]
        same_key = self.by_key[candidate.contact.key]
        self.by_key[candidate.contact.key] = [other for other in same_key if other is not candidate]
        if not self.by_key[candidate.contact.key]:
            del self.by_key[candidate.contact.key]

    def _make_room(self, distance: int) -> bool:
        """Forget the farthest fresh candidate if it is farther than `distance`."""
        for ranks in (self._set_aside, self.alive):
            for rank in reversed(ranks):
                if rank[0] <= distance:
                    break
                if self.by_rank[rank].state is FRESH:
                    self.forget(self.by_rank[rank])
                    return True
        return False

    def is_short(self) -> bool:
        """Fewer than k living keys: in a network this small the caps of groups must not bite."""
        return self.threshold() == 1 << 256

    def has_reserve(self) -> bool:
        """Somebody who was set aside is wanted after all."""
        return bool(self._set_aside) and self.is_short()

    def bring_back(self) -> bool:
        """Let the nearest that was set aside in, if candidates are wanting."""
        if not self.has_reserve():
            return False
        self.enlist(self.by_rank[self._set_aside.pop(0)])
        return True
