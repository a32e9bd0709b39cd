"""Homes, for command lines that read one without asking its node: p2pnode.api imports HTTP (20 ms)."""

from __future__ import annotations

from p2pnode.paths import Home as Home
from p2pnode.paths import find_home as find_home
