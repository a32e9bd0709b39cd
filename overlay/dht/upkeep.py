"""Upkeep: keep contacts alive, refresh, republish, expire, take over what is ours to hold.

One task sleeps until the next thing is due. What waits for the network runs beside it, each at most
once at a time: contacts are kept alive also while thousands of records are published. Nothing here is
urgent enough to be lost by a restart: anchors, records and what this node published are on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from overlay.dht.bucket import EVICTABLE_FAILURES
from overlay.dht.distance import random_number
from overlay.dht.entrance import Entrance
from overlay.dht.get import find_node
from overlay.dht.handover import pull
from overlay.dht.healing import ASK_EVERY_NS, WATCH_EVERY_NS, Healing
from overlay.dht.lookup import start_lookup
from overlay.dht.own import OwnRecords
from overlay.dht.publish import republish
from overlay.dht.reach import Reach
from overlay.dht.state import DhtState
from overlay.errors import LimitError, OverlayError
from overlay.limits import TRIES, K
from overlay.rpc.contact import Contact
from overlay.rpc.gather import ask_all
from overlay.runtime.future import Future
from overlay.runtime.group import Group
from overlay.runtime.ports import MS, SECOND
from overlay.wire.messages import FindNode, Leave, Ping

#: Kademlia paper 2.3: a bucket without a lookup for an hour is refreshed.
_REFRESH_NS = 3600 * SECOND
#: Neighbours change more than far contacts; this also samples the network's size.
_NEIGHBOURS_NS = 600 * SECOND
#: Every third round measures how large the network is, as joining and refreshing do.
_SIZE_ROUNDS = 3
#: Of so many neighbours it asks who else is near; who is named and unknown gets a PING. A newcomer has asked all the
#: nodes around it, ourselves among them, so hardly anybody is found.
_NEIGHBOURS_ASKED = 4
#: Of several that start at once on a busy machine, one may have met the others too late to be told of them, and
#: its first word to them may be lost: in a small network it asks again soon. A large one has filled its table.
_YOUNG_NS = 10 * SECOND
_YOUNG_EVERY_NS = 1500 * MS
_ANCHORS_NS = 60 * SECOND
_EXPIRE_NS = 60 * SECOND
#: A newcomer pulls after this: a push would hand every short visitor 20 copies of everything.
_PULL_NS = 600 * SECOND
_SHORTEST_SLEEP_NS = 100 * MS


@attrs.define(slots=True, eq=False)
class Upkeep:
    dht: DhtState
    own: OwnRecords
    reach: Reach
    entrance: Entrance
    _due: dict[str, int] = attrs.Factory(dict)
    _neighbours_ns: int = 40 * SECOND
    _rounds: int = 0
    _begun_ns: int = 0
    _alarm: Future[None] | None = None
    _group: Group | None = None
    #: What runs beside the rounds.
    _running: dict[str, None] = attrs.Factory(dict)
    healing: Healing = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.healing = Healing(self.dht, self.own, lambda: self._beside("bootstrap", self.entrance.look_around))

    async def run(self) -> None:
        """For as long as the peer lives."""
        dht, loop = self.dht, self.dht.loop
        start = self._begun_ns = loop.now.mono_ns
        self._due = {
            "seeds": start, "anchors": start + _ANCHORS_NS, "expire": start + _EXPIRE_NS, "pull": start + _PULL_NS,
            "neighbours": start + _YOUNG_EVERY_NS, "refresh": start + _REFRESH_NS // 4,
            "publish": start + 2 * SECOND, "lost": start + ASK_EVERY_NS, "cut": start + WATCH_EVERY_NS,
        }  # fmt: skip
        # Peers must not do their rounds in step.
        await loop.sleep(dht.rng.below(SECOND))
        async with loop.group(name="upkeep") as group:
            self._group = group
            while True:
                self._round()
                await self._sleep()

    async def _sleep(self) -> None:
        """Until the next thing is due, or `poke`."""
        loop = self.dht.loop
        due_ns = min(self._due.values())
        contact_ns = self.dht.table.next_due_ns()
        if contact_ns is not None:
            due_ns = min(due_ns, contact_ns)
        alarm = self._alarm = loop.future()
        # A timer that sets it, not a scope that cancels: this happens a dozen times a minute in every idle peer.
        timer = loop.call_at(max(due_ns, loop.now.mono_ns + _SHORTEST_SLEEP_NS), alarm.set)
        try:
            await alarm
        finally:
            timer.cancel()

    def poke(self) -> None:
        """A contact fell silent, so the next ping may be due sooner than was planned."""
        if self._alarm is not None:
            self._alarm.set()

    def _round(self) -> None:
        self._keep_alive()
        self.reach.ask_if_needed()
        if self._is_due("expire", _EXPIRE_NS):
            self.dht.store.expire(self.dht.loop.now.wall_ms)
        if self._is_due("cut", WATCH_EVERY_NS):
            self.healing.watch()
        if self._is_due("lost", ASK_EVERY_NS):
            self.healing.ask(self.entrance.places)
        if self._is_due("seeds", self.entrance.retry_ns) and self.entrance.alone():
            self._beside("seeds", self.entrance.try_again)
        if self._is_due("publish", 10 * SECOND) and self.own.due(self.dht.loop.now.mono_ns) is not None:
            self._beside("publish", self._publish)
        for name, every_ns, work in (
            ("anchors", _ANCHORS_NS, self.entrance.save_anchors),
            ("neighbours", _YOUNG_EVERY_NS, self._look_around),  # it says itself when again
            ("refresh", _REFRESH_NS // 4, self._refresh),
            ("pull", _PULL_NS, self._pull),
        ):
            if self._is_due(name, every_ns):
                self._beside(name, work)

    def _is_due(self, name: str, every_ns: int) -> bool:
        """Or nearly: what is due within a second is done in this round, so that rounds are few."""
        now_ns = self.dht.loop.now.mono_ns
        if now_ns + min(SECOND, every_ns // 8) < self._due[name]:
            return False
        self._due[name] = now_ns + every_ns
        return True

    def _beside(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start it unless it runs still."""
        if name not in self._running and self._group is not None:
            self._running[name] = None
            self._group.spawn(self._guarded(name, work), name=name)

    async def _guarded(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except OverlayError:
            # Busy with the user's lookups, or the disk is full; the next round comes.
            self.dht.endpoint.count("upkeep put off")
        finally:
            del self._running[name]

    # --- keeping --------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        """PING who is due; the answer or the silence reaches the table through the endpoint."""
        now_ns = self.dht.loop.now.mono_ns
        for _ in range(8):
            contact = self.dht.table.due(now_ns)
            if contact is None:
                return
            ping(self.dht, contact)

    async def wake(self) -> None:
        """The network changed (new address, link back): everybody is asked now, not at the next round."""
        self.dht.table.retry_all(self.dht.loop.now.mono_ns)
        await ask_all(self.dht.endpoint, self.dht.table.contacts()[:256], lambda _: Ping())
        if self.entrance.alone():
            await self.entrance.try_again()

    async def _look_around(self) -> None:
        now_ns = self.dht.loop.now.mono_ns
        if now_ns - self._begun_ns < _YOUNG_NS:
            self._due["neighbours"] = now_ns + _YOUNG_EVERY_NS
            if len(self.dht.table) >= K:
                return
        else:
            # A young node's picture changes quickly: 40, 80 ... 600 s.
            self._due["neighbours"] = now_ns + self._neighbours_ns
            self._neighbours_ns = min(2 * self._neighbours_ns, _NEIGHBOURS_NS)
            self._rounds += 1
        if len(self.dht.table) < 2 * K:
            await find_node(self.dht, self.dht.own_number)
        else:
            await self._ask_neighbours()
        if self._rounds % _SIZE_ROUNDS == 0 or not self.dht.size.trusted:
            await find_node(self.dht, random_number(self.dht.rng), sample=True)

    async def _ask_neighbours(self) -> None:
        """As looking ourselves up, but who is known already is not asked whether it lives: `_keep_alive` does that."""
        dht = self.dht
        lookup = start_lookup(
            dht, dht.own_number, FindNode(target=dht.own_id, families=dht.families), k=_NEIGHBOURS_ASKED
        )  # fmt: skip
        await lookup.run()
        for contact in lookup.shortlist.nearest(K):
            if contact.key not in dht.table and dht.may_probe(contact):
                ping(dht, contact)

    async def _refresh(self) -> None:
        for depth in self.dht.table.stale_buckets(self.dht.loop.now.mono_ns, _REFRESH_NS)[:8]:
            await find_node(self.dht, self.dht.table.refresh_target(depth), sample=True)

    async def _pull(self) -> None:
        await pull(self.dht)
        self._due["pull"] = self.dht.loop.now.mono_ns + 6 * _PULL_NS

    async def _publish(self) -> None:
        if len(self.dht.table):
            await republish(self.dht, self.own)

    async def leave(self) -> int:
        """Say goodbye, so that nobody waits for us. Returns how many were told."""
        told = self.dht.table.contacts()
        for contact in told:
            self.dht.endpoint.tell(contact, Leave())
        try:
            await self.entrance.save_anchors()
        except LimitError:
            self.dht.endpoint.count("anchors not saved")  # the disk is full; those of the last round are there
        return len(told)


def ping(dht: DhtState, contact: Contact, *, bare: bool = False) -> None:
    """Ask whether it lives; the listener of the endpoint hears the answer. `bare`: one datagram of BARE_PING bytes."""
    entry = dht.table.get(contact.key)
    # The dead cost one datagram a round. The second ping still has all its tries: on two failures a contact may
    # have to make room, and at 20 % loss a single try fails in a third of all cases.
    tries = 1 if bare or (entry is not None and entry.failures >= EVICTABLE_FAILURES) else TRIES
    try:
        dht.endpoint.request(
            contact, Ping(), on_reply=lambda _, message: None, on_failed=lambda: None, tries=tries, bare=bare
        )
    except LimitError:
        dht.endpoint.count("pings put off")
