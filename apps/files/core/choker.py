"""Whom to serve: those who give, one other in turn, and nobody for nothing.

Every ten seconds the slots are given anew (Cohen, Incentives Build Robustness in BitTorrent, 2003, 3.2-3.5; BEP 3):

- While this node fetches, a slot is earned by the rate at which a peer sends. Who snubs us earns none.
- Once it has all, a slot is earned by credit: what a peer gave us, in any share, and what others vouch for.
- What is left goes to those who earned none, the one that was served longest ago first. While we fetch, only as far
  as a gift of 1 MiB: they may have had nothing to give. A free rider has used it up.
- One slot is optimistic: for 30 seconds it is anybody's, a newcomer's three times as likely, snubs and debts
  forgotten. It is how better peers are found, how newcomers begin, and all that free riders get.

Only who is interested takes a slot, so none is empty while somebody waits who may have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Generic, TypeVar

import attrs

from apps.files.core.limits import (
    DEFAULT_SLOTS,
    GIFT_BYTES,
    MAX_SLOTS,
    NEWCOMER_S,
    NEWCOMER_TICKETS,
    OPTIMISTIC_S,
)
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

P = TypeVar("P")


@attrs.frozen(slots=True)
class Standing(Generic[P]):
    """What counts of one peer in one round. Bytes, and nanoseconds of a clock that never goes back."""

    peer: P
    #: It wants something that we have.
    interested: bool
    #: When it came.
    since: int
    #: Bytes a second that it sends us.
    rate: int = 0
    #: Bytes that we gave it and that it gave us in this share.
    given: int = 0
    received: int = 0
    #: Bytes that it is owed for whatever it gave, to us in other shares or to others.
    credit: int = 0
    #: It owes us an answer for too long.
    snubbed: bool = False


@attrs.frozen(slots=True)
class Choice(Generic[P]):
    """Who is unchoked until the next round: everybody else is choked."""

    regular: tuple[P, ...]
    optimistic: P | None


def slots_for(upload: int | None) -> int:
    """Slots for a limit of bytes a second, so that each of them is worth having (the rule of the first client:
    sqrt(0.6 * kB/s), at least 2); 8 without a limit."""
    if upload is None:
        return DEFAULT_SLOTS
    return min(max(isqrt(upload * 6 // 10_000), 2), MAX_SLOTS)


@attrs.define(slots=True, eq=False)
class Choker(Generic[P]):
    """Of one share, or of all together: whoever calls `round` says who stands in line."""

    _rng: Rng
    #: The optimistic one among them.
    slots: int = attrs.field(default=DEFAULT_SLOTS, kw_only=True)
    _optimistic: P | None = attrs.field(default=None, init=False)
    _since: int = attrs.field(default=0, init=False)
    #: When each was served last, of those that stand in line now.
    _served: dict[P, int] = attrs.field(factory=dict, init=False)

    def round(self, now: int, line: Sequence[Standing[P]], *, seeding: bool) -> Choice[P]:
        """Who is served from now on. Call it every CHOKE_ROUND_S, and when somebody who is served loses interest or
        goes."""
        known = {standing.peer for standing in line}
        self._served = {peer: at for peer, at in self._served.items() if peer in known}
        waiting = [standing for standing in line if standing.interested]
        # The optimistic one keeps its slot for its time, so it is chosen before the others are.
        optimistic = self._kept(now, waiting)
        regular = self._regular(waiting, optimistic, self.slots - 1, seeding=seeding)
        if optimistic is None:
            optimistic = self._drawn(now, [standing for standing in waiting if standing.peer not in regular])
        for peer in regular if optimistic is None else (*regular, optimistic):
            self._served[peer] = now
        return Choice(tuple(regular), optimistic)

    def _regular(
        self, waiting: list[Standing[P]], optimistic: P | None, slots: int, *, seeding: bool
    ) -> list[P]:  # fmt: skip
        def merit(standing: Standing[P]) -> int:
            if seeding:
                return standing.credit + standing.received
            return 0 if standing.snubbed else standing.rate

        others = [standing for standing in waiting if standing.peer != optimistic]
        earned = sorted((s for s in others if merit(s) > 0), key=lambda s: (-merit(s), s.since))
        gifts = [s for s in others if merit(s) <= 0 and (seeding or gift_left(s))]
        gifts.sort(key=lambda s: (self._served.get(s.peer, -1), s.since))
        return [standing.peer for standing in (*earned, *gifts)[: max(slots, 0)]]

    def _kept(self, now: int, waiting: list[Standing[P]]) -> P | None:
        if self._optimistic is None or now - self._since >= OPTIMISTIC_S * SECOND:
            return None
        return next((s.peer for s in waiting if s.peer == self._optimistic), None)

    def _drawn(self, now: int, waiting: list[Standing[P]]) -> P | None:
        # Not the same one twice in a row, if another one waits.
        others = [standing for standing in waiting if standing.peer != self._optimistic] or waiting
        tickets = [
            standing.peer
            for standing in others
            for _ in range(NEWCOMER_TICKETS if now - standing.since < NEWCOMER_S * SECOND else 1)
        ]
        self._optimistic = self._rng.choice(tickets) if tickets and self.slots > 0 else None
        self._since = now
        return self._optimistic


def gift_left(standing: Standing[P]) -> int:
    """Bytes that it may still be given in a regular slot that it did not earn while we fetch. On a fast network they
    are gone long before the round is: then call the next one."""
    if standing.snubbed:
        return 0
    return max(GIFT_BYTES + standing.received + standing.credit - standing.given, 0)
