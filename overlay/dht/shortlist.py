"""The candidates of one lookup: whom to ask next, whom to wait for, when it is over.

Sans-IO. The caller sends what `next` names and reports what became of it:

    while not shortlist.finished():
        while (contact := shortlist.next()) is not None:
            ...                                 # send FIND_NODE
        ...                                     # wait for on_reply, on_slow, on_late, on_failed

A candidate is a key at an address (an honest key may be named at a false address). With several
disjoint paths (S/Kademlia section 4.4) a key belongs to the path that named it first, and every path
follows its own closest candidates whatever the others found, so one malicious peer misleads one path.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from overlay.dht.candidate import Candidate, Path, State
from overlay.dht.diversity import Grouping
from overlay.limits import (
    ALPHA,
    MAX_ADDRESSES_PER_KEY,
    MAX_CANDIDATES_PER_GROUP,
    MAX_LOOKUP_CANDIDATES,
    PATH_WIDTH,
    K,
)
from overlay.rpc.contact import Contact


class Shortlist:
    """See the module docstring. `radius`: everybody within this distance is asked, however many."""

    __slots__ = (
        "_alive", "_by_contact", "_by_key", "_by_rank", "_diversity", "_in_flight", "_k", "_kth",
        "_kth_known", "_max", "_members", "_own", "_paths", "_radius", "_set_aside", "_target", "_turn", "_width",
        "alpha",
    )  # fmt: skip

    def __init__(
        self,
        target: int,
        *,
        seeds: Sequence[Contact],
        diversity: Grouping,
        k: int = K,
        alpha: int = ALPHA,
        paths: int = 1,
        width: int = PATH_WIDTH,
        radius: int | None = None,
        own: int | None = None,
        max_candidates: int = MAX_LOOKUP_CANDIDATES,
    ) -> None:
        """`own` is the number of the node that looks: it is never a candidate of its own lookup."""
        self._target = target
        self._k = k
        self._radius = -1 if radius is None else radius
        self._own = own
        self._diversity = diversity
        self._max = max_candidates
        self._by_contact: dict[Contact, Candidate] = {}
        self._by_key: dict[bytes, list[Candidate]] = {}
        self._by_rank: dict[tuple[int, int], Candidate] = {}
        #: All that have not failed and are not late, nearest first.
        self._alive: list[tuple[int, int]] = []
        #: Living members per capped group.
        self._members: dict[bytes, list[Candidate]] = {}
        #: Beyond the cap of their group, nearest first: asked only if there are not k others.
        self._set_aside: list[tuple[int, int]] = []
        self._in_flight: dict[Candidate, None] = {}
        self._kth = 0
        self._kth_known = False
        self._turn = 0
        nearest = sorted(dict.fromkeys(seeds), key=lambda c: c.number ^ target)
        count = max(1, min(paths, len({c.key for c in nearest if c.number != own})))
        self._paths = [Path(i) for i in range(count)]
        #: Requests in flight if there is a single path; may be changed on the way. Several paths have
        #: one each, so that each walks by what its own peers say.
        self.alpha = alpha
        #: A single path has no account of its own: it is the lookup.
        self._width = width if count > 1 else 0
        dealt = 0
        for contact in nearest:
            if self._learn(contact, self._paths[dealt % count], 0, None):
                dealt += 1

    # --- whom to ask ---------------------------------------------------------------------------

    def next(self) -> Contact | None:
        """Somebody to ask now, or None: all slots are taken or nobody is left."""
        paths = self._paths
        slots = self.alpha if len(paths) == 1 else 1
        while True:
            for turn in range(len(paths)):
                path = paths[(self._turn + turn) % len(paths)]
                if path.asked < slots and (candidate := self._askable(path)) is not None:
                    self._turn = (path.number + 1) % len(paths)
                    path.asked += 1
                    candidate.state = State.ASKED
                    self._in_flight[candidate] = None
                    return candidate.contact
            if self.waiting() or not self._bring_back():
                return None

    def waiting(self) -> bool:
        """Whether an answer is due that could still change what this lookup finds."""
        return any(self._matters(candidate) for candidate in self._in_flight)

    def finished(self) -> bool:
        """Nobody to ask and nobody to wait for. What is found then is final but for late answers."""
        if self.waiting() or any(self._askable(path) is not None for path in self._paths):
            return False
        return not (self._set_aside and self._wants_more())

    @property
    def short(self) -> bool:
        """Fewer than k living keys are known: give it more seeds, if there are any."""
        return self._wants_more()

    def add_seeds(self, contacts: Iterable[Contact]) -> int:
        """More contacts of our own, dealt to the paths like the first. How many are new candidates."""
        added = 0
        for contact in contacts:
            added += self._learn(contact, self._paths[added % len(self._paths)], 0, None)
        return added

    # --- what became of it ---------------------------------------------------------------------

    def on_slow(self, contact: Contact) -> None:
        """Its first try took longer than usual: somebody else gets its slot."""
        candidate = self._by_contact.get(contact)
        if candidate is not None and candidate.state is State.ASKED:
            candidate.state = State.SLOW
            candidate.path.asked -= 1

    def on_late(self, contact: Contact) -> None:
        """Its second try was silent too: the lookup may end without it."""
        candidate = self._by_contact.get(contact)
        if candidate is not None and candidate.state in (State.ASKED, State.SLOW):
            self._land(candidate, State.LATE)
            self._bury(candidate)

    def on_failed(self, contact: Contact) -> None:
        candidate = self._by_contact.get(contact)
        if candidate is not None and candidate.state in (State.ASKED, State.SLOW):
            self._land(candidate, State.FAILED)
            self._bury(candidate)
        elif candidate is not None and candidate.state is State.LATE:
            candidate.state = State.FAILED

    def on_reply(self, contact: Contact, contacts: Iterable[Contact]) -> int:
        """`contact` answered with `contacts`. How many of them are new candidates.

        Answers of those who were not asked, or had answered or failed, change nothing.
        """
        candidate = self._by_contact.get(contact)
        if candidate is None or candidate.state not in (State.ASKED, State.SLOW, State.LATE):
            return 0
        if candidate.state is State.LATE:
            self._revive(candidate)
        else:
            self._land(candidate, State.ANSWERED)
        for other in self._by_key[contact.key]:
            if other.state is State.FRESH:
                self._forget(other)  # this key has answered: its other addresses are of no use
        learnt = 0
        keys: set[bytes] = set()
        for named in contacts:
            # One address a key from one peer: else it alone could use up MAX_ADDRESSES_PER_KEY.
            if named not in self._by_contact and named.key not in keys:
                learnt += self._learn(named, candidate.path, candidate.hops + 1, contact)
            keys.add(named.key)
        return learnt

    # --- what was found ------------------------------------------------------------------------

    def answered(self) -> list[Contact]:
        """All that answered, nearest first."""
        by_rank = self._by_rank
        alive = (by_rank[rank] for rank in self._alive)
        return [candidate.contact for candidate in alive if candidate.state is State.ANSWERED]

    def closest_answered(self, k: int) -> list[Contact]:
        """The k nearest keys that answered (at the nearest address that did), nearest first."""
        found: dict[bytes, Contact] = {}
        for contact in self.answered():
            found.setdefault(contact.key, contact)
            if len(found) == k:
                break
        return list(found.values())

    def path_of(self, contact: Contact) -> int:
        """Number of the path that `contact` belongs to, from 0; contacts of this lookup only."""
        return self._by_contact[contact].path.number

    def hops(self, contact: Contact) -> int:
        """0 for a seed, one more than its referrer for others."""
        return self._by_contact[contact].hops

    def referrer(self, contact: Contact) -> Contact | None:
        """Who named it first; None for a seed."""
        return self._by_contact[contact].referrer

    @property
    def paths(self) -> int:
        """Paths that there are seeds for."""
        return len(self._paths)

    def __contains__(self, contact: Contact) -> bool:
        return contact in self._by_contact

    def __len__(self) -> int:
        """Candidates that are known, failed ones included."""
        return len(self._by_contact)

    # --- how -----------------------------------------------------------------------------------

    def _threshold(self) -> int:
        """Distance of the k-th nearest living key; endless if there are fewer."""
        if not self._kth_known:
            self._kth_known = True
            self._kth = 1 << 256
            keys = 0
            last = -1
            for distance, _ in self._alive:
                if distance != last:  # equal distance, same id, same key
                    last = distance
                    keys += 1
                    if keys == self._k:
                        self._kth = distance
                        break
        return self._kth

    def _limit(self, path: Path) -> int:
        """Distance up to which candidates of this path are asked and waited for."""
        limit = max(self._threshold(), self._radius)
        if self._width and path.alive:
            limit = max(limit, path.alive[min(self._width, len(path.alive)) - 1][0])
        return limit

    def _matters(self, candidate: Candidate) -> bool:
        return candidate.distance <= self._limit(candidate.path)

    def _askable(self, path: Path) -> Candidate | None:
        limit = self._limit(path)
        by_rank = self._by_rank
        for rank in path.alive:
            if rank[0] > limit:
                return None
            candidate = by_rank[rank]
            if candidate.state is State.FRESH:
                others = self._by_key[candidate.contact.key]
                if len(others) == 1 or all(other.state is not State.ASKED for other in others):
                    return candidate
        return None

    def _learn(self, contact: Contact, path: Path, hops: int, referrer: Contact | None) -> bool:
        if contact.number == self._own or contact in self._by_contact:
            return False
        same_key = self._by_key.get(contact.key)
        if same_key:
            living = [other for other in same_key if other.state not in (State.LATE, State.FAILED)]
            if len(living) >= MAX_ADDRESSES_PER_KEY or any(other.state is State.ANSWERED for other in living):
                return False
            path = same_key[0].path
        distance = contact.number ^ self._target
        if len(self._by_contact) >= self._max and not self._make_room(distance):
            return False
        group = self._diversity.group(contact.address) if self._diversity.capped(contact.address) else None
        rank = (distance, len(same_key) if same_key else 0)
        while rank in self._by_rank:  # a number given back by a forgotten address
            rank = (distance, rank[1] + 1)
        candidate = Candidate(contact, distance, path, hops, referrer, group, rank)
        self._by_contact[contact] = candidate
        self._by_rank[rank] = candidate
        if same_key is None:
            self._by_key[contact.key] = [candidate]
        else:
            same_key.append(candidate)
        if group is not None and not self._has_place(group, distance):
            insort(self._set_aside, rank)
        else:
            self._enlist(candidate)
        return True

    def _has_place(self, group: bytes, distance: int) -> bool:
        """Whether a candidate this near may join its group; a farther fresh one is set aside for it."""
        members = self._members.get(group, [])
        if len(members) < MAX_CANDIDATES_PER_GROUP:
            return True
        fresh = [member for member in members if member.state is State.FRESH and member.distance > distance]
        if not fresh:
            return False
        farthest = max(fresh, key=lambda member: member.rank)
        self._delist(farthest)
        insort(self._set_aside, farthest.rank)
        return True

    def _enlist(self, candidate: Candidate) -> None:
        insort(self._alive, candidate.rank)
        insort(candidate.path.alive, candidate.rank)
        if candidate.group is not None:
            self._members.setdefault(candidate.group, []).append(candidate)
        if candidate.distance <= self._kth:
            self._kth_known = False

    def _delist(self, candidate: Candidate) -> None:
        for ranks in (self._alive, candidate.path.alive):
            del ranks[bisect_left(ranks, candidate.rank)]
        if candidate.group is not None:
            self._members[candidate.group].remove(candidate)
        if candidate.distance <= self._kth:
            self._kth_known = False

    def _land(self, candidate: Candidate, state: State) -> None:
        del self._in_flight[candidate]
        if candidate.state is State.ASKED:
            candidate.path.asked -= 1
        candidate.state = state

    def _bury(self, candidate: Candidate) -> None:
        """Take a late or failed candidate out of all lists but the memory of whom we asked."""
        self._delist(candidate)

    def _revive(self, candidate: Candidate) -> None:
        candidate.state = State.ANSWERED
        self._enlist(candidate)

    def _forget(self, candidate: Candidate) -> None:
        """Take a fresh candidate out altogether."""
        aside = bisect_left(self._set_aside, candidate.rank)
        if aside < len(self._set_aside) and self._set_aside[aside] == candidate.rank:
            del self._set_aside[aside]
        else:
            self._delist(candidate)
        del self._by_contact[candidate.contact]
        del self._by_rank[candidate.rank]
        same_key = self._by_key[candidate.contact.key]
        self._by_key[candidate.contact.key] = [other for other in same_key if other is not candidate]
        if not self._by_key[candidate.contact.key]:
            del self._by_key[candidate.contact.key]

    def _make_room(self, distance: int) -> bool:
        """Forget the farthest fresh candidate if it is farther than `distance`."""
        for ranks in (self._set_aside, self._alive):
            for rank in reversed(ranks):
                if rank[0] <= distance:
                    break
                if self._by_rank[rank].state is State.FRESH:
                    self._forget(self._by_rank[rank])
                    return True
        return False

    def _wants_more(self) -> bool:
        """Fewer than k living keys: in a network this small the caps of groups must not bite."""
        return self._threshold() == 1 << 256

    def _bring_back(self) -> bool:
        """Let the nearest that was set aside in, if candidates are wanting."""
        if not self._set_aside or not self._wants_more():
            return False
        self._enlist(self._by_rank[self._set_aside.pop(0)])
        return True
