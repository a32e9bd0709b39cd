"""Where the applications of one peer meet: what one provides by name, the others get."""

from __future__ import annotations

from typing import Any

import attrs

from overlay.errors import LocalError


@attrs.define(slots=True, eq=False)
class Services:
    """As one application sees them. What it provides ends with it."""

    _owner: str
    #: Name -> (owner, object); one table for all applications of a peer.
    _all: dict[str, tuple[str, Any]]

    def provide(self, name: str, service: Any) -> None:
        """LocalError if another application provides that name."""
        owner, _ = self._all.get(name, (self._owner, None))
        if owner != self._owner:
            raise LocalError(f"service {name!r} is provided by {owner} already")
        self._all[name] = self._owner, service

    def get(self, name: str) -> Any:
        """What was provided; LocalError if nothing is: applications start in the order in which they were named."""
        if name not in self._all:
            known = ", ".join(sorted(self._all)) or "none"
            raise LocalError(f"no application provides {name!r} (there are: {known}); is it started before this one?")
        return self._all[name][1]

    def withdraw_all(self) -> None:
        """The owner has ended."""
        for name in [name for name, (owner, _) in self._all.items() if owner == self._owner]:
            del self._all[name]
