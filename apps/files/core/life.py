"""What becomes of one share: found, checked, downloaded, given to others, until somebody stops it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from apps.files.core import bits
from apps.files.core.arrivals import Full
from apps.files.core.download import Download
from apps.files.core.info import Info
from apps.files.core.info_quest import InfoQuest
from apps.files.core.limits import WATCH_PAUSES, WATCH_S
from apps.files.core.rates import Bucket
from apps.files.core.selection import select
from apps.files.core.share import Share, State
from overlay.errors import LocalError
from overlay.runtime.loop import Future
from overlay.runtime.ports import SECOND


@attrs.define(slots=True, eq=False)
class Life:
    share: Share
    downloads: Bucket
    #: Where downloads go; "" for what was scanned.
    folder: str
    #: Patterns of files that are wanted; none: all.
    only: tuple[str, ...]
    #: It is known what is here: others may be told that it is.
    on_ready: Callable[[Share], object]
    #: All that is wanted is here.
    on_complete: Callable[[Share], object]
    #: Set when nothing of it is left.
    _over: Future[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._over = self.share.around.loop.future()

    async def run(self) -> None:
        """Until it is cancelled or fails; `Share.state` tells."""
        share = self.share
        share.trouble, share.state = "", State.FINDING
        try:
            async with share.around.loop.group(name="share") as group:
                group.spawn(share.slots.run(), name="share: slots")
                await self._find()
                await self._check()
                self.on_ready(share)
                if share.state is State.DOWNLOADING:
                    await self._download()
                self.on_complete(share)
                await self._watch()
        except* Full as failures:
            self._stop(State.FULL, failures.exceptions[0])
        except* LocalError as failures:
            self._stop(State.FAILED, failures.exceptions[0])
        finally:
            share.quest = share.download = None
            if share.running:
                share.state = State.PAUSED
            share.close_all()

    def _stop(self, state: State, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.share.state, self.share.trouble = state, str(error)
        self.share.around.emit(state.value, share=self.share.id, error=str(error))

    async def recall(self) -> None:
        """What it is, if that is known here: a share that rests has a name, too."""
        share = self.share
        raw = await share.around.operate("info", share.id)
        info = await share.around.compute("read_info", raw, share.id) if raw else None
        if isinstance(info, Info) and share.info is None:
            share.know(info)

    async def _watch(self) -> None:
        """Until the files of the share are gone."""
        loop = self.share.around.loop
        pause_ns = WATCH_S * SECOND
        while self.share.running:
            self._over = loop.future()
            with loop.move_on_after(pause_ns):
                await self._over
            began_ns = loop.now.mono_ns
            await self.look()
            pause_ns = max(WATCH_S * SECOND, WATCH_PAUSES * (loop.now.mono_ns - began_ns))

    async def look(self) -> None:
        """Whether what is here is still there: whoever deletes or changes a file does not tell."""
        share = self.share
        if share.state is not State.COMPLETE or share.layout is None:
            return
        try:
            held = await share.around.operate("look", share.id)
        except LocalError as error:
            if share.state is State.COMPLETE:
                self._stop(State.FAILED, error)
                self._over.set()
            return
        lost = share.have & ~bits.decode_bitfield(held, share.layout.units)
        if lost and share.state is State.COMPLETE:
            share.lose(lost)
            share.around.emit("changed", share=share.id)

    async def _find(self) -> None:
        share = self.share
        if share.info is None:
            await self.recall()
        if share.info is None:
            share.quest = InfoQuest(share)
            info = await share.quest.run()
            share.quest = None
            share.around.emit("found", share=share.id, name=info.name, size=info.length, files=len(info.files))
            share.know(info)

    async def _check(self) -> None:
        share = self.share
        share.state = State.CHECKING
        if share.info is None or share.layout is None:
            return
        files = wanted_files(share.info, self.only)
        if self.folder:
            wanted = None if files is None else tuple(files)
            opened = await share.around.operate("open", share.id, share.info.raw, self.folder, wanted)
        else:
            opened = await share.around.operate("open", share.id, b"", "", None)
        if isinstance(opened, str):
            raise Full(opened)
        path, held = opened
        have = bits.decode_bitfield(held, share.layout.units)
        share.start(path, have, share.all if files is None else share.layout.set_of(files))
        if not self.folder and share.have != share.all:
            share.wanted, share.state = share.have, State.COMPLETE
            share.around.emit("changed", share=share.id)

    async def _download(self) -> None:
        share = self.share
        if share.layout is None:
            return
        share.download = Download(share, share.layout, self.downloads)
        try:
            await share.download.run()
        finally:
            share.download = None
        share.path = await share.around.operate("finish", share.id)
        share.state = State.COMPLETE
        share.around.emit("complete", share=share.id, path=share.path, wasted=share.wasted)


def wanted_files(info: Info, only: tuple[str, ...]) -> list[int] | None:
    """Indices of the files of these patterns; None: all. LocalError if there are none."""
    if not only:
        return None
    paths = [tuple(name.decode(errors="replace") for name in file.path) for file in info.files]
    files = select(paths, only)
    if not files:
        raise LocalError(f"no file of the share is called {' or '.join(only)}")
    return files
