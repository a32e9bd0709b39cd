"""Headers that are put behind what is here, and what becomes of a branch of them: kept, given up or asked for again."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core import headers as rules
from apps.chain.core.branch import Branch, Stage
from apps.chain.core.header import Header
from apps.chain.core.limits import KEPT_BLOCKS
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow, Status
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.store import Store


def is_enough(row: HeaderRow, tip: HeaderRow) -> bool:
    """Whether a branch that ends so is worth keeping."""
    return row.work > tip.work - KEPT_BLOCKS * tip.difficulty


def settle(branch: Branch, tip: HeaderRow, *, ends: bool) -> tuple[Verdict | None, Sequence[HeaderRow]]:
    """What is worth keeping, of a branch that goes on or `ends` here and all of whose work is proved; LITTLE or AGAIN
    if that decides what becomes of it."""
    worth = branch.end is not None and is_enough(branch.end, tip)
    match branch.stage:
        case Stage.AGAIN if branch.is_due and branch.marked():
            return None, branch.take()
        case Stage.AGAIN if ends or branch.is_due:
            branch.forget()  # its chain is another one now
            return Verdict.LITTLE, ()
        case Stage.GATHERED if worth:
            return None, branch.take()
        case Stage.COUNTED if worth:
            branch.ask_again()
            return Verdict.AGAIN, ()
    if ends and branch.end is not None:
        branch.forget()
        return Verdict.LITTLE, ()
    if branch.full:
        branch.count()
    return None, ()


@attrs.frozen(slots=True, eq=False)
class Gathering:
    store: Store
    params: Params

    def check_good(self, block: bytes) -> None:
        """Invalid H11 of one that is here."""
        row = self.store.header(block)
        if row is not None and row.status < Status.HEADER:
            raise Invalid(Rule.H11, row.why or "it descends from an invalid block")

    def extend(self, branch: Branch, raw: bytes, header: Header, block: bytes, now_ms: int) -> bool:
        """Whether there is a parent. Invalid, with the rule; H9 if it is from the future."""
        parent = branch.end
        if parent is None or parent.id != header.parent:
            branch.part()
            parent = self.store.header(header.parent)
        if parent is None:
            rules.check_alone(header, raw, self.params)
            return False
        rules.check_placed(header, block, parent, self.params)
        # Up to the block that is assumed valid work may wait, until it is known whether they lead to it.
        assumed = self.params.assume_valid
        waits = assumed is not None and header.height <= assumed[0] and self.store.header(assumed[1]) is None
        if not waits:
            rules.check_work(header.difficulty, raw, self.params)
        rules.check_time(header, now_ms)
        branch.add(rules.row_of(header, raw, parent, now_ms), proved=not waits)
        if assumed is not None and block == assumed[1]:
            self.trust(self.store.header(branch.rows[0].parent))
            branch.trust()
        return True

    def trust(self, row: HeaderRow | None) -> None:
        """That block and all before it: no signature of them is checked."""
        rows = []
        while row is not None and not row.trusted:
            rows.append(attrs.evolve(row, trusted=True))
            row = self.store.header(row.parent)
        self.store.put_headers(rows)
