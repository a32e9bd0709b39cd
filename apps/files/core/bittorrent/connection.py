"""The bytes of one connection: its handshake, then messages in and out, and the silence that ends it."""

from __future__ import annotations

from typing import Protocol

import attrs

from apps.files.core.bittorrent.handshake import HANDSHAKE_BYTES, Handshake, decode_handshake
from apps.files.core.bittorrent.limits import HANDSHAKE_S, IDLE_S, KEEP_ALIVE_S, SEND_BYTES
from apps.files.core.bittorrent.messages import KEEP_ALIVE, MessageReader
from apps.files.core.bittorrent.translator import Translator
from overlay.errors import BadMessage, OverlayError, TimedOut
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND


class ByteStream(Protocol):
    """What a connection needs of a plain stream: bytes as they are, back-pressure both ways."""

    address: Address
    incoming: bool

    async def read(self, count: int, /) -> bytes: ...
    async def read_some(self, most: int, /) -> bytes: ...
    async def send(self, data: bytes, /) -> None: ...
    def close(self, reason: str = "") -> None: ...


async def read_handshake(loop: Loop, stream: ByteStream) -> Handshake:
    """BadMessage, TimedOut, StreamEnded."""
    with loop.move_on_after(HANDSHAKE_S * SECOND):
        return decode_handshake(await stream.read(HANDSHAKE_BYTES))
    raise TimedOut("no handshake of BitTorrent came")


@attrs.define(slots=True, eq=False)
class Connection:
    loop: Loop
    stream: ByteStream
    translator: Translator
    opened_ns: int

    @property
    def useless(self) -> bool:
        """Neither side wants anything of the other."""
        return not self.translator.wanting and not self.translator.wanted

    async def read(self) -> None:
        """Until it ends, or the client says nothing for too long, or what no client says."""
        reader, translator = MessageReader(), self.translator
        try:
            with self.loop.move_on_after(HANDSHAKE_S * SECOND):
                await translator.opened
            if not translator.opened.done:
                return
            while True:
                data = b""
                with self.loop.move_on_after(IDLE_S * SECOND):
                    data = await self.stream.read_some(SEND_BYTES)
                if not data:
                    return
                for message in reader.read(data):
                    translator.on_message(message)
                    if not (translator.inbox.has_room and translator.outbox.has_room):
                        await translator.inbox.room()
                        await translator.outbox.room()
        except BadMessage as error:
            translator.blame(error.reason)
        except OverlayError:
            return
        finally:
            translator.close()

    async def write(self) -> None:
        """Until it ends."""
        try:
            while True:
                data = KEEP_ALIVE
                with self.loop.move_on_after(KEEP_ALIVE_S * SECOND):
                    data = await self.translator.outbox.take()
                for at in range(0, len(data), SEND_BYTES):
                    await self.stream.send(data[at : at + SEND_BYTES])
        except OverlayError:
            return
        finally:
            self.translator.close()
