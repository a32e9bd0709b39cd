"""Meeting: what a peer makes of those who answer it, ask it, fall silent or say goodbye, and where it can find them.

Only who answered at its address enters the table. Whoever asks is worth a PING, and no more bytes than it sent.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.dht.bucket import Entry
from overlay.dht.entrance import Entrance
from overlay.dht.get import find_node
from overlay.dht.reach import CLIENT, Reach
from overlay.dht.routing_table import ADDED, MOVED
from overlay.dht.state import DhtState
from overlay.dht.twins import Twins
from overlay.dht.upkeep import Upkeep, ping
from overlay.errors import NotFound
from overlay.events import PeerLost, PeerSeen
from overlay.limits import BARE_PING
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND
from overlay.wire.registry import Kind

#: Asking an Enum class for a member costs a quarter of a microsecond on Python 3.11, a name of a module nothing.
_LEAVE = Kind.LEAVE
#: A peer that asks us is asked whether it lives at most this often.
_ASKED_LATELY_NS = 300 * SECOND
#: A peer that answers elsewhere is asked at its old address at most this often.
_TEST_AGAIN_NS = 2 * SECOND


@attrs.define(slots=True, eq=False)
class Meeting:
    """The listener of the endpoint."""

    dht: DhtState
    reach: Reach
    entrance: Entrance
    upkeep: Upkeep
    #: Told of the key of a peer that said goodbye.
    on_left: Callable[[bytes], object]
    _twins: Twins = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._twins = Twins(self.dht)
        self.dht.endpoint.listener = self
        self.dht.endpoint.serve(_LEAVE, self._on_leave)

    # --- what the endpoint tells ----------------------------------------------------------

    def on_answered(self, contact: Contact, role: int | None) -> None:
        dht = self.dht
        entry = dht.table.get(contact.key)
        if not self.entrance.expects(contact):
            dht.endpoint.peers.forget(contact)
            if entry is not None and entry.contact is contact:
                dht.table.remove(contact.key)
                dht.report(PeerLost(contact.id, "another was expected there"))
            return
        if role == CLIENT or not dht.may_enter(contact):
            if entry is not None and entry.contact is contact:  # it was full, and cannot be reached any more
                dht.table.remove(contact.key)
                dht.report(PeerLost(contact.id, "client"))
            return
        if entry is not None and entry.contact is not contact and not entry.failures:
            self._test_before_move(entry)
            return
        seen = dht.table.seen(contact, dht.loop.now.mono_ns)
        if seen.outcome is ADDED or seen.outcome is MOVED:
            dht.report(PeerSeen(contact.id, str(contact.address), seen.outcome is MOVED))
        if seen.test is not None and dht.may_probe(seen.test):
            ping(dht, seen.test)

    def _test_before_move(self, entry: Entry) -> None:
        """It answered at another address than the one we know. Whoever passes questions and answers on between
        us can bring that about, so it moves only once it is silent where it was."""
        now_ns = self.dht.loop.now.mono_ns
        if entry.tested_ns is None or now_ns - entry.tested_ns >= _TEST_AGAIN_NS:
            entry.tested_ns = now_ns
            ping(self.dht, entry.contact)

    def on_request(self, inbound: Inbound, room: int) -> None:
        """A signed request of a stranger, or from a new address: worth a PING, whose answer may enter the table.

        The PING is part of what an unproven address gets, so request, answer and PING together never amplify.
        """
        dht = self.dht
        contact = inbound.contact
        entry = dht.table.get(contact.key)
        if entry is not None and entry.contact is contact:
            dht.table.heard(contact, dht.loop.now.mono_ns)
            return
        answered_ns = dht.endpoint.peers.answered_ns(contact)
        self.reach.on_request(inbound, known=answered_ns is not None)
        if inbound.kind is _LEAVE or not dht.may_enter(contact) or not self.entrance.expects(contact):
            return
        if answered_ns and dht.loop.now.mono_ns - answered_ns < _ASKED_LATELY_NS:
            return  # it answered and did not get in; asking at each of its requests, two would ask for ever
        bare = not inbound.proven
        if bare and room < BARE_PING + dht.endpoint.network.seal_overhead:
            return
        if (entry is not None or dht.table.has_room(contact)) and dht.may_probe(contact):
            ping(dht, contact, bare=bare)

    def on_silent(self, contact: Contact) -> None:
        dht = self.dht
        lost = dht.table.failed(contact, dht.loop.now.mono_ns)
        if lost:
            self.upkeep.healing.remember(contact)
            dht.report(PeerLost(contact.id, "silent"))
        entry = dht.table.get(contact.key)
        if entry is not None and entry.contact is contact and entry.failures == 1:
            moved = self.known(contact.id)
            if moved is not None:
                ping(dht, moved)
        self.upkeep.poke()

    def on_twin(self, source: Address, stamp: int) -> None:
        self._twins.on_heard(source, stamp)

    def _on_leave(self, inbound: Inbound) -> None:
        dht = self.dht
        entry = dht.table.get(inbound.contact.key)
        if entry is not None and entry.contact is inbound.contact:
            dht.table.remove(inbound.contact.key)
            self.on_left(inbound.contact.key)
            dht.endpoint.peers.forget(inbound.contact)  # if it is back in a minute, it is new
            dht.report(PeerLost(inbound.contact.id, "left"))

    # --- where they are -------------------------------------------------------------------

    async def locate(self, node_id: bytes) -> Contact:
        """Where the peer with this id can be asked. Raises NotFound."""
        found = self.known(node_id)
        if found is None:
            number = int.from_bytes(node_id, "big")
            result = await find_node(self.dht, number)
            found = next((contact for contact in result.answered if contact.id == node_id), None)
        if found is None:
            raise NotFound("nobody with that id answers on this network")
        return found

    def last_known(self, node_id: bytes) -> Contact | None:
        """Where a peer answered us last, even if it has been silent since."""
        peers = self.dht.endpoint.peers
        states = {contact: peers.get(contact) for contact in peers.contacts() if contact.id == node_id}
        answered = {contact: state.answered_ns for contact, state in states.items() if state and state.answered_ns}
        return max(answered, key=answered.__getitem__, default=None)

    def known(self, node_id: bytes) -> Contact | None:
        """The contact of a peer that answered us: where the table has it, else at its most recent address."""
        best: Contact | None = None
        best_ns = 0
        for contact in self.dht.endpoint.peers.contacts():
            if contact.id == node_id:
                entry = self.dht.table.get(contact.key)
                if entry is not None and not entry.failures:
                    return entry.contact
                state = self.dht.endpoint.peers.get(contact)
                if state is not None and state.answered_ns > best_ns and not state.failures:
                    best, best_ns = contact, state.answered_ns
        return best
