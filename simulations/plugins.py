"""Parts of a scenario that are found by name: churn models, workloads, timeline actions, adversaries.

A name is one of ours or `package.module:Class`, so that a new part needs no change here.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Generic, TypeVar, cast

import attrs

T = TypeVar("T")


class UnknownPlugin(ValueError):
    """The name of a part that does not exist."""


@attrs.frozen(slots=True)
class Registry(Generic[T]):
    """Parts of one sort. `builtins`: name -> `package.module:Class`, imported when it is used."""

    #: What a part is called in a message: "an adversary".
    noun: str
    #: The key of a scenario file that holds the name.
    key: str
    builtins: Mapping[str, str]

    def find(self, name: str) -> type[T]:
        """The class of that name; UnknownPlugin if there is none."""
        target = self.builtins.get(name, name if ":" in name else "")
        if not target:
            close = difflib.get_close_matches(name, self.builtins, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(self.builtins))}"
            raise UnknownPlugin(f"{name!r} is not {self.noun}; {hint}")
        module, _, attribute = target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UnknownPlugin(f"{name!r} cannot be loaded as {self.noun}: {error}") from error
        if not attrs.has(found):
            raise UnknownPlugin(f"{name!r} is not {self.noun}: it is no attrs class")
        return cast("type[T]", found)
