"""Units of a download that are asked of somebody, or came and are not written."""

from __future__ import annotations

import attrs


@attrs.define(slots=True, eq=False)
class UnderWay:
    units: int = 0
    #: By unit: of how many it is asked.
    _askers: dict[int, int] = attrs.field(factory=dict, init=False)

    @property
    def awaited(self) -> bool:
        """Somebody is asked for something."""
        return bool(self._askers)

    def asked(self, unit: int) -> None:
        """Of one more."""
        self._askers[unit] = self._askers.get(unit, 0) + 1
        self.units |= 1 << unit

    def unasked(self, unit: int) -> None:
        """Of one fewer."""
        self._askers[unit] -= 1
        if not self._askers[unit]:
            del self._askers[unit]
            self.units &= ~(1 << unit)

    def any_of(self, units: range) -> bool:
        return bool(self.units >> units.start & (1 << len(units)) - 1)
