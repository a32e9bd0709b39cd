"""What this node can be found by: its shares by words, a signed posting of each, and when each word is announced."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from apps.files.core.limits import LEASE_S, MAX_MATCHES_LOOKED_AT, MAX_POSTINGS_PER_PEER, MAX_SHARE_TERMS, MAX_TERMS
from apps.files.core.posting import words_of
from overlay.runtime.ports import SECOND


@attrs.frozen(slots=True, eq=False)
class Entry:
    """A share that is all here and may be found."""

    share: bytes
    name: str
    size: int
    files: int
    tags: tuple[str, ...]
    #: In order: a set of texts has another one in every process, and what depends on it could not be replayed.
    words: dict[str, None] = attrs.field(init=False)
    #: Of these, those under which it is announced.
    announced: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        words = words_of(self.name, self.tags)
        object.__setattr__(self, "words", dict.fromkeys(words))
        object.__setattr__(self, "announced", words[:MAX_SHARE_TERMS])


@attrs.define(slots=True, eq=False)
class _Word:
    #: Shares that have it.
    entries: dict[bytes, Entry] = attrs.Factory(dict)
    #: How many of them want it announced, and when that is due.
    wanted: int = 0
    due_ns: int = 0


@attrs.define(slots=True, eq=False)
class Catalogue:
    #: (share, wall ms at which it is over) -> a signed posting.
    sign: Callable[[Entry, int], bytes]
    _entries: dict[bytes, Entry] = attrs.Factory(dict)
    _words: dict[str, _Word] = attrs.Factory(dict)
    _signed: dict[bytes, tuple[int, bytes]] = attrs.Factory(dict)
    #: Words of which `wanted` is not 0.
    _wanted: int = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, share: bytes) -> bool:
        return share in self._entries

    # --- shares -----------------------------------------------------------------------------

    def add(self, entry: Entry, now_ns: int) -> None:
        """It can be found from now on; what was said of the same share before is forgotten."""
        before = self._entries.get(entry.share)
        self._entries[entry.share] = entry
        self._signed.pop(entry.share, None)
        for word in entry.words:
            self._words.setdefault(word, _Word(due_ns=now_ns)).entries[entry.share] = entry
        for word in entry.announced:
            self._want(word, 1)
        if before is not None:
            self._take_out(before, kept=entry.words)

    def drop(self, share: bytes) -> None:
        """Nothing happens if it is not there."""
        entry = self._entries.pop(share, None)
        self._signed.pop(share, None)
        if entry is not None:
            self._take_out(entry, kept={})

    def _take_out(self, entry: Entry, *, kept: Mapping[str, None]) -> None:
        for word in entry.announced:
            self._want(word, -1)
        for word in entry.words:
            if word in kept:
                continue
            at = self._words[word]
            del at.entries[entry.share]
            if not at.entries:
                del self._words[word]

    def _want(self, word: str, change: int) -> None:
        at = self._words[word]
        before, at.wanted = at.wanted, at.wanted + change
        self._wanted += (at.wanted > 0) - (before > 0)

    # --- finding ----------------------------------------------------------------------------

    def matching(self, words: Sequence[str]) -> list[Entry]:
        """Shares that have all of these words, MAX_POSTINGS_PER_PEER at most, those with fewest others first. If the
        rarest word is in very many, only some of those are looked at."""
        lists = [at.entries for word in words if (at := self._words.get(word)) is not None]
        if not words or len(lists) < len(words):
            return []
        rarest = itertools.islice(min(lists, key=len).values(), MAX_MATCHES_LOOKED_AT)
        wanted = set(words)
        found = [entry for entry in rarest if entry.words.keys() >= wanted]
        found.sort(key=lambda entry: (len(entry.words), entry.share))
        return found[:MAX_POSTINGS_PER_PEER]

    def posting(self, entry: Entry, wall_ms: int) -> bytes:
        """Signed; the same one again until half of its lease is over."""
        until_ms, raw = self._signed.get(entry.share, (0, b""))
        if not LEASE_S * 500 <= until_ms - wall_ms <= LEASE_S * 1000:
            until_ms = wall_ms + LEASE_S * 1000
            raw = self.sign(entry, until_ms)
            self._signed[entry.share] = until_ms, raw
        return raw

    # --- announcing -------------------------------------------------------------------------

    def next_word(self, now_ns: int) -> str | None:
        """The word whose announcement is most overdue; None: none is due."""
        word = min(self._announced(), key=lambda one: self._words[one].due_ns, default=None)
        return word if word is not None and self._words[word].due_ns <= now_ns else None

    def next_due_ns(self) -> int | None:
        return min((self._words[word].due_ns for word in self._announced()), default=None)

    def postpone(self, word: str, seconds: int, now_ns: int) -> None:
        if (at := self._words.get(word)) is not None:
            at.due_ns = now_ns + seconds * SECOND

    @property
    def left_out(self) -> int:
        """Words under which nothing is announced, as there are too many."""
        return max(0, self._wanted - MAX_TERMS)

    def _announced(self) -> Iterator[str]:
        return itertools.islice((word for word, at in self._words.items() if at.wanted), MAX_TERMS)
