"""How a program begins: Ctrl-C while its modules are still imported ends it in one line, as it does later (ends.py)."""

from __future__ import annotations

import importlib
import os
from typing import NoReturn

#: p2pnode.ui.fail.Exit.INTERRUPTED, without what that imports.
_INTERRUPTED = 130
#: This process is a program that a person began, which may be begun anew; no part of another one.
is_program = False


def begin(module: str) -> NoReturn:
    """Imports a module and calls its `main`, which does not return."""
    global is_program
    is_program = True
    try:
        main = importlib.import_module(module).main
    except KeyboardInterrupt:
        os.write(2, b"error: stopped by Ctrl-C\n")
        os._exit(_INTERRUPTED)
    main()
    raise AssertionError(f"{module}.main has returned")


def p2pnode() -> NoReturn:
    begin("p2pnode.cli.main")
