"""One share with one peer: what both have told each other, and what is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.pipeline import Pipeline
from apps.files.core.rates import Rate

if TYPE_CHECKING:
    from apps.files.core.conduct import Conduct
    from apps.files.core.session import Session
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Asked:
    """A unit that this side asked for."""

    at_ns: int
    length: int
    #: Nothing else was under way when it was asked for: its time is a round trip.
    alone: bool


@attrs.define(slots=True, eq=False)
class Channel:
    """Sets of units are those of apps.files.core.bits."""

    number: int
    session: Session
    share: Share
    opened_ns: int
    #: Both sides agreed; until then this side has only asked.
    agreed: bool = False
    #: What outlives the channel.
    conduct: Conduct = attrs.field(init=False)

    # --- what the peer told -----------------------------------------------------------------
    #: Bytes of its info dictionary; 0: it has none.
    info_bytes: int = 0
    #: It knows the info dictionary, and what it holds was told at least once.
    told: bool = False
    held: int = 0
    #: It said once that it has all.
    whole: bool = False
    #: What it had, and would not give though it answers: it may be on its way to others first, or gone there.
    refused: int = 0
    #: It answers no requests.
    choked: bool = True
    #: It would ask for something.
    interested: bool = False

    # --- what this side told ----------------------------------------------------------------
    #: What the peer knows of what is here.
    said: int = 0
    #: It was told anything, and since it can make sense of it.
    said_any: bool = False
    said_once: bool = False
    said_interested: bool = False
    choking: bool = True

    # --- on its way -------------------------------------------------------------------------
    asked: dict[int, Asked] = attrs.Factory(dict)
    pipeline: Pipeline = attrs.field(init=False)
    #: Given up, in order, and how often: they may still come as often.
    withdrawn: dict[int, int] = attrs.Factory(dict)
    #: Asked by the peer, in order.
    serving: dict[int, None] = attrs.Factory(dict)

    # --- how it behaved ---------------------------------------------------------------------
    #: Units that it sent corrupt, or could not give: it is not asked for them again.
    unfit: int = 0
    corrupt: int = 0
    #: When a unit came, or was asked for first after nothing was under way.
    heard_ns: int = 0
    #: It was too late, and nothing came since: it is asked for one unit at a time.
    snubbed: bool = False
    #: Bytes that are given.
    up: Rate = attrs.field(init=False)
    #: Units that came and are not verified.
    checking: int = 0
    #: Bytes that were good, and that were sent.
    got: int = 0
    sent: int = 0
    #: When a unit of it was good, and when one was sent, last; 0: never.
    got_ns: int = 0
    sent_ns: int = 0
    pex_told: set[bytes] = attrs.Factory(set)

    def __attrs_post_init__(self) -> None:
        self.pipeline, self.up = Pipeline(self.opened_ns), Rate(self.opened_ns)
        self.conduct = self.share.conducts.of(self.peer)

    @property
    def peer(self) -> bytes:
        return self.session.peer

    @property
    def ours(self) -> bool:
        """This side opened it."""
        return self.number % 2 == self.session.parity

    @property
    def moved_ns(self) -> int:
        """When a unit went either way last; 0: never."""
        return max(self.got_ns, self.sent_ns)
