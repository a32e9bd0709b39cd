"""Asks peers for the hashes of units while these are on their way, one peer after another until one gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from apps.files.core.layers import Ask
from apps.files.core.limits import ANSWER_S, MAX_HASH_QUESTIONS
from apps.files.core.merkle import HASH_BYTES
from apps.files.core.wire import Hashes
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class _Question:
    channel: Channel | None = None
    asked_ns: int = 0
    #: Peers that could not answer, or answered wrong.
    failed: set[bytes] = attrs.Factory(set)
    #: An answer is being checked.
    checking: bool = False


@attrs.define(slots=True, eq=False)
class HashQuestions:
    share: Share
    #: The hashes of this range are known.
    on_news: Callable[[Ask], object]
    _open: dict[Ask, _Question] = attrs.field(factory=dict, init=False)

    def ask_for(self, channel: Channel, units: list[int]) -> None:
        """Whatever hashes of these units are neither known nor asked for, of this peer if nobody is likelier."""
        layers, layout = self.share.layers, self.share.layout
        if layers is None or layout is None:
            return
        for unit in units:
            place = layout.unit(unit)
            ask = layers.ask_for(place.file, place.index)
            if ask is not None and ask not in self._open and len(self._open) < MAX_HASH_QUESTIONS:
                question = self._open[ask] = _Question()
                self._put(ask, question, channel)

    def _put(self, ask: Ask, question: _Question, channel: Channel) -> None:
        assert self.share.info is not None
        question.channel, question.asked_ns = channel, self.share.now_ns
        channel.session.say(ask.message(channel.number, self.share.info))

    def on_answer(self, channel: Channel, message: Hashes) -> None:
        layers, info = self.share.layers, self.share.info
        if layers is None or info is None:
            return
        file = layers.file_of(message.root)
        for ask, question in self._open.items():
            if (
                question.channel is channel and not question.checking and file is not None
                and info.files[ask.file].root == message.root
                and (ask.base, ask.index, ask.count) == (message.base, message.index, message.count)
            ):  # fmt: skip
                if not message.hashes:
                    self._failed(ask, question)
                else:
                    question.checking = True
                    self.share.around.spawn(self._check(ask, question, message), name="files: hashes")
                return

    async def _check(self, ask: Ask, question: _Question, message: Hashes) -> None:
        layers, info, channel = self.share.layers, self.share.info, question.channel
        if layers is None or info is None or channel is None:
            return None
        around, file = self.share.around, info.files[ask.file]
        try:
            nodes = await around.compute(
                "proved", message.root, file.length, ask.base, ask.index, ask.count, message.hashes
            )
            if not nodes:
                if self.share.channels.get(channel.peer) is channel:
                    self.share.drop(channel, "it sent hashes that do not lead to the root")
                return self._failed(ask, question)
            layer = layers.take(ask, nodes, message.hashes[HASH_BYTES * ask.count :])
            if layer is not None:
                tree = await around.compute("tree", layer, file.length, ask.base)
                layers.keep(ask.file, tree)
                await around.operate("keep_layer", self.share.id, ask.file, layer)
        except LocalError as error:
            around.emit("cannot write", share=self.share.id, error=str(error))
        finally:
            question.checking = False
        self._open.pop(ask, None)
        following = layers.next_ask(ask.file)
        if following is not None and following not in self._open and len(self._open) < MAX_HASH_QUESTIONS:
            self._open[following] = _Question()
            if self.share.channels.get(channel.peer) is channel:
                self._put(following, self._open[following], channel)
        self.on_news(ask)
        return None

    def _failed(self, ask: Ask, question: _Question) -> None:
        if question.channel is not None:
            question.failed.add(question.channel.peer)
            question.channel = None
        self._ask_another(ask, question)

    def _ask_another(self, ask: Ask, question: _Question) -> None:
        """Whoever has most is likeliest to know; when all have failed, it begins anew after a while: units wait that
        nobody can check."""
        able = [channel for channel in self.share.channels.values() if channel.agreed and channel.told]
        fresh = [channel for channel in able if channel.peer not in question.failed]
        if fresh:
            self._put(ask, question, max(fresh, key=lambda channel: channel.held.bit_count()))
        elif self.share.now_ns - question.asked_ns > ANSWER_S * SECOND:
            if question.failed:
                self.share.around.emit("no hashes", share=self.share.id, file=ask.file)
            question.failed.clear()
            question.asked_ns = self.share.now_ns

    def left(self, channel: Channel) -> None:
        for ask, question in tuple(self._open.items()):
            if question.channel is channel and not question.checking:
                question.channel = None
                self._ask_another(ask, question)

    def watch(self, now_ns: int) -> None:
        """Once a second."""
        for ask, question in tuple(self._open.items()):
            if question.checking:
                continue
            if question.channel is None:
                self._ask_another(ask, question)
            elif now_ns - question.asked_ns > ANSWER_S * SECOND:
                self._failed(ask, question)
