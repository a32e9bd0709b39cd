"""Is this node reachable? Who is not serves nobody: it is a client.

Local addresses count at once. For global ones a node is a client until a peer that it never
contacted has dialled it back: it asks one peer (DIALBACK null), which asks another (DIALBACK address),
which sends a PING. A NAT lets that PING through only if anybody's is let through.

Or if this node asked there before: whom this life asked is known (overlay/rpc/asked.py), whom the life before asked is
not. So after a restart nothing is a proof until the NAT has forgotten them, unless the life before was proven as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from overlay.dht.state import DhtState
from overlay.errors import LimitError
from overlay.events import RoleChanged
from overlay.limits import MAX_DIALLED, NAT_OPEN_S, K
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.address import GLOBAL, Address, unpack_address
from overlay.runtime.future import Future
from overlay.runtime.ports import MS, SECOND
from overlay.wire.messages import DialBack, Message, Ping, Pong
from overlay.wire.registry import Kind, Role

CLIENT, FULL = Role.CLIENT, Role.FULL
ROLE_NAMES: dict[int, str] = {Role.CLIENT: "client", Role.FULL: "full", Role.SUPER: "super"}
#: A network with fewer other peers takes anybody that signs: there everybody soon talks to everybody, and
#: nobody is left who could dial a peer that did not contact him.
_SMALL = K
#: A proof of reachability is renewed this often.
_RENEW_NS = 3600 * SECOND
_ASK_EVERY_NS = 10 * SECOND
#: Helpers asked at once after a start: one may choose somebody whom we contacted already.
_HELPERS = 3
_PROOF_LEAST_NS = 50 * MS
#: On disk: wall clock of the last proof, ms.
_PROVEN = b"proven"
#: A life was reachable if it was proven so long before its end, or later: twice as long as a proof serves.
_PROVEN_MS = 2 * _RENEW_NS // MS
#: Strangers prove it every few seconds; the disk is told this often, which is enough for that.
_KEEP_EVERY_NS = _RENEW_NS // 2


@attrs.define(slots=True, eq=False)
class Reach:
    dht: DhtState
    #: The key solves the network's puzzle.
    solved: bool
    _dialled_ns: int | None = None
    _asked_ns: int = -_ASK_EVERY_NS
    _dialling: dict[Address, int] = attrs.Factory(dict)
    _proof: Future[None] | None = None
    #: The last stamp that the life before may have signed: about when it ended. 0: there was none.
    _ran_until_ms: int = attrs.field(init=False)
    #: Until when a NAT may let in whom the life before asked.
    _holes_until_ns: int | None = None
    _kept_ns: int = -_KEEP_EVERY_NS

    def __attrs_post_init__(self) -> None:
        self._ran_until_ms = self.dht.endpoint.stamps.last
        self.dht.endpoint.serve(Kind.DIALBACK, self._on_dialback)

    def role_for(self, address: Address) -> int:
        """What we are to a peer at `address`."""
        if not self.solved:
            return CLIENT
        if address.scope is not GLOBAL or self.dht.diversity.attached(address):
            return FULL
        return FULL if self._dialled_ns is not None or len(self.dht.table) < _SMALL else CLIENT

    def serves(self, contact: Contact) -> bool:
        return self.role_for(contact.address) != CLIENT

    @property
    def role(self) -> int:
        """For display: full if it is that to anybody it knows, or knows nobody."""
        contacts = self.dht.table.contacts()
        if not self.solved:
            return CLIENT
        return max((self.role_for(contact.address) for contact in contacts), default=FULL)

    def on_request(self, inbound: Inbound, *, known: bool) -> None:
        """A request from a global address that we never contacted proves that we can be reached: the PING that
        we asked for, or somebody's FIND_NODE who heard of us."""
        address, now_ns = inbound.contact.address, self.dht.loop.now.mono_ns
        if known or address.scope is not GLOBAL:
            return
        if self._dialled_ns is not None and now_ns - self._dialled_ns < _ASK_EVERY_NS:
            return
        if self.dht.endpoint.asked.asks(address):
            return  # its request overtook its answer to ours, which had opened the NAT
        if self._holes_are_open():
            return
        if now_ns - self._kept_ns >= _KEEP_EVERY_NS:
            self._kept_ns = now_ns
            self._keep_proof()
        if self._dialled_ns is None:
            self.dht.report(RoleChanged("full"))
        self._dialled_ns = now_ns
        if self._proof is not None:
            self._proof.set()

    def _holes_are_open(self) -> bool:
        now = self.dht.loop.now
        if self._holes_until_ns is None:
            proven = self.dht.journal.storage.get(_PROVEN)
            was_reachable = proven is not None and int.from_bytes(proven, "big") > self._ran_until_ms - _PROVEN_MS
            left_ms = 0 if was_reachable else self._ran_until_ms + NAT_OPEN_S * 1000 - now.wall_ms
            self._holes_until_ns = now.mono_ns + min(max(left_ms, 0), NAT_OPEN_S * 1000) * MS
        return now.mono_ns < self._holes_until_ns

    def _keep_proof(self) -> None:
        journal = self.dht.journal
        try:
            journal.storage.put(_PROVEN, self.dht.loop.now.wall_ms.to_bytes(8, "big"))
        except LimitError:
            self.dht.endpoint.count("proofs not saved")  # the next life waits, or has its own
        else:
            journal.after_commit(lambda _outcome: None)

    async def prove(self, helpers: Sequence[Contact]) -> None:
        """Have somebody dial us before we look around. In a small network that contacts everybody, and a PING of one
        whom we contacted proves nothing: all but the first would be clients for ever."""
        loop, peers = self.dht.loop, self.dht.endpoint.peers
        now_ns = loop.now.mono_ns
        fit = [c for c in helpers if c.address.scope is GLOBAL and peers.token(c, now_ns)]
        if not self.solved or not fit or self._dialled_ns is not None or self._proof is not None:
            return
        if self._holes_are_open():
            return  # nothing that comes in would count
        self._asked_ns = now_ns
        self._proof = loop.future()
        for helper in self.dht.rng.sample(fit, min(len(fit), _HELPERS)):
            self._send(helper, None)
        # Three trips through the network: to the helper, to whom it asks, and from there.
        wait_ns = min(max(4 * peers.network_rtt.smoothed, _PROOF_LEAST_NS), SECOND)
        with loop.move_on_after(wait_ns):
            await self._proof
        self._proof = None

    def ask_if_needed(self) -> None:
        """Called now and then: have somebody dial us, if global peers see us and the proof is old."""
        now_ns = self.dht.loop.now.mono_ns
        if not self.solved or now_ns - self._asked_ns < _ASK_EVERY_NS:
            return
        if self._dialled_ns is not None and now_ns - self._dialled_ns < _RENEW_NS:
            return
        if self._holes_are_open():
            return
        helpers = [
            contact
            for contact in self.dht.table.contacts()
            if contact.address.scope is GLOBAL and self.dht.endpoint.peers.token(contact, now_ns)
        ]
        if helpers:
            self._asked_ns = now_ns
            self._send(self.dht.rng.choice(helpers), None)

    def _send(self, contact: Contact, address: bytes | None) -> None:
        try:
            self.dht.endpoint.request(
                contact, DialBack(address=address), on_reply=_ignore_reply, on_failed=_ignore_failure
            )
        except LimitError:
            self.dht.endpoint.count("dial-backs put off")

    def _on_dialback(self, inbound: Inbound) -> None:
        message, dht = inbound.message, self.dht
        assert isinstance(message, DialBack)
        token = dht.endpoint.token_for(inbound.contact)
        dht.endpoint.reply(inbound, Pong(token, inbound.contact.address.packed, self.role_for(inbound.contact.address)))
        asker, now_ns = inbound.contact, dht.loop.now.mono_ns
        if message.address is None:
            group = dht.diversity.group(asker.address)
            others = [
                contact
                for contact in dht.table.contacts()
                if contact.address.scope is GLOBAL
                and dht.diversity.group(contact.address) != group
                and dht.endpoint.peers.token(contact, now_ns)
            ]
            if others and asker.address.scope is GLOBAL:
                self._send(dht.rng.choice(others), asker.address.packed)
            return
        address = unpack_address(message.address)
        if address.scope is not GLOBAL or address.port < 1024 or not self._may_dial(address, now_ns):
            dht.endpoint.count("dial-backs refused")
            return
        dht.endpoint.count("dial-backs")
        try:
            dht.endpoint.request(address, Ping(), on_reply=_ignore_reply, on_failed=_ignore_failure, tries=1)
        except LimitError:
            dht.endpoint.count("dial-backs refused")

    def _may_dial(self, address: Address, now_ns: int) -> bool:
        """One PING an address and 10 s, 16 addresses in 10 s: nobody's flood is ours."""
        self._dialling = {a: at for a, at in self._dialling.items() if now_ns - at < _ASK_EVERY_NS}
        if address in self._dialling or len(self._dialling) >= MAX_DIALLED:
            return False
        self._dialling[address] = now_ns
        return True


def _ignore_reply(contact: Contact, message: Message) -> None:
    """The PING was for the other side: that it arrived."""


def _ignore_failure() -> None:
    """So is this: silence means that the address cannot be reached, which its owner will notice."""
