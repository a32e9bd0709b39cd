"""Questions for hashes (BEP 52) both ways: those of "/files/1" are the same, but say less in the answer."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from apps.files.core import wire
from apps.files.core.bittorrent.messages import HashAnswer, HashRange, HashReject, HashRequest
from apps.files.core.limits import MAX_HASH_QUESTIONS, MAX_HASHES_ASKED
from apps.files.core.merkle import HASH_BYTES

HashMessage = HashRequest | HashAnswer | HashReject
#: Higher than any tree.
_MOST_LEVELS = 64


@attrs.define(slots=True, eq=False)
class HashRanges:
    channel: int
    #: Clients that know a share by its SHA-1 id have no tree of it.
    able: bool
    tell: Callable[[HashMessage], object]
    hear: Callable[[wire.Message], object]
    #: Asked of the client, and by it, in order.
    _wanted: dict[HashRange, None] = attrs.field(factory=dict, init=False)
    _asked: dict[HashRange, None] = attrs.field(factory=dict, init=False)

    def want(self, message: wire.GetHashes) -> None:
        """The question of the session."""
        asked = HashRange(message.root, message.base, message.index, message.count, message.proofs)
        if not self.able or len(self._wanted) >= MAX_HASH_QUESTIONS:
            return self._answer(asked, b"")
        self._wanted[asked] = None
        self.tell(HashRequest(asked))
        return None

    def give(self, message: wire.Hashes) -> None:
        """The answer of the session."""
        said = message.root, message.base, message.index, message.count
        asked = next((one for one in self._asked if (one.root, one.base, one.index, one.count) == said), None)
        if asked is not None:
            del self._asked[asked]
            self.tell(HashAnswer(asked, message.hashes) if message.hashes else HashReject(asked))

    def on_message(self, message: HashMessage) -> None:
        match message:
            case HashRequest(asked):
                self._ask(asked)
            case HashAnswer(asked, hashes):
                self._on_answer(asked, hashes)
            case HashReject(asked):
                self._on_answer(asked, b"")

    def _ask(self, asked: HashRange) -> None:
        sane = asked.base <= _MOST_LEVELS and asked.proofs <= _MOST_LEVELS and asked.count <= MAX_HASHES_ASKED
        if asked in self._asked:
            return
        if not sane or len(self._asked) >= MAX_HASH_QUESTIONS:
            self.tell(HashReject(asked))
            return
        self._asked[asked] = None
        self.hear(
            wire.GetHashes(self.channel, asked.root, asked.base, asked.index, asked.count, asked.proofs)
        )  # fmt: skip

    def _on_answer(self, asked: HashRange, hashes: bytes) -> None:
        """What nobody asked for is not heard."""
        if asked in self._wanted:
            del self._wanted[asked]
            self._answer(asked, hashes if len(hashes) <= HASH_BYTES * (asked.count + _MOST_LEVELS) else b"")

    def _answer(self, asked: HashRange, hashes: bytes) -> None:
        self.hear(wire.Hashes(self.channel, asked.root, asked.base, asked.index, asked.count, hashes))
