"""Messages whose bodies are still to come, and the peers that are known to have them."""

from __future__ import annotations

import attrs

from overlay.gossip.topic import Topic
from overlay.rpc.contact import Contact
from overlay.runtime.future import Future
from overlay.runtime.task import Task
from overlay.wire.publication import Publication


@attrs.define(slots=True, eq=False)
class Source:
    contact: Contact
    #: The message that it announced.
    known_as: bytes
    #: A member of the mesh, or the author: strangers do not push it out.
    near: bool
    #: When it was asked, monotonic ns; 0: not yet. When it then last brought something.
    asked_ns: int = 0
    moved_ns: int = 0
    #: It is being asked, ...
    running: bool = False
    #: ... over a stream that is there.
    reached: bool = False
    #: Bytes that it brought.
    brought: int = 0
    failed: bool = False


@attrs.define(slots=True, eq=False)
class Awaited:
    """A message without its body."""

    id: bytes
    topic: Topic
    publication: Publication


@attrs.define(slots=True, eq=False)
class Fetch:
    """One body, for all messages that announce it."""

    digest: bytes
    size: int
    since_ns: int
    #: By id.
    messages: dict[bytes, Awaited] = attrs.Factory(dict)
    #: By key, in the order in which they announced it.
    sources: dict[bytes, Source] = attrs.Factory(dict)
    task: Task[None] | None = None
    #: When the last part came, or a source was last asked.
    moved_ns: int = 0
    body: bytes | None = None
    #: Key of who brought it.
    by: bytes = b""
    news: Future[None] | None = None

    @property
    def running(self) -> list[Source]:
        return [source for source in self.sources.values() if source.running]

    @property
    def brought(self) -> int:
        """Bytes of it that are here."""
        return max((source.brought for source in self.running), default=0)

    def is_of(self, author: bytes) -> bool:
        """Whether that author announced it, perhaps among others."""
        return any(one.publication.author == author for one in self.messages.values())

    def wake(self) -> None:
        if self.news is not None:
            self.news.set()
