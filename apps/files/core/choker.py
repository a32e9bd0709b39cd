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
    MIN_SLOTS,
    NEWCOMER_GIFT_BYTES,
    NEWCOMER_S,
    NEWCOMER_TICKETS,
    OPTIMISTIC_S,
    SLOT_UNIT_S,
    TURN_S,
    UNIT_BYTES,
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
    #: It does not pass on what it was given first (apps.files.core.firsts).
    debtor: bool = False
    #: It holds hardly anything that it could give.
    poor: bool = False
    #: It owes us an answer for too long.
    snubbed: bool = False


@attrs.frozen(slots=True)
class Choice(Generic[P]):
    """Who is unchoked until the next round: everybody else is choked."""

    regular: tuple[P, ...]
    optimistic: P | None


def slots_for(upload: int | None) -> int:
    """Slots for a limit of bytes a second, so that each of them is worth having: the rule of the first client,
    sqrt(0.6 * kB/s), but none in which a unit takes longer than SLOT_UNIT_S. At least 3; 5 without a limit."""
    if upload is None:
        return DEFAULT_SLOTS
    most = upload * SLOT_UNIT_S // UNIT_BYTES
    return min(max(min(isqrt(upload * 6 // 10_000), most), MIN_SLOTS), MAX_SLOTS)


@attrs.define(slots=True, eq=False)
class Choker(Generic[P]):
    """Of one share, or of all together: whoever calls `round` says who stands in line."""

    _rng: Rng
    #: The optimistic one among them.
    slots: int = attrs.field(default=DEFAULT_SLOTS, kw_only=True)
    _optimistic: P | None = attrs.field(default=None, init=False)
    _since: int = attrs.field(default=0, init=False)
    #: Bytes that the optimistic one has been given in all when its turn is over, if it gives nothing.
    _most: int = attrs.field(default=0, init=False)
    #: When one who only takes got the optimistic slot.
    _taker_ns: int = attrs.field(default=-OPTIMISTIC_S * SECOND, init=False)
    #: When each was served last, of those that stand in line now.
    _served: dict[P, int] = attrs.field(factory=dict, init=False)
    #: Since when each has had a regular slot, of those that have one.
    _turns: dict[P, int] = attrs.field(factory=dict, init=False)

    def round(self, now: int, line: Sequence[Standing[P]], *, seeding: bool) -> Choice[P]:
        """Who is served from now on. Call it every CHOKE_ROUND_S, and when somebody who is served loses interest, has
        `spent` what it may have, or goes."""
        known = {standing.peer for standing in line}
        self._served = {peer: at for peer, at in self._served.items() if peer in known}
        waiting = [standing for standing in line if standing.interested]
        # The optimistic one keeps its slot for its time, so it is chosen before the others are.
        optimistic = self._kept(now, waiting, seeding=seeding)
        regular = self._regular(now, waiting, optimistic, seeding=seeding)
        if optimistic is None:
            left = [standing for standing in waiting if standing.peer not in regular]
            optimistic = self._drawn(now, left, seeding=seeding)
        self._turns = {peer: self._turns.get(peer, now) for peer in regular}
        for peer in regular if optimistic is None else (*regular, optimistic):
            self._served[peer] = now
        return Choice(tuple(regular), optimistic)

    def spent(self, standing: Standing[P]) -> bool:
        """While we fetch: one that is served, and that gives nothing, has got what it may have."""
        if standing.peer == self._optimistic:
            return is_taker(standing) and standing.given >= self._most
        return not standing.rate and not gift_left(standing)

    def _regular(
        self, now: int, waiting: list[Standing[P]], optimistic: P | None, *, seeding: bool
    ) -> list[P]:  # fmt: skip
        def merit(standing: Standing[P]) -> int:
            if seeding:
                return standing.credit + standing.received
            return 0 if standing.snubbed else standing.rate

        def turn(standing: Standing[P]) -> tuple[bool, bool, int, int]:
            ended = now - self._turns.get(standing.peer, -TURN_S * SECOND) >= TURN_S * SECOND
            return standing.debtor, ended, self._served.get(standing.peer, -1), standing.since

        others = [standing for standing in waiting if standing.peer != optimistic]
        earned = sorted((s for s in others if merit(s) > 0), key=lambda s: (-merit(s), s.since))
        gifts = sorted((s for s in others if merit(s) <= 0 and (seeding or gift_left(s))), key=turn)
        return [standing.peer for standing in (*earned, *gifts)[: max(self.slots - 1, 0)]]

    def _kept(self, now: int, waiting: list[Standing[P]], *, seeding: bool) -> P | None:
        if self._optimistic is None or now - self._since >= OPTIMISTIC_S * SECOND:
            return None
        found = next((s for s in waiting if s.peer == self._optimistic), None)
        return found.peer if found is not None and (seeding or not self.spent(found)) else None

    def _drawn(self, now: int, waiting: list[Standing[P]], *, seeding: bool) -> P | None:
        if not seeding and now - self._taker_ns < OPTIMISTIC_S * SECOND:
            waiting = [standing for standing in waiting if not is_taker(standing)]
        # Not the same one twice in a row, if another one waits.
        others = [standing for standing in waiting if standing.peer != self._optimistic] or waiting
        tickets = [
            standing
            for standing in others
            for _ in range(NEWCOMER_TICKETS if now - standing.since < NEWCOMER_S * SECOND else 1)
        ]
        self._optimistic, self._since = None, now
        if tickets and self.slots > 0:
            drawn = self._rng.choice(tickets)
            self._optimistic, self._most = drawn.peer, drawn.given + GIFT_BYTES
            if is_taker(drawn):
                self._taker_ns = now
        return self._optimistic


def is_taker(standing: Standing[P]) -> bool:
    """It took a gift, and has not given as much as it took."""
    return not _left(standing)


def gift_left(standing: Standing[P]) -> int:
    """Bytes that it may still be given in a regular slot that it did not earn while we fetch. On a fast network they
    are gone long before the round is: then call the next one."""
    return 0 if standing.snubbed else _left(standing)


def _left(standing: Standing[P]) -> int:
    gift = NEWCOMER_GIFT_BYTES if standing.poor else GIFT_BYTES
    return max(gift + standing.received + standing.credit - standing.given, 0)
