"""What is here and what a client has, in pieces for it and in units for the session.

As long as the info dictionary is not known here, nobody can tell what a piece is: what the client says is kept, as
bits, and bounded for all connections together. Here a piece is told of once all of its units are there.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from apps.files.core import bits, wire
from apps.files.core.bittorrent.grain import Grain
from apps.files.core.bittorrent.limits import MAX_BITFIELD_BYTES, MAX_EARLY_BYTES, MAX_EARLY_POOL
from apps.files.core.bittorrent.messages import HavePiece, Holds, Pieces
from apps.files.core.limits import MAX_HAVE_UNITS, MAX_HOLD_BYTES
from overlay.errors import BadMessage, LimitError


@attrs.define(slots=True, eq=False)
class Pool:
    """Bytes that all connections keep of what was said too early, beyond what each of them may keep anyway."""

    used: int = 0


@attrs.define(slots=True, eq=False)
class Holdings:
    channel: int
    fast: bool
    tell: Callable[[Holds | HavePiece], object]
    hear: Callable[[wire.Message], object]
    pool: Pool
    #: Bytes of the client's info dictionary, as it says.
    info_bytes: int = attrs.field(default=0, init=False)
    _grain: Grain | None = attrs.field(default=None, init=False)
    #: Its pieces before the layout was known: what it said first, and HAVE, the first piece in the highest bit.
    _early: Pieces = attrs.field(default=False, init=False)
    _early_haves: bytearray = attrs.field(factory=bytearray, init=False)
    #: Bytes of both that are taken from the pool.
    _pooled: int = attrs.field(default=0, init=False)
    #: Units that are here, and pieces that it was told of.
    _have: int = attrs.field(default=0, init=False)
    _told: int = attrs.field(default=0, init=False)
    _greeted: bool = attrs.field(default=False, init=False)

    # --- what is here -----------------------------------------------------------------------

    def on_hold(self, grain: Grain, held: bool | bytes, first: int) -> None:
        """What the session says of units from `first` on. BadMessage if the client's early bits fit no such share.

        Only the first word of all may be a bit field, have all or have none (BEP 3, 6)."""
        count = grain.layout.units
        if type(held) is bool:
            self._have |= bits.all_of(count) if held else 0
        else:
            self._have |= bits.decode_bitfield(held, min(count - first, MAX_HOLD_BYTES * 8)) << first
        pieces = grain.pieces_in(self._have)
        if self._greeted:
            for piece in bits.first_from(pieces & ~self._told, 0):
                self.tell(HavePiece(piece))
        elif self.fast and (not pieces or pieces == bits.all_of(grain.layout.pieces)):
            self.tell(Holds(bool(pieces)))
        elif pieces:
            self.tell(Holds(bits.to_bitfield(pieces, grain.layout.pieces)))
        self._told |= pieces
        self._greeted = True
        if self._grain is None:
            self._know(grain)

    def unknown(self) -> None:
        """The first word, as long as it is not known what is here."""
        self._greeted = True
        if self.fast:
            self.tell(Holds(False))

    def on_have(self, units: tuple[int, ...]) -> None:
        assert self._grain is not None
        for unit in units:
            self._have |= 1 << unit
        for piece in dict.fromkeys(map(self._grain.layout.piece_of_unit, units)):
            numbers = self._grain.units_of(piece)
            every = bits.all_of(len(numbers))
            if not self._told >> piece & 1 and self._have >> numbers.start & every == every:
                self._told |= 1 << piece
                self.tell(HavePiece(piece))

    # --- what the client has ----------------------------------------------------------------

    def on_pieces(self, pieces: Pieces) -> None:
        """BadMessage; LimitError if there is no room for it now."""
        if self._grain is None:
            self._take_room(pieces, len(self._early_haves))
            self._early = pieces
        elif pieces is not False:
            self._hear(self._grain, self._grain.units_in(pieces))

    def on_piece(self, piece: int) -> None:
        """BadMessage; LimitError if there is no room for it now."""
        if self._grain is not None:
            units = self._grain.units_of(piece)
            for at in range(0, len(units), MAX_HAVE_UNITS):
                self.hear(wire.Have(self.channel, tuple(units[at : at + MAX_HAVE_UNITS])))
            return
        at = piece >> 3
        if at >= MAX_BITFIELD_BYTES:
            raise BadMessage("a piece that no share has")
        if at >= len(self._early_haves):
            self._take_room(self._early, at + 1)
            self._early_haves += bytes(at + 1 - len(self._early_haves))
        self._early_haves[at] |= 0x80 >> (piece & 7)

    def on_info_bytes(self, info_bytes: int) -> None:
        """Whoever looks for an info dictionary hears that the client has one."""
        if info_bytes and not self.info_bytes:
            self.info_bytes = info_bytes
            if self._grain is None:
                self.hear(wire.Hold(self.channel, info_bytes, False, 0))

    def forget(self) -> None:
        """What was said too early."""
        self._early = False
        self._early_haves.clear()
        self._take_room(False, 0)

    def _take_room(self, pieces: Pieces, haves: int) -> None:
        """LimitError."""
        size = haves + (0 if type(pieces) is bool else len(pieces))
        pooled = max(size - MAX_EARLY_BYTES, 0)
        if pooled > self._pooled and self.pool.used + pooled - self._pooled > MAX_EARLY_POOL:
            raise LimitError("no room for the pieces of clients before the info dictionary is here")
        self.pool.used += pooled - self._pooled
        self._pooled = pooled

    def _know(self, grain: Grain) -> None:
        self._grain = grain
        early, haves = self._early, bytes(self._early_haves)
        self.forget()
        units = grain.units_in(early)
        missing = (grain.layout.pieces + 7) // 8 - len(haves)
        if missing < 0:
            raise BadMessage("a piece that the share has not")
        self._hear(grain, units | grain.units_in(haves + bytes(missing)))

    def _hear(self, grain: Grain, units: int) -> None:
        count = grain.layout.units
        if not units or units == bits.all_of(count):
            self.hear(wire.Hold(self.channel, self.info_bytes, bool(units), 0))
            return
        field = bits.to_bitfield(units, count)
        for at in range(0, len(field), MAX_HOLD_BYTES):
            self.hear(wire.Hold(self.channel, self.info_bytes, field[at : at + MAX_HOLD_BYTES], at * 8))
