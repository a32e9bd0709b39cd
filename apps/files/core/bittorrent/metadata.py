"""The info dictionary, 16 KiB at a time with a client (BEP 9) and 64 KiB at a time with the session."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from apps.files.core import wire
from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.extension import ExtendedHandshake, PartData, PartReject, PartRequest
from apps.files.core.bittorrent.limits import MAX_PARTS_ASKED, METADATA_PART_BYTES
from apps.files.core.bittorrent.messages import Extended
from apps.files.core.limits import INFO_PART_BYTES

_PARTS = INFO_PART_BYTES // METADATA_PART_BYTES


@attrs.define(slots=True, eq=False)
class Metadata:
    channel: int
    #: Tells the client, and the session.
    tell: Callable[[Extended], object]
    hear: Callable[[wire.Message], object]
    theirs: ExtendedHandshake = attrs.field(factory=ExtendedHandshake, init=False)
    #: Bytes of the info dictionary here; 0: it is not.
    size: int = attrs.field(default=0, init=False)
    #: Parts that the client waits for, by those of the session.
    _asked: dict[int, list[int]] = attrs.field(factory=dict, init=False)
    #: Parts that the session waits for, by its own: None for what did not come yet.
    _wanted: dict[int, dict[int, bytes | None]] = attrs.field(factory=dict, init=False)

    # --- for the session --------------------------------------------------------------------

    def want(self, index: int) -> None:
        """Part `index` of the session."""
        first = index * _PARTS
        parts = range(first, min(first + _PARTS, -(-self.theirs.metadata_size // METADATA_PART_BYTES)))
        if not parts or not self.theirs.ut_metadata:
            self.hear(wire.InfoPart(self.channel, index, b""))
            return
        self._wanted[index] = dict.fromkeys(parts)
        for part in parts:
            self._tell(PartRequest(part))

    def give(self, index: int, data: bytes) -> None:
        """The answer of the session to what `ask` made it answer."""
        for part in self._asked.pop(index, ()):
            at = part % _PARTS * METADATA_PART_BYTES
            piece = data[at : at + METADATA_PART_BYTES]
            self._tell(PartData(part, self.size, piece) if piece else PartReject(part))

    # --- for the client ---------------------------------------------------------------------

    def on_message(self, body: bytes) -> None:
        """BadMessage."""
        match extension.decode_metadata(body):
            case PartRequest(part):
                self._ask(part)
            case PartData(part, _, data):
                self._on_part(part, data)
            case PartReject(part):
                self._on_part(part, b"")
            case None:
                pass

    def _ask(self, part: int) -> None:
        waiting = self._asked.setdefault(part // _PARTS, [])
        if part in waiting:
            return
        if not self.size or sum(map(len, self._asked.values())) >= MAX_PARTS_ASKED:
            self._tell(PartReject(part))
            return
        waiting.append(part)
        if len(waiting) == 1:
            self.hear(wire.GetInfo(self.channel, part // _PARTS))

    def _on_part(self, part: int, data: bytes) -> None:
        """What was not asked for is not heard."""
        index = part // _PARTS
        wanted = self._wanted.get(index)
        if wanted is None or part not in wanted:
            return
        wanted[part] = data
        if not data or None not in wanted.values():
            del self._wanted[index]
            parts = [] if not data else [piece for piece in wanted.values() if piece]
            self.hear(wire.InfoPart(self.channel, index, b"".join(parts)))

    def _tell(self, message: extension.MetadataMessage) -> None:
        if self.theirs.ut_metadata:
            self.tell(Extended(self.theirs.ut_metadata, extension.encode_metadata(message)))
