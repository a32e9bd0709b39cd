"""Asks peers for the hashes of units while these are on their way, until one gives them.

One peer is asked, and another one soon if it says nothing: without hashes nothing that comes can be looked at, so
silence must not cost much. Who was silent is asked last from then on, for a shorter time, and counts as snubbed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from apps.files.core.layers import Ask
from apps.files.core.limits import ANSWER_S, HASHES_ASKED, HASHES_SOON_S, MAX_HASH_QUESTIONS
from apps.files.core.merkle import HASH_BYTES
from apps.files.core.wire import Hashes
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class _Question:
    #: Who is asked, the last one at the end, and since when.
    asked: dict[Channel, int] = attrs.Factory(dict)
    #: When somebody was asked last, or all had failed.
    last_ns: int = 0
    #: Peers that could not answer, or answered wrong.
    failed: set[bytes] = attrs.Factory(set)
    #: Those of them that did not answer in time: what comes late is as good.
    late: set[bytes] = attrs.Factory(set)
    #: Somebody's answer is being checked.
    checking: bool = False


@attrs.define(slots=True, eq=False)
class HashQuestions:
    share: Share
    #: The hashes of this range are known.
    on_news: Callable[[Ask], object]
    _open: dict[Ask, _Question] = attrs.field(factory=dict, init=False)
    #: Files whose hashes are on the disk, all of them; and those of which they are being read again.
    _stored: set[int] = attrs.field(factory=set, init=False)
    _loading: set[int] = attrs.field(factory=set, init=False)

    def ask_for(self, channel: Channel, units: list[int]) -> None:
        """Whatever hashes of these units are neither known nor asked for, of this peer if nobody is likelier."""
        layers, layout = self.share.layers, self.share.layout
        if layers is None or layout is None:
            return
        for unit in units:
            place = layout.unit(unit)
            ask = layers.ask_for(place.file, place.index)
            if ask is not None and place.file in self._stored:
                self._load(ask)
            elif ask is not None and (question := self._opened(ask)) is not None:
                self._put(ask, question, channel)

    def _load(self, ask: Ask) -> None:
        """They were dropped from memory meanwhile."""
        if ask.file not in self._loading:
            self._loading.add(ask.file)
            self.share.around.spawn(self._loaded(ask), name="files: hashes")

    async def _loaded(self, ask: Ask) -> None:
        try:
            await self.share.serving.load_tree(ask.file, None)
        finally:
            self._loading.discard(ask.file)
        if self.share.layers is None or not self.share.layers.has_tree(ask.file):
            self._stored.discard(ask.file)  # the disk has lost them: somebody else has them
            if (question := self._opened(ask)) is not None:
                self._ask_another(ask, question)
        self.on_news(ask)

    def _opened(self, ask: Ask) -> _Question | None:
        """A new question; None if it is open already, or too many are."""
        if ask in self._open or len(self._open) >= MAX_HASH_QUESTIONS:
            return None
        question = self._open[ask] = _Question()
        return question

    def _put(self, ask: Ask, question: _Question, channel: Channel) -> None:
        assert self.share.info is not None
        question.asked[channel] = question.last_ns = self.share.now_ns
        channel.session.say(ask.message(channel.number, self.share.info))

    def on_answer(self, channel: Channel, message: Hashes) -> None:
        layers, info = self.share.layers, self.share.info
        if layers is None or info is None:
            return
        file = layers.file_of(message.root)
        for ask, question in self._open.items():
            if (
                (channel in question.asked or (channel.peer in question.late and message.hashes))
                and not question.checking and file is not None
                and info.files[ask.file].root == message.root
                and (ask.base, ask.index, ask.count) == (message.base, message.index, message.count)
            ):  # fmt: skip
                if not message.hashes:
                    self._failed(ask, question, channel)
                else:
                    question.checking = True
                    self.share.around.spawn(self._check(ask, question, channel, message), name="files: hashes")
                return

    async def _check(self, ask: Ask, question: _Question, channel: Channel, message: Hashes) -> None:
        layers, info = self.share.layers, self.share.info
        if layers is None or info is None:
            return None
        around, file = self.share.around, info.files[ask.file]
        try:
            nodes = await around.compute(
                "proved", message.root, file.length, ask.base, ask.index, ask.count, message.hashes
            )
            if not nodes:
                if self.share.channels.get(channel.peer) is channel:
                    self.share.drop(channel, "it sent hashes that do not lead to the root")
                return self._failed(ask, question, channel)
            layer = layers.take(ask, nodes, message.hashes[HASH_BYTES * ask.count :])
            if layer is not None:
                tree = await around.compute("tree", layer, file.length, ask.base)
                self.share.keep_tree(ask.file, tree)
                await around.operate("keep_layer", self.share.id, ask.file, layer)
                self.share.serving.kept(ask.file)
                self._stored.add(ask.file)
        except LocalError as error:
            around.emit("cannot write", share=self.share.id, error=str(error))
        finally:
            question.checking = False
        self._open.pop(ask, None)
        channel.conduct.silent = 0
        following = layers.next_ask(ask.file)
        opened = None if following is None else self._opened(following)
        if following is not None and opened is not None and self.share.channels.get(channel.peer) is channel:
            self._put(following, opened, channel)
        self.on_news(ask)
        return None

    def _failed(self, ask: Ask, question: _Question, channel: Channel) -> None:
        question.failed.add(channel.peer)
        question.late.discard(channel.peer)
        question.asked.pop(channel, None)
        if not question.asked:
            self._ask_another(ask, question)

    def _ask_another(self, ask: Ask, question: _Question) -> None:
        """When all have failed, it begins anew after a while: units wait that nobody can check."""
        able = [channel for channel in self.share.channels.values() if channel.agreed and channel.told]
        able = [channel for channel in able if channel not in question.asked]
        fresh = [channel for channel in able if channel.peer not in question.failed]
        if fresh:
            self._put(ask, question, min(fresh, key=self._rank))
        elif not question.asked and self.share.now_ns - question.last_ns > ANSWER_S * SECOND:
            if question.failed:
                self.share.around.emit("no hashes", share=self.share.id, file=ask.file)
            question.failed.clear()
            question.last_ns = self.share.now_ns

    def _rank(self, channel: Channel) -> tuple[int, bool, int]:
        """The least is likeliest to answer: it did not stay silent, it gives units, and it has most."""
        gives = channel.checking > 0 or channel.got > 0
        return channel.conduct.silent, channel.snubbed or not gives, -channel.held.bit_count()

    def left(self, channel: Channel) -> None:
        for ask, question in tuple(self._open.items()):
            if question.asked.pop(channel, None) is not None and not question.asked and not question.checking:
                self._ask_another(ask, question)

    def watch(self, now_ns: int) -> None:
        """Once a second."""
        for ask, question in tuple(self._open.items()):
            if question.checking:
                continue
            for channel, since_ns in tuple(question.asked.items()):
                wait_s = HASHES_SOON_S if channel.conduct.silent else ANSWER_S
                if now_ns - since_ns > wait_s * SECOND:
                    self._note_silent(channel)
                    self._failed(ask, question, channel)
                    question.late.add(channel.peer)
            soon = now_ns - question.last_ns >= HASHES_SOON_S * SECOND
            if not question.asked or (soon and len(question.asked) < HASHES_ASKED):
                self._ask_another(ask, question)

    def _note_silent(self, channel: Channel) -> None:
        channel.conduct.silent += 1
        if not channel.snubbed:
            channel.snubbed = True
            self.share.around.emit("snubbed", share=self.share.id, peer=channel.peer)
