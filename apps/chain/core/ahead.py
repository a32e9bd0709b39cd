"""Headers first: where two chains part, what comes behind that, and which bodies are to be fetched next."""

from __future__ import annotations

from collections.abc import Container, Sequence

import attrs

from apps.chain.core.ledger import Ledger
from apps.chain.core.limits import HEADERS_PER_MESSAGE, MAX_LOCATOR
from apps.chain.core.rows import HeaderRow, Status
from apps.chain.core.store import View
from overlay.errors import BadMessage


def headers_after(view: View, locator: Sequence[bytes], *, limit: int = HEADERS_PER_MESSAGE) -> list[bytes]:
    """Headers of the chain that counts behind the first block of a locator that is in it; without one, from the first.

    BadMessage for a locator that is too long."""
    if len(locator) > MAX_LOCATOR:
        raise BadMessage(f"a locator of {len(locator)} blocks, at most {MAX_LOCATOR}")
    height = next((row.height for block in locator if (row := _active(view, block)) is not None), 0)
    rows = view.actives(height + 1, height + limit)
    return [header.raw for row in rows if (header := view.header(row.id)) is not None]


def _active(view: View, block: bytes) -> HeaderRow | None:
    row = view.header(block)
    if row is None:
        return None
    active = view.active(row.height)
    return row if active is not None and active.id == block else None


@attrs.define(slots=True, eq=False)
class Ahead:
    """The way from the chain that counts to the best header, kept up to date while both grow."""

    ledger: Ledger
    #: Height of the block that the way begins behind.
    _base: int = 0
    _ids: list[bytes] = attrs.Factory(list)

    def locator(self) -> list[bytes]:
        """Blocks at the heights best, -1, -2, -4, ... and 0."""
        self._refresh()
        best, back = self.ledger.best.height, 1
        heights = [best]
        while back < best:
            heights.append(best - back)
            back *= 2
        if best:
            heights.append(0)
        return [block for height in heights if (block := self._id(height)) is not None]

    def wanted(self, limit: int, *, besides: Container[bytes] = ()) -> list[HeaderRow]:
        """Headers whose bodies are not here, the lowest first, without those that are on their way already."""
        self._refresh()
        found: list[HeaderRow] = []
        for block in self._ids:
            if len(found) == limit:
                break
            row = self.ledger.store.header(block)
            if row is not None and row.status is Status.HEADER and block not in besides:
                found.append(row)
        return found

    @property
    def behind(self) -> int:
        """Blocks from the chain that counts to the best header."""
        self._refresh()
        return len(self._ids)

    def leads_to(self, row: HeaderRow) -> bool:
        """Whether it is on the way to the best header: what a client that keeps no bodies goes by."""
        self._refresh()
        return self._id(row.height) == row.id

    def id_at(self, height: int) -> bytes | None:
        """Of the block of that height on the way to the best header; None if it does not lead so far."""
        self._refresh()
        return self._id(height) if 0 <= height <= self.ledger.best.height else None

    def _id(self, height: int) -> bytes | None:
        if height > self._base:
            at = height - self._base - 1
            return self._ids[at] if at < len(self._ids) else None
        active = self.ledger.store.active(height)
        return active.id if active is not None else None

    def _refresh(self) -> None:
        best, active = self.ledger.best, self.ledger.active
        if active.has(best):
            self._base, self._ids = best.height, []
            return
        if self._ids:
            first = self.ledger.store.header(self._ids[0])
            if first is None or not self._is_active(self._base, first.parent):
                self._ids = []
        # Up to where the old way ends, or meets the chain that counts: a message of headers, as a rule.
        path: list[bytes] = []
        row: HeaderRow | None = best
        while row is not None and not active.has(row) and self._known(row) is None:
            path.append(row.id)
            row = self.ledger.store.header(row.parent)
        assert row is not None, "the first block is in every chain that counts"
        at = self._known(row)
        kept = self._ids[: at + 1] if at is not None else []
        base = row.height - len(kept)
        ids = kept + path[::-1]
        # What has been connected since.
        done = 0
        while done < len(ids) and self._is_active(base + done + 1, ids[done]):
            done += 1
        self._base, self._ids = base + done, ids[done:]

    def _is_active(self, height: int, block: bytes) -> bool:
        active = self.ledger.store.active(height)
        return active is not None and active.id == block

    def _known(self, row: HeaderRow) -> int | None:
        at = row.height - self._base - 1
        return at if 0 <= at < len(self._ids) and self._ids[at] == row.id else None
