"""Where the chain is read: the file in the home of a node, or in a folder that was named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from apps.chain.core.explorer.chain import Chain
from apps.chain.core.explorer.line import HeaderLine
from apps.chain.core.facts import LIGHT_NOTE, NOTE, decode_params
from apps.chain.core.params import Params
from apps.chain.core.store import Index
from apps.chain.shell.reading import ReadStore
from apps.chain.shell.schema import FILE_NAME, DiskError
from apps.chain.shell.view import open_view
from overlay.errors import BadMessage
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.home import Home, find_home


@contextlib.contextmanager
def open_chain(data: Path | None, home: str | None) -> Iterator[Chain]:
    """The chain as it is at this moment: all answers are of one transaction. Fail if there is none, or it is bad."""
    path = file_of(data, home)
    try:
        with open_view(path) as view:
            params = params_of(view, path)
            if view.note(LIGHT_NOTE) == b"1":
                yield Chain(cast("Index", HeaderLine(view)), params, light=True)
            else:
                yield Chain(view, params)
    except DiskError as error:
        raise Fail(error.what, facts=error.facts) from None


def file_of(data: Path | None, home: str | None) -> Path:
    """Of a home, of a folder with a chain, or of a folder that is a home. Fail if there is none."""
    if data is None:
        path = _in_home(find_home(home))
        if not path.exists():
            fail("no node is running here, and there is no chain of one", code="no_node", looked_for=str(path),
                 start_one="p2pnode run", or_name_a_folder="chain-explorer --data DIR …")  # fmt: skip
        return path
    candidates = [data, data / FILE_NAME, _in_home(find_home(data))]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        fail("there is no chain in this folder", code="no_node", looked_for="\n".join(map(str, candidates[1:])),
             name_another="chain-explorer --data DIR …")  # fmt: skip
    return found


def is_there(home: str | None) -> bool:
    """Whether this home has a chain."""
    return _in_home(find_home(home)).exists()


def _in_home(home: Home) -> Path:
    return home.app_folder("chain") / FILE_NAME


def params_of(view: ReadStore, path: Path) -> Params:
    """Of the chain in a file. Fail if it does not say, or is not the one that it says."""
    note = view.note(NOTE)
    try:
        params = None if note is None else decode_params(note)
    except BadMessage:
        params = None
    first = view.active(0)
    if first is None:
        fail("the chain has no block yet", file=str(path), start_the_node_that_fills_it="p2pnode run")
    if params is None or params.genesis_id != first.id:
        fail("this file does not say which chain it is of", file=str(path), first_block=first.id.hex(),
             look_at_another="chain-explorer --data DIR …")  # fmt: skip
    return params
