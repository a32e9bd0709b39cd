"""Parts of a scenario that are found by name: churn models, workloads, timeline actions, adversaries.

A name is one of ours or `package.module:Class`, so that a new part needs no change here. Applications are loaded by
the same function, so a module in the present folder will do for all of them.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import attrs

T = TypeVar("T")


class UnknownPlugin(ValueError):
    """The name of a part that does not exist."""


def load(target: str) -> Any:
    """What `package.module:Name` names. UnknownPlugin, whatever the module does when it is imported."""
    module, colon, attribute = target.partition(":")
    if not colon or not module or not attribute:
        raise UnknownPlugin(f"expected package.module:Class, found {target!r}")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # for the module that a person has just written; what is installed comes first
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise UnknownPlugin(f"{type(error).__name__}: {error}") from error


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
        try:
            found = load(target)
        except UnknownPlugin as error:
            raise UnknownPlugin(f"{name!r} cannot be loaded as {self.noun}: {error}") from error
        if not (isinstance(found, type) and attrs.has(found)):
            raise UnknownPlugin(f"{name!r} is not {self.noun}: it is no attrs class")
        if not callable(getattr(found, "begin", None)):
            raise UnknownPlugin(f"{name!r} is not {self.noun}: it has no begin(swarm)")
        return cast("type[T]", found)

    def name_of(self, part: object) -> str:
        """What a file calls it."""
        target = f"{type(part).__module__}:{type(part).__qualname__}"
        return next((name for name, known in self.builtins.items() if known == target), target)
