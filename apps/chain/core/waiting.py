"""What came before its time: blocks and headers without a parent, and those from the future. Bounded pools."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from apps.chain.core.limits import MAX_HELD, MAX_ORPHAN_BYTES, MAX_ORPHANS, MAX_ORPHANS_PER_SOURCE


@attrs.frozen(slots=True)
class Waiting:
    id: bytes
    parent: bytes
    #: Of the header, seconds.
    time: int
    #: A whole block if `body`, else a header.
    raw: bytes = attrs.field(repr=False)
    body: bool
    #: Who sent it; b"": this node.
    source: bytes


@attrs.define(slots=True, eq=False)
class Orphans:
    """By id; of the most that are kept the oldest go first, those of the same source before others."""

    _kept: dict[bytes, Waiting] = attrs.Factory(dict)
    _children: dict[bytes, dict[bytes, None]] = attrs.Factory(dict)
    _sources: dict[bytes, dict[bytes, None]] = attrs.Factory(dict)
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, block: bytes) -> bool:
        return block in self._kept

    def add(self, waiting: Waiting) -> None:
        before = self._kept.get(waiting.id)
        if before is not None and (before.body or not waiting.body):
            return
        self.drop(waiting.id)
        while self._bytes + len(waiting.raw) > MAX_ORPHAN_BYTES:
            self.drop(next(iter(self._kept)))
        own = self._sources.get(waiting.source, {})
        if len(own) >= MAX_ORPHANS_PER_SOURCE:
            self.drop(next(iter(own)))
        elif len(self._kept) >= MAX_ORPHANS:
            self.drop(next(iter(self._kept)))
        self._kept[waiting.id] = waiting
        self._children.setdefault(waiting.parent, {})[waiting.id] = None
        self._sources.setdefault(waiting.source, {})[waiting.id] = None
        self._bytes += len(waiting.raw)

    def drop(self, block: bytes) -> None:
        waiting = self._kept.pop(block, None)
        if waiting is None:
            return
        self._bytes -= len(waiting.raw)
        for index, key in ((self._children, waiting.parent), (self._sources, waiting.source)):
            del index[key][block]
            if not index[key]:
                del index[key]

    def take(self, parent: bytes) -> list[Waiting]:
        """Those that wait for this block, which are no orphans from now on."""
        found = [self._kept[block] for block in self._children.get(parent, ())]
        for waiting in found:
            self.drop(waiting.id)
        return found


@attrs.define(slots=True, eq=False)
class Held:
    """By id; of the most that are kept the farthest from now go first."""

    _kept: dict[bytes, Waiting] = attrs.Factory(dict)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, block: bytes) -> bool:
        return block in self._kept

    def add(self, waiting: Waiting) -> None:
        before = self._kept.get(waiting.id)
        if before is None or (waiting.body and not before.body):
            self._kept[waiting.id] = waiting
        if len(self._kept) > MAX_HELD:
            del self._kept[max(self._kept.values(), key=lambda one: one.time).id]

    def due(self, latest: int) -> Iterator[Waiting]:
        """Takes those whose time is not after `latest` (seconds), the earliest first."""
        for waiting in sorted(self._kept.values(), key=lambda one: one.time):
            if waiting.time > latest:
                return
            del self._kept[waiting.id]
            yield waiting
