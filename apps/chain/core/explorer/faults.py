"""What a check of a chain found, or how far it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from apps.chain.core.rows import ActiveRow

#: What is being done, and how many of how many blocks are done.
Told = Callable[[str, int, int], object]

HEADERS, BODIES, SIGNATURES, UNDO, REPLAY = range(5)
#: The code of what breaks no rule: the store does not hold what follows from the blocks.
STORE: Final = "STORE"
#: Blocks between two reports of how far it is.
STEP: Final = 256


@attrs.frozen(slots=True)
class Fault:
    height: int
    block: bytes
    #: Of a rule (rules.py), or STORE.
    code: str
    why: str


@attrs.define(slots=True)
class Report:
    """How far it came: numbers of what is good."""

    level: int
    #: Heights of levels 0 to 2; the others begin with the first block.
    first: int
    last: int
    headers: int = 0
    bodies: int = 0
    #: Transactions whose signature was checked.
    signatures: int = 0
    replayed: int = 0
    #: Below it blocks were forgotten, all but the first one of the chain; 0: none was.
    kept_from: int = attrs.field(default=0, kw_only=True)
    undone: int = 0
    #: Whether the replayed state is the stored one; None: was not compared.
    is_equal: bool | None = None
    fault: Fault | None = None


class Faulty(Exception):
    def __init__(self, row: ActiveRow, code: str, why: str) -> None:
        super().__init__(why)
        self.fault = Fault(row.height, row.id, code, why)
