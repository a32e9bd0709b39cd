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

from collections.abc import Iterable, Sequence

from overlay.dht.candidate import ANSWERED, ASKED, FAILED, FRESH, LATE, SLOW, Candidate, Path, State
from overlay.dht.diversity import Grouping
from overlay.dht.pool import Pool
from overlay.limits import ALPHA, MAX_LOOKUP_CANDIDATES, PATH_WIDTH, K
from overlay.rpc.contact import Contact


class Shortlist:
    """See the module docstring. `radius`: everybody within this distance is asked, however many."""

    __slots__ = ("_in_flight", "_paths", "_pool", "_radius", "_turn", "_width", "alpha")

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
        self._radius = -1 if radius is None else radius
        self._pool = Pool(target, diversity=diversity, k=k, own=own, most=max_candidates)
        self._in_flight: dict[Candidate, None] = {}
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
            if self._pool.learn(contact, self._paths[dealt % count], 0, None):
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
                    path.fresh.remove(candidate.rank)
                    candidate.state = ASKED
                    self._in_flight[candidate] = None
                    return candidate.contact
            if self.waiting() or not self._pool.bring_back():
                return None

    def waiting(self) -> bool:
        """Whether an answer is due that could still change what this lookup finds."""
        for candidate in self._in_flight:  # noqa: SIM110 - asked twice an answer, any() takes twice as long
            if candidate.distance <= self._limit(candidate.path):
                return True
        return False

    def finished(self) -> bool:
        """Nobody to ask and nobody to wait for. What is found then is final but for late answers."""
        if self.waiting() or any(self._askable(path) is not None for path in self._paths):
            return False
        return not self._pool.has_reserve()

    @property
    def short(self) -> bool:
        """Fewer than k living keys are known: give it more seeds, if there are any."""
        return self._pool.is_short()

    def add_seeds(self, contacts: Iterable[Contact]) -> int:
        """More contacts of our own, dealt to the paths like the first. How many are new candidates."""
        added = 0
        for contact in contacts:
            added += self._pool.learn(contact, self._paths[added % len(self._paths)], 0, None)
        return added

    # --- what became of it ---------------------------------------------------------------------

    def on_slow(self, contact: Contact) -> None:
        """Its first try took longer than usual: somebody else gets its slot."""
        candidate = self._pool.by_contact.get(contact)
        if candidate is not None and candidate.state is ASKED:
            candidate.state = SLOW
            candidate.path.asked -= 1

    def on_late(self, contact: Contact) -> None:
        """Its second try was silent too: the lookup may end without it."""
        candidate = self._pool.by_contact.get(contact)
        if candidate is not None and candidate.state in (ASKED, SLOW):
            self._land(candidate, LATE)
            self._pool.delist(candidate)

    def on_failed(self, contact: Contact) -> None:
        candidate = self._pool.by_contact.get(contact)
        if candidate is not None and candidate.state in (ASKED, SLOW):
            self._land(candidate, FAILED)
            self._pool.delist(candidate)
        elif candidate is not None and candidate.state is LATE:
            candidate.state = FAILED

    def on_reply(self, contact: Contact, contacts: Iterable[Contact]) -> int:
        """`contact` answered with `contacts`. How many of them are new candidates.

        Answers of those who were not asked, or had answered or failed, change nothing.
        """
        candidate = self._pool.by_contact.get(contact)
        if candidate is None or candidate.state not in (ASKED, SLOW, LATE):
            return 0
        if candidate.state is LATE:
            candidate.state = ANSWERED
            self._pool.enlist(candidate)
        else:
            self._land(candidate, ANSWERED)
        for other in self._pool.by_key[contact.key]:
            if other.state is FRESH:
                self._pool.forget(other)  # this key has answered: its other addresses are of no use
        known = self._pool.by_contact
        contacts = list(contacts)
        if all(map(known.__contains__, contacts)):
            return 0  # as nearly always at the end
        learnt = 0
        keys: set[bytes] = set()
        for named in contacts:
            # One address a key from one peer: else it alone could use up MAX_ADDRESSES_PER_KEY.
            if named not in known and named.key not in keys:
                learnt += self._pool.learn(named, candidate.path, candidate.hops + 1, contact)
            keys.add(named.key)
        return learnt

    # --- what was found ------------------------------------------------------------------------

    def answered(self) -> list[Contact]:
        """All that answered, nearest first."""
        by_rank = self._pool.by_rank
        alive = (by_rank[rank] for rank in self._pool.alive)
        return [candidate.contact for candidate in alive if candidate.state is ANSWERED]

    def nearest(self, n: int) -> list[Contact]:
        """The n nearest that answered or may yet, nearest first."""
        return [self._pool.by_rank[rank].contact for rank in self._pool.alive[:n]]

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
        return self._pool.by_contact[contact].path.number

    def hops(self, contact: Contact) -> int:
        """0 for a seed, one more than its referrer for others."""
        return self._pool.by_contact[contact].hops

    def referrer(self, contact: Contact) -> Contact | None:
        """Who named it first; None for a seed."""
        return self._pool.by_contact[contact].referrer

    @property
    def paths(self) -> int:
        """Paths that there are seeds for."""
        return len(self._paths)

    def __contains__(self, contact: Contact) -> bool:
        return contact in self._pool.by_contact

    def __len__(self) -> int:
        """Candidates that are known, failed ones included."""
        return len(self._pool.by_contact)

    # --- how -----------------------------------------------------------------------------------

    def _limit(self, path: Path) -> int:
        """Distance up to which candidates of this path are asked and waited for."""
        limit = max(self._pool.threshold(), self._radius)
        if self._width and path.alive:
            limit = max(limit, path.alive[min(self._width, len(path.alive)) - 1][0])
        return limit

    def _askable(self, path: Path) -> Candidate | None:
        limit = self._limit(path)
        by_rank = self._pool.by_rank
        for rank in path.fresh:
            if rank[0] > limit:
                return None
            candidate = by_rank[rank]
            others = self._pool.by_key[candidate.contact.key]
            if len(others) == 1 or all(other.state is not ASKED for other in others):
                return candidate
        return None

    def _land(self, candidate: Candidate, state: State) -> None:
        del self._in_flight[candidate]
        if candidate.state is ASKED:
            candidate.path.asked -= 1
        candidate.state = state
