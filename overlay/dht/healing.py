"""A network that was cut in two becomes one again, and agrees on the newest records.

Silent contacts leave the table after 15 minutes, so after a longer cut each half has forgotten the
other, and nothing in Kademlia would ever join them. So those who left are remembered and one of them is asked now
and then, as are the places that we were told to join. Each half also wrote without the other: holders
that were cut off keep old versions of a record, and three of them that agree end a GET. So authors
publish again once a cut is over, not at the next full hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from overlay.dht.own import OwnRecords
from overlay.dht.state import DhtState
from overlay.errors import LimitError
from overlay.limits import LOST_REMEMBERED
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND
from overlay.wire.messages import Message, Ping

#: Three pings a minute at most, so that of two halves of 30 nodes everybody is found within half a minute.
ASK_EVERY_NS = 20 * SECOND
#: ... and one a minute as long as fewer than a quarter of the table were lost: that is people going home.
_ASK_FEW_NS = 60 * SECOND
#: A place to join at that answered is asked again after this: of 10,000 nodes that name the same, each asks it.
_ASK_SEED_AGAIN_NS = 300 * SECOND
#: A machine that was off for longer is told where to go by its own anchors.
_LOST_FOR_NS = 24 * 3600 * SECOND
WATCH_EVERY_NS = 5 * SECOND
#: A quarter of the table silent at once is a cut (or a mass death: then copies are wanting, too) ...
_CUT_SHARE = 4
_CUT_LEAST = 2
#: ... and it is over when all but an eighth answer again, or left.
_WHOLE_SHARE = 8
#: All authors of a half publish within this, not in one instant ...
_SPREAD_NS = 30 * SECOND
#: ... and the next time not before.
_PUBLISH_AGAIN_NS = 120 * SECOND


@attrs.define(slots=True, eq=False)
class Healing:
    dht: DhtState
    own: OwnRecords
    #: Called when one of them answers and enters the table: look around.
    on_found: Callable[[], object]
    #: Where a contact was that left the table in silence -> when.
    _lost: dict[Address, int] = attrs.Factory(dict)
    #: Places to join at that answered and have no room in the table -> when.
    _reached: dict[Address, int] = attrs.Factory(dict)
    _cut: bool = False
    _asked_ns: int = -_ASK_FEW_NS
    #: When own records were last made due early, or will be.
    _hastened_ns: int = -_PUBLISH_AGAIN_NS

    def remember(self, contact: Contact) -> None:
        """It left the table because it did not answer."""
        self._lost.pop(contact.address, None)
        if len(self._lost) >= LOST_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        self._lost[contact.address] = self.dht.loop.now.mono_ns

    def ask(self, seeds: Iterable[Address]) -> None:
        """Ping one of the lost or of `seeds` that is not in the table; a seed that answers only now and then."""
        dht = self.dht
        now_ns = dht.loop.now.mono_ns
        present = {contact.address for contact in dht.table.contacts()}
        if any(address in present for address in self._lost):
            # Some came back by themselves before it was their turn to be asked: what was written meanwhile they lack.
            self._hasten()
        self._lost = {
            address: at for address, at in self._lost.items() if address not in present and now_ns - at < _LOST_FOR_NS
        }
        seeds = [address for address in seeds if address not in present]
        self._reached = {
            address: self._reached[address] for address in seeds
            if now_ns - self._reached.get(address, -_ASK_SEED_AGAIN_NS) < _ASK_SEED_AGAIN_NS
        }  # fmt: skip
        missing = list(dict.fromkeys([*self._lost, *(seed for seed in seeds if seed not in self._reached)]))
        few = len(self._lost) < len(present) // _CUT_SHARE and now_ns - self._asked_ns < _ASK_FEW_NS
        if not missing or few:
            return
        self._asked_ns = now_ns
        try:
            dht.endpoint.request(
                dht.rng.choice(missing), Ping(), on_reply=self._on_reply, on_failed=lambda: None, tries=1
            )
        except LimitError:
            dht.endpoint.count("pings put off")

    def _on_reply(self, contact: Contact, message: Message) -> None:
        self._lost.pop(contact.address, None)
        if contact.key in self.dht.table:
            self._hasten()
            self.on_found()
        else:  # its bucket is full, and nothing new is to be seen behind it
            self._reached[contact.address] = self.dht.loop.now.mono_ns

    def watch(self) -> None:
        """Called every WATCH_EVERY_NS."""
        failing, size = self.dht.table.failing_count(), len(self.dht.table)
        if failing >= max(_CUT_LEAST, size // _CUT_SHARE):
            self._cut = True
        elif self._cut and failing <= size // _WHOLE_SHARE:
            self._cut = False
            self._hasten()

    def _hasten(self) -> None:
        now_ns = self.dht.loop.now.mono_ns
        if self._hastened_ns <= now_ns:
            soon_ns = now_ns + self.dht.rng.below(_SPREAD_NS)
            self._hastened_ns = max(soon_ns, self._hastened_ns + _PUBLISH_AGAIN_NS)
            self.own.hasten(self._hastened_ns)
