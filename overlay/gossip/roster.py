"""Who else subscribes to one topic, as far as is known: claims of others, and those who said so themselves."""

from __future__ import annotations

import attrs

from overlay.limits import MAX_KNOWN_SUBSCRIBERS, MAX_LOST_SUBSCRIBERS
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng


@attrs.define(slots=True, eq=False)
class Roster:
    #: By key: it said to us that it subscribes. Longest unheard first.
    known: dict[bytes, Contact] = attrs.Factory(dict)
    #: By key: somebody else says so. Asked once, then known, lost or forgotten.
    claimed: dict[bytes, Contact] = attrs.Factory(dict)
    #: Fell silent. One is asked now and then: after a cut of the network any of them leads back.
    lost: dict[bytes, Contact] = attrs.Factory(dict)
    #: Keys of those who said that they do not, or no longer, subscribe: only they themselves can take it back.
    left: dict[bytes, None] = attrs.Factory(dict)

    def claim(self, contact: Contact) -> None:
        key = contact.key
        if key in self.known or key in self.claimed or key in self.left:
            return
        if len(self.claimed) >= MAX_KNOWN_SUBSCRIBERS:
            del self.claimed[next(iter(self.claimed))]
        self.claimed[key] = contact

    def confirm(self, contact: Contact) -> None:
        """It said so itself, from an address that it proved."""
        key = contact.key
        self.claimed.pop(key, None)
        self.lost.pop(key, None)
        self.left.pop(key, None)
        self.known.pop(key, None)
        if len(self.known) >= MAX_KNOWN_SUBSCRIBERS:
            del self.known[next(iter(self.known))]
        self.known[key] = contact

    def fell_silent(self, contact: Contact) -> None:
        """It does not answer there. A claim that never came true is not remembered."""
        key = contact.key
        self.claimed.pop(key, None)
        known = self.known.get(key)
        if known is not None and known is not contact:
            return  # it is somewhere else by now
        if known is not None:
            del self.known[key]
            if len(self.lost) >= MAX_LOST_SUBSCRIBERS:
                del self.lost[next(iter(self.lost))]
            self.lost[key] = contact

    def forget(self, key: bytes) -> None:
        """It does not subscribe."""
        for part in (self.known, self.claimed, self.lost):
            part.pop(key, None)
        self.left.pop(key, None)
        if len(self.left) >= MAX_KNOWN_SUBSCRIBERS:
            del self.left[next(iter(self.left))]
        self.left[key] = None

    def candidates(self, rng: Rng) -> list[Contact]:
        """In random order; those who said so themselves before those who are only claimed."""
        return rng.shuffled(tuple(self.known.values())) + rng.shuffled(tuple(self.claimed.values()))

    def __len__(self) -> int:
        return len(self.known) + len(self.claimed)
