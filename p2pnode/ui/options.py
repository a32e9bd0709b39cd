"""What all commands share: `--json`, and an example below the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help='One JSON object on stdout, with "v": 1.')(command)


def examples(*lines: str) -> str:
    """An epilog of command lines, each as it is."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
