"""A scenario that has a little of everything a report shows, and runs in two seconds."""

from __future__ import annotations

from pathlib import Path

SMALL = """
description = "Cut and healed, with <liars> & dead ones."
duration_s = 80
[population]
nodes = 24
arrive_s = 5
[[adversaries]]
kind = "colluding-routers"
fraction = 0.2
[[timeline]]
action = "partition"
at_s = 30
shares = [0.5, 0.5]
[[timeline]]
action = "heal"
at_s = 45
[[timeline]]
action = "kill"
at_s = 60
share = 0.2
[[workload]]
kind = "lookup"
count = 60
paths = 2
from_s = 20
[[workload]]
kind = "put-get"
values = 8
gets = 20
from_s = 20
[[claims]]
measure = "lookup_success"
at_least = 0.2
[[claims]]
measure = "nothing_of_that_name"
at_most = 1
"""


def small(folder: Path) -> str:
    """Written into `folder`; its path."""
    path = folder / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return str(path)
