"""Which units to ask of whom: the rarest first, none twice, and an end that does not wait for the slowest.

How many sources have a unit is kept in bit planes: plane i holds bit i of the count of every unit, so that a whole
bit field is added with a few operations on large integers, and "the rarest of those that this source has" is found
with two for each plane, whatever the number of units (100,000: some 10 microseconds).

A unit is missing, then asked of one source, then arrived (it is being checked), then held. It is missing again if
its source goes, is too late, or sent something else; a source is never asked again for what it sent wrong. Only at
the end, when nothing is left that anybody here has and nobody was asked for, are units asked of more than one.

Rarest first and random first: Cohen, Incentives Build Robustness in BitTorrent, 2003, 2.4; endgame: there, 2.4.4.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

import attrs

from apps.files.core import bits
from apps.files.core.limits import ENDGAME_COPIES, ENDGAME_UNITS, MAX_SOURCES, RANDOM_FIRST
from overlay.errors import LimitError, LocalError
from overlay.runtime.chance import Rng

S = TypeVar("S")


class Order(enum.Enum):
    #: The best for the swarm: what few have is copied before they go.
    RAREST = "rarest"
    #: The lowest number first, to watch or unpack while the rest comes.
    SEQUENTIAL = "sequential"


@attrs.define(slots=True, eq=False)
class _Source:
    #: Units that it has, apart from those that it sent wrong.
    units: int = 0
    #: Units that it sent wrong, whatever it says it has.
    barred: int = 0
    #: Units asked of it, the oldest first; the values say nothing.
    asked: dict[int, None] = attrs.field(factory=dict)
    #: How many of `asked` others were asked for before.
    copies: int = 0


@attrs.define(slots=True, eq=False)
class Picker(Generic[S]):
    """Of one download. Sources are known by whatever the caller knows them by.

    `count`: units of the share. `held`: those that are there already. `wanted`: those to fetch."""

    count: int
    _rng: Rng
    held: int = attrs.field(default=0, kw_only=True)
    wanted: int = attrs.field(default=-1, kw_only=True)
    order: Order = attrs.field(default=Order.RAREST, kw_only=True)
    _sources: dict[S, _Source] = attrs.field(factory=dict, init=False)
    #: Planes of how many sources have each unit, the lowest bit first.
    _planes: list[int] = attrs.field(factory=list, init=False)
    #: Wanted, not held, asked of nobody, not being checked.
    _missing: int = attrs.field(default=0, init=False)
    #: Sources asked for a unit, the first one first.
    _asked: dict[int, list[S]] = attrs.field(factory=dict, init=False)
    #: Units that are being checked.
    _arrived: int = attrs.field(default=0, init=False)
    _fetched: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        every = bits.all_of(self.count)
        self.held &= every
        self.wanted &= every
        self._missing = self.wanted & ~self.held

    # --- what is known ---------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """All that is wanted is held."""
        return not self.wanted & ~self.held

    @property
    def available(self) -> int:
        """The set of units that some source has."""
        found = 0
        for plane in self._planes:
            found |= plane
        return found

    def copies(self, unit: int) -> int:
        """How many sources have it."""
        return sum((plane >> unit & 1) << i for i, plane in enumerate(self._planes))

    def scarce(self, units: int) -> int:
        """Of a set of units those that at most two sources have."""
        for plane in self._planes[2:]:
            units &= ~plane
        return units & ~(self._planes[0] & self._planes[1]) if len(self._planes) > 1 else units

    def interesting(self, source: S) -> bool:
        """Whether it has anything that is wanted and not held."""
        return bool(self._sources[source].units & self.wanted & ~self.held)

    def asked_of(self, source: S) -> list[int]:
        """Units asked of it and not come, the oldest first."""
        return list(self._sources[source].asked)

    # --- sources ---------------------------------------------------------------------------

    def add(self, source: S, units: int = 0) -> None:
        """A source with a set of units. LimitError if there are too many, LocalError if it is known."""
        if source in self._sources:
            raise LocalError("this source is known already")
        if len(self._sources) >= MAX_SOURCES:
            raise LimitError(f"{MAX_SOURCES} sources of one download already")
        self._sources[source] = _Source()
        self.has(source, units)

    def has(self, source: S, units: int) -> None:
        """It says that it has these (HAVE, or a bit field); it cannot take that back."""
        known = self._sources[source]
        new = units & bits.all_of(self.count) & ~known.units & ~known.barred
        known.units |= new
        self._count(new, up=True)

    def remove(self, source: S) -> None:
        """It is gone; what was asked of it is missing again."""
        self.release(source)
        self._count(self._sources.pop(source).units, up=False)

    def release(self, source: S) -> list[int]:
        """Nothing is awaited from it any more: it was slow, or choked us. Which units were; what of them comes after
        all is welcome."""
        units = list(self._sources[source].asked)
        for unit in units:
            self._forget(source, unit)
        return units

    def _count(self, units: int, *, up: bool) -> None:
        """Adds or subtracts one in the counts of a set of units: carry or borrow, plane by plane."""
        for i in range(len(self._planes)):
            if not units:
                return
            plane = self._planes[i]
            self._planes[i] = plane ^ units
            units &= plane if up else ~plane
        if units:
            self._planes.append(units)

    # --- asking ----------------------------------------------------------------------------

    def pick(self, source: S, most: int) -> list[int]:
        """At most `most` units to ask of it now; they count as asked. None if there are none for it.

        Rarest: those that fewest have, from a random one on (neighbours lie together on disk). Until a few units are
        here it is any that it has, so that there soon is something to give."""
        known = self._sources[source]
        picked: list[int] = []
        while len(picked) < most:
            usable = self._missing & known.units
            if not usable:
                break
            taken = self._choose(usable, most - len(picked))
            chosen = 0
            base = min(taken)
            for unit in taken:
                chosen |= 1 << unit - base
                known.asked[unit] = None
                self._asked[unit] = [source]
            self._missing &= ~(chosen << base)
            picked += taken
        if len(picked) < most and not self._missing & self.available:
            picked += self._endgame(source, known, min(most - len(picked), ENDGAME_UNITS - known.copies))
        return picked

    def _choose(self, usable: int, most: int) -> list[int]:
        start = 0
        if self.order is Order.RAREST:
            if self._fetched >= RANDOM_FIRST or self.held.bit_count() >= RANDOM_FIRST:
                usable = self._rarest(usable)
            else:
                most = min(most, RANDOM_FIRST)
            start = self._rng.below(self.count)
        taken: list[int] = []
        for unit in bits.first_from(usable, start):
            taken.append(unit)
            if len(taken) == most:
                break
        return taken

    def _rarest(self, units: int) -> int:
        """Those of a set of units that fewest sources have: from the highest plane down, zeros before ones."""
        for plane in reversed(self._planes):
            units = units & ~plane or units
        return units

    def _endgame(self, source: S, known: _Source, most: int) -> list[int]:
        """Units that others are asked for: the latest, because a source that is asked for many comes to them last."""
        picked: list[int] = []
        if most <= 0:
            return picked
        for copies in range(1, ENDGAME_COPIES):
            for unit in reversed(self._asked):
                sources = self._asked[unit]
                if len(sources) == copies and known.units >> unit & 1 and source not in sources:
                    sources.append(source)
                    known.asked[unit] = None
                    known.copies += 1
                    picked.append(unit)
                    if len(picked) == most:
                        return picked
        return picked

    # --- what came of it -------------------------------------------------------------------

    def arrived(self, source: S, unit: int) -> list[S] | None:
        """All of a unit came and is to be checked. Whom to tell that they need not send it; None if it is not needed
        at all: it is held, being checked, or not of this share. What was not asked for, or no more, is not refused."""
        if not 0 <= unit < self.count or (self.held | self._arrived) >> unit & 1:
            self._forget(source, unit)
            return None
        others = [other for other in self._asked.get(unit, ()) if other != source]
        for each in list(self._asked.get(unit, ())):
            self._forget(each, unit)
        self._arrived |= 1 << unit
        self._missing &= ~(1 << unit)
        return others

    def verified(self, unit: int) -> None:
        """What arrived is right and written: it is held."""
        self._arrived &= ~(1 << unit)
        self.held |= 1 << unit
        self._fetched += 1
        for source in list(self._asked.get(unit, ())):
            self._forget(source, unit)
        self._missing &= ~(1 << unit)

    def claim(self, units: int) -> int:
        """Of these, those that nobody was asked for: they come another way, and count as arrived from now on."""
        claimed = units & self._missing
        self._missing ^= claimed
        self._arrived |= claimed
        return claimed

    def kept(self, units: int) -> None:
        """What was claimed is held."""
        self._arrived &= ~units
        self.held |= units

    def given_up(self, units: int) -> None:
        """What was claimed is missing again."""
        self._arrived &= ~units
        self._missing |= units & self.wanted & ~self.held

    def wrong(self, source: S, unit: int) -> None:
        """What arrived from it is not the unit. It is missing, and never asked of this source again."""
        if self._arrived >> unit & 1:
            self.lost(unit)
        known = self._sources.get(source)
        if known is not None:
            known.barred |= 1 << unit
            if known.units >> unit & 1:
                known.units ^= 1 << unit
                self._count(1 << unit, up=False)

    def put_back(self, source: S, unit: int) -> None:
        """It need not send this one any more, and may be asked for it again."""
        self._forget(source, unit)

    def refused(self, source: S, unit: int) -> None:
        """It does not have what it was asked for: missing, and not asked of it until it says again that it has it."""
        self._forget(source, unit)
        known = self._sources[source]
        if known.units >> unit & 1:
            known.units ^= 1 << unit
            self._count(1 << unit, up=False)

    def lost(self, unit: int) -> None:
        """What arrived or was held is not there any more: it could not be written, or the disk has it no longer."""
        bit = 1 << unit
        self._arrived &= ~bit
        self.held &= ~bit
        if self.wanted & bit and unit not in self._asked:
            self._missing |= bit

    def want(self, units: int) -> list[tuple[S, int]]:
        """Another selection. What is asked of whom and no longer wanted: to be cancelled."""
        self.wanted = units & bits.all_of(self.count)
        dropped = [(s, unit) for unit, sources in self._asked.items() if not self.wanted >> unit & 1 for s in sources]
        for source, unit in dropped:
            self._forget(source, unit)
        under_way = self._arrived
        for unit in self._asked:
            under_way |= 1 << unit
        self._missing = self.wanted & ~self.held & ~under_way
        return dropped

    def _forget(self, source: S, unit: int) -> None:
        """This source is no longer asked for it; if no other one is, it is missing."""
        known = self._sources.get(source)
        if known is None or unit not in known.asked:
            return
        del known.asked[unit]
        sources = self._asked[unit]
        if sources[0] != source:
            known.copies -= 1
        elif len(sources) > 1:
            # The next one is no longer a copy, but the request itself.
            self._sources[sources[1]].copies -= 1
        sources.remove(source)
        if not sources:
            del self._asked[unit]
            if (self.wanted & ~self.held & ~self._arrived) >> unit & 1:
                self._missing |= 1 << unit
