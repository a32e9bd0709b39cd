"""Large bodies that this peer has and gives to those who ask, for as long as others may hear of them from it.

Bounded in bytes, of all and of each author, and in time. At a bound the oldest goes: of that author, or of the author
that has most.
"""

from __future__ import annotations

import attrs

from overlay.gossip.topic import Topic
from overlay.limits import KEPT_S, MAX_BODY_GIVEN, MAX_HAVERS, MAX_KEPT_BODY_BYTES, MAX_KEPT_BODY_BYTES_PER_AUTHOR
from overlay.runtime.ports import SECOND


@attrs.define(slots=True, eq=False)
class Held:
    body: bytes = attrs.field(repr=False)
    #: Key of the author who announced it first.
    author: bytes
    at_ns: int
    #: By key: topics in which it was announced. Its receivers are those of these topics.
    topics: dict[bytes, Topic] = attrs.Factory(dict)
    #: Key -> how often that peer was given it.
    given: dict[bytes, int] = attrs.Factory(dict)

    def concerns(self, key: bytes) -> bool:
        return any(topic.concerns(key) for topic in self.topics.values())

    def give(self, key: bytes) -> bool:
        """Whether it is to be sent to that peer, which is noted."""
        times = self.given.get(key, 0)
        if times >= MAX_BODY_GIVEN or not self.concerns(key):
            return False
        if not times and len(self.given) >= MAX_HAVERS:
            del self.given[next(iter(self.given))]
        self.given[key] = times + 1
        return True


@attrs.define(slots=True, eq=False)
class Bodies:
    #: By hash, oldest first.
    _held: dict[bytes, Held] = attrs.Factory(dict)
    #: Bytes by author.
    _sizes: dict[bytes, int] = attrs.Factory(dict)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(self._sizes.values())

    @property
    def largest_share(self) -> int:
        """Bytes of the author that has most."""
        return max(self._sizes.values(), default=0)

    def get(self, digest: bytes) -> Held | None:
        return self._held.get(digest)

    def put(self, digest: bytes, body: bytes, author: bytes, topic: Topic, now_ns: int) -> None:
        held = self._held.get(digest)
        if held is not None:
            held.topics[topic.key] = topic  # at most MAX_TOPICS
            return
        while self._sizes.get(author, 0) + len(body) > MAX_KEPT_BODY_BYTES_PER_AUTHOR:
            self._forget_oldest(author)
        while self.size + len(body) > MAX_KEPT_BODY_BYTES:
            self._forget_oldest(max(self._sizes, key=self._sizes.__getitem__))
        self._held[digest] = Held(body, author, now_ns, {topic.key: topic})
        self._sizes[author] = self._sizes.get(author, 0) + len(body)

    def expire(self, now_ns: int) -> None:
        while self._held:
            digest, held = next(iter(self._held.items()))
            if now_ns - held.at_ns < KEPT_S * SECOND:
                return
            self._forget(digest)

    def _forget_oldest(self, author: bytes) -> None:
        self._forget(next(digest for digest, held in self._held.items() if held.author == author))

    def _forget(self, digest: bytes) -> None:
        held = self._held.pop(digest)
        self._sizes[held.author] -= len(held.body)
        if not self._sizes[held.author]:
            del self._sizes[held.author]
