"""Twins: peers that run with copies of one key, as after the home of a node was copied to a second machine.

Others see one peer that jumps from address to address, records with one seq and two values, and of each token and
stamp only half. Neither is in the table of the other: nobody is its own contact. So when somebody names this peer at
an address, that address is asked; and what arrives signed by our own key, with a stamp that we never gave out, is a
twin's, which is asked in turn, so that both know. What we said ourselves, and was sent back by a NAT or a replayer,
has a stamp that we did give out.
"""

from __future__ import annotations

import attrs

from overlay.dht.state import DhtState
from overlay.errors import LimitError
from overlay.events import KeyElsewhere
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND
from overlay.wire.messages import Ping

#: An address is asked, and a twin reported, at most this often: who names us elsewhere may have made that up.
_AGAIN_NS = 600 * SECOND
#: A twin is asked with a stamp so far above its own: it goes on talking, and its clock may be ahead.
_AHEAD = 1000


@attrs.define(slots=True, eq=False)
class Twins:
    dht: DhtState
    #: Where we were named last, which was asked then: one datagram for as long as all name the same.
    _named: Address | None = None
    _asked_ns: int = -_AGAIN_NS
    _heard_ns: int = -_AGAIN_NS

    def __attrs_post_init__(self) -> None:
        self.dht.on_own_name = self.on_named

    def on_named(self, address: Address) -> None:
        """Somebody said that this peer is there: where it was before it moved, or where a twin is."""
        now_ns = self.dht.loop.now.mono_ns
        if address != self._named and now_ns - self._asked_ns >= _AGAIN_NS:
            self._named, self._asked_ns = address, now_ns
            self._ask(address, 0)

    def on_heard(self, source: Address, stamp: int) -> None:
        """What came from there was signed by our key, and not by us."""
        now_ns = self.dht.loop.now.mono_ns
        if now_ns - self._heard_ns >= _AGAIN_NS:
            self._heard_ns = now_ns
            self.dht.report(KeyElsewhere(str(source)))
            self._ask(source, stamp)

    def _ask(self, address: Address, stamp: int) -> None:
        """By a PING above that stamp, and above those of a twin that talks just now. A twin does not answer what comes
        from itself, and what others answer is of no interest."""
        stamps = self.dht.endpoint.stamps
        stamps.skip_to(max(stamp, stamps.last, self.dht.loop.now.wall_ms) + _AHEAD)
        try:
            self.dht.endpoint.request(
                address, Ping(), on_reply=lambda contact, message: None, on_failed=lambda: None, tries=1, bare=True
            )
        except LimitError:
            self.dht.endpoint.count("pings put off")
