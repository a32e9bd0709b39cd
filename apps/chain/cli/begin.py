"""The entry point of `chain-explorer`."""

from __future__ import annotations

from typing import NoReturn

from p2pnode.ui.begin import begin


def chain_explorer() -> NoReturn:
    begin("apps.chain.cli.explorer.main")
