"""File sharing with a disk that reads other bytes than it hashed: `run --no-files --app tests.support.liar:Liar`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from apps.files.core.app import Files
from apps.files.shell.plug import FilesShell
from p2pnode.api import Opened, Terms


class Liar:
    """A p2pnode.api.Shell, as that of file sharing but for what it gives."""

    def bare(self, terms: Terms) -> Files:
        return FilesShell().bare(terms)

    @asynccontextmanager
    async def open(self, folder: Path, terms: Terms) -> AsyncIterator[Opened]:
        async with FilesShell().open(folder, terms) as opened:
            operations = dict(opened.app.operations)
            read = operations["read"]

            def lie(*args: Any) -> tuple[bytes | None, ...]:
                return tuple(data and bytes([data[0] ^ 1]) + data[1:] for data in read(*args))

            yield attrs.evolve(opened, app=Files(operations | {"read": lie}))
