"""Iterative lookup: walk towards a key by asking the closest known peers for closer ones.

`Shortlist` decides whom to ask; this drives it: sends, hears, hedges slow peers, collects what was
found. Callbacks do the work, one future ends it: no task per request.
"""

from __future__ import annotations

from collections.abc import Collection, Container

import attrs

from overlay.dht.shortlist import Shortlist
from overlay.dht.state import DhtState
from overlay.errors import BadMessage, LimitError
from overlay.events import LookupEnded, LookupStep
from overlay.limits import ALPHA, LOOKUP_DEADLINE_S, MAX_LOOKUP_RPCS, MAX_LOOKUPS, K
from overlay.rpc.contact import Contact
from overlay.runtime.future import Future
from overlay.runtime.ports import MS, SECOND
from overlay.trust.policy import Observation
from overlay.wire.messages import Message, Nodes

#: A GET that needs one holder asks one peer first, and others if it does not answer within this.
_HEDGE_FLOOR_NS = 2 * MS


#: Try again after this, if so many requests wait for replies that no more may be sent.
_BUSY_NS = 50 * MS


class Collector:
    """What a lookup hopes to find besides peers. This one hopes for nothing: FIND_NODE."""

    def take(self, contact: Contact, message: Message) -> bool:
        """True if `message` brought something. Raises BadMessage if it is not what it claims to be."""
        return False

    @property
    def satisfied(self) -> bool:
        return False


@attrs.frozen(slots=True, kw_only=True)
class LookupResult:
    #: The k closest that answered, nearest first.
    closest: tuple[Contact, ...]
    #: Everybody that answered, nearest first.
    answered: tuple[Contact, ...]
    #: Everybody that was asked, in order.
    asked: tuple[Contact, ...]
    rpcs: int
    hops: int
    paths: int
    #: It ended by itself, not at its deadline.
    complete: bool


@attrs.define(slots=True, eq=False)
class Lookup:
    """`question` makes the message; `collector` takes answers other than NODES."""

    dht: DhtState
    target: int
    question: Message
    collector: Collector
    shortlist: Shortlist
    #: Keys of first hops that another lookup used.
    avoided: Container[bytes] = ()
    hedged: bool = False
    number: int = 0
    rpcs: int = 0
    _asked: dict[Contact, None] = attrs.Factory(dict)
    _ended: bool = False
    _over: Future[None] | None = None
    #: Our own table has nobody to add.
    _dry: bool = False

    async def run(self) -> LookupResult:
        """Never raises for what peers do; ends within LOOKUP_DEADLINE_S."""
        dht, loop = self.dht, self.dht.loop
        if dht.lookups_running >= MAX_LOOKUPS:
            raise LimitError(f"{MAX_LOOKUPS} lookups are running already; wait for some to end")
        dht.next_lookup += 1
        self.number = dht.next_lookup
        dht.lookups_running += 1
        over = loop.future()
        self._over = over
        hedge = None
        complete = False
        try:
            if self.hedged:
                self.shortlist.alpha = 1
                delay = max(2 * dht.endpoint.peers.network_rtt.smoothed, _HEDGE_FLOOR_NS)
                hedge = loop.call_at(loop.now.mono_ns + delay, self._hedge)
            with loop.move_on_after(LOOKUP_DEADLINE_S * SECOND):
                self._pump()
                await over
                complete = True
        finally:
            # Requests still in flight run on: they tell the table who is dead, not us.
            self._ended = True
            dht.lookups_running -= 1
            if hedge is not None:
                hedge.cancel()
        result = self._result(complete)
        dht.report(
            LookupEnded(self.number, self.target.to_bytes(32, "big"), self.rpcs, result.hops, self.collector.satisfied)
        )
        return result

    def _result(self, complete: bool) -> LookupResult:
        answered = tuple(self.shortlist.answered())
        closest = tuple(self.shortlist.closest_answered(K))
        hops = max((self.shortlist.hops(contact) for contact in closest), default=0)
        return LookupResult(
            closest=closest, answered=answered, asked=tuple(self._asked), rpcs=self.rpcs, hops=hops,
            paths=self.shortlist.paths, complete=complete,
        )  # fmt: skip

    def _hedge(self) -> None:
        if not self._ended:
            self.shortlist.alpha = ALPHA
            self._pump()

    def _pump(self) -> None:
        if self._ended:
            return
        if not self._dry and self.shortlist.short:
            self._refill()
        while not self.collector.satisfied and self.rpcs < MAX_LOOKUP_RPCS:
            contact = self.shortlist.next()
            if contact is None:
                break
            if not self._ask(contact):
                # Too many requests wait already. If none of them is ours, nobody will call us again.
                self.dht.loop.call_at(self.dht.loop.now.mono_ns + _BUSY_NS, self._pump)
                break
        if self.collector.satisfied or self.shortlist.finished() or self.rpcs >= MAX_LOOKUP_RPCS:
            self._ended = True
            if self._over is not None:
                self._over.set()

    def _refill(self) -> None:
        """Many died at once: those that answer name the same dead, and the k closest of our table were not k.
        Without more of it a PUT right after would leave fewer copies."""
        more = self.dht.table.closest(
            self.target, K, families=self.dht.families,
            accept=lambda contact: contact not in self.shortlist and contact.key not in self.avoided,
        )  # fmt: skip
        self._dry = not self.shortlist.add_seeds(more)

    def _ask(self, contact: Contact) -> bool:
        self._asked[contact] = None
        self.rpcs += 1
        try:
            self.dht.endpoint.request(
                contact,
                self.question,
                on_reply=self._on_reply,
                on_failed=lambda: self._on_failed(contact),
                on_slow=lambda tries: self._on_slow(contact, tries),
            )
        except LimitError:
            self.shortlist.on_failed(contact)
            return False
        return True

    def _on_slow(self, contact: Contact, tries: int) -> None:
        if self._ended:
            return
        if tries == 1:
            self.shortlist.on_slow(contact)
        else:
            self.shortlist.on_late(contact)
        self._pump()

    def _on_failed(self, contact: Contact) -> None:
        referrer = self.shortlist.referrer(contact)
        if referrer is not None:
            now_ns = self.dht.loop.now.mono_ns
            self.dht.endpoint.policy.observe(referrer.key, Observation.DEAD_REFERRAL, now_ns)
        if self._ended:
            return
        self.shortlist.on_failed(contact)
        self._pump()

    def _on_reply(self, contact: Contact, message: Message) -> None:
        if self._ended:
            return
        learnt = 0
        if isinstance(message, Nodes):
            if message.role == 0:
                self.shortlist.on_failed(contact)  # a client: in nobody's table, holds nothing
            else:
                learnt = self.shortlist.on_reply(contact, self.dht.learn(message, contact))
        else:
            self.shortlist.on_reply(contact, ())
            try:
                self.collector.take(contact, message)
            except BadMessage:
                self.dht.endpoint.count("invalid records refused")
                now_ns = self.dht.loop.now.mono_ns
                self.dht.endpoint.policy.observe(contact.key, Observation.INVALID_DATA, now_ns)
        self.dht.report(LookupStep(self.number, contact.id, learnt, self.shortlist.path_of(contact)))
        self._pump()


def start_lookup(
    dht: DhtState,
    target: int,
    question: Message,
    *,
    collector: Collector | None = None,
    paths: int = 1,
    radius: int | None = None,
    avoid: Collection[Contact] = (),
    hedged: bool = False,
    k: int = K,
) -> Lookup:
    """A lookup from our own table; `avoid` names first hops that another lookup used. It ends when the `k` closest
    have answered."""
    avoided = {contact.key for contact in avoid}
    accept = (lambda contact: contact.key not in avoided) if avoided else None
    seeds = dht.table.closest(target, max(K, paths), families=dht.families, accept=accept)
    if not seeds:  # all are suspects: ask them rather than nobody
        seeds = dht.table.closest(target, K, families=dht.families, include_failing=True, accept=accept)
    shortlist = Shortlist(
        target, seeds=seeds, paths=max(1, min(paths, len(seeds))), radius=radius, diversity=dht.diversity,
        own=dht.own_number, k=k,
    )  # fmt: skip
    return Lookup(dht, target, question, collector or Collector(), shortlist, avoided=avoided, hedged=hedged)
