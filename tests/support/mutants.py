"""Plants one-line bugs: the source of a function with one piece of text replaced, for the time of a test."""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import Any

import pytest


def plant(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, old: str, new: str) -> None:
    """`owner`: a module or a class. The text must stand there exactly once, or the test is out of date."""
    function = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(old) != 1:
        pytest.fail(f"{old!r} stands {source.count(old)} times in {name}: the mutant is out of date")
    found: dict[str, Any] = {}
    code = "from __future__ import annotations\n" + source.replace(old, new)
    exec(compile(code, f"<mutant of {name}>", "exec"), sys.modules[function.__module__].__dict__, found)
    monkeypatch.setattr(owner, name, found[name])
