"""The endpoint: every datagram of a peer goes out and comes in here.

Outgoing, it matches replies to requests, repeats the same bytes on silence and says when a peer is
slow. Incoming, it drops in the order of cost: size, rate, form, addressee, then the signature, then
freshness and token. Whoever did not prove its address gets at most as many bytes as it sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from overlay.errors import BadMessage, LimitError, TimedOut
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Network
from overlay.limits import (
    LAST_TRY_MS,
    MAX_DATAGRAM,
    MAX_RTO_MS,
    TRIES,
)
from overlay.rpc.asked import Asked, Pending
from overlay.rpc.contact import Contact, ContactBook
from overlay.rpc.meter import Meter
from overlay.rpc.peers import PeerBook
from overlay.rpc.reply_cache import ReplyCache
from overlay.rpc.stamps import FreshStamps, StampSource
from overlay.rpc.tokens import TokenMint
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from overlay.runtime.ports import MS, SECOND, Entropy
from overlay.trust.policy import Observation, Policy, Verdict
from overlay.wire.codec import WIRE, Codec
from overlay.wire.decode import decode_body
from overlay.wire.envelope import TO_BYTES, Envelope
from overlay.wire.messages import Gossiped, Keys, Message, Nodes, Ping, Pong, Providers, Retry, Value
from overlay.wire.padding import padded_body
from overlay.wire.registry import Kind
from overlay.wire.seal import open_sealed, seal

#: An answer proves an address for this long (geth: endpoint proof, 12 h).
PROOF_NS = 12 * 3600 * SECOND

#: Asking an Enum class for a member costs a quarter of a microsecond on Python 3.11, a name of a module nothing.
_REFUSE, _ANSWERED, _LEAVE = Verdict.REFUSE, Observation.ANSWERED, Kind.LEAVE
_WITH_TOKEN = (Pong, Nodes, Value, Providers, Keys, Gossiped)
_WITH_ROLE = (Pong, Nodes)


@attrs.frozen(slots=True)
class Inbound:
    """A request that is signed, meant for us and fresh."""

    contact: Contact
    kind: Kind
    request_id: bytes
    message: Message
    #: The sender can receive at this address: replies may be longer than the request.
    proven: bool
    #: Bytes of its datagram.
    size: int


class Listener(Protocol):
    """What the DHT wants to hear of every peer."""

    def on_answered(self, contact: Contact, role: int | None) -> None:
        """`role`: what it says it is, None before it said."""

    def on_request(self, inbound: Inbound, room: int) -> None:
        """It was handled. `room`: bytes that may be sent to its address now if that is not proven."""

    def on_silent(self, contact: Contact) -> None: ...

    def on_twin(self, source: Address, stamp: int) -> None:
        """Somebody there signs with our key, and is at this stamp."""


@attrs.define(slots=True, eq=False)
class Endpoint:
    loop: Loop
    network: Network
    signer: Signer
    verifier: Verifier
    own_id: bytes
    book: ContactBook
    stamps: StampSource
    entropy: Entropy
    policy: Policy
    transmit: Callable[[Address, bytes], None]
    role: Callable[[Address], int]
    listener: Listener | None = None
    codec: Codec = WIRE
    peers: PeerBook = attrs.Factory(PeerBook)
    counters: dict[str, int] = attrs.Factory(dict)
    _handlers: dict[Kind, Callable[[Inbound], None]] = attrs.Factory(dict)
    #: What was asked and waits for its reply.
    asked: Asked = attrs.field(init=False)
    _tokens: TokenMint = attrs.field(init=False)
    _fresh: FreshStamps = attrs.Factory(FreshStamps)
    _replies: ReplyCache = attrs.field(init=False)
    _meter: Meter = attrs.Factory(Meter)
    _bytes_sent: int = 0
    #: How others address us in their envelopes.
    _to: bytes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._to = self.own_id[:TO_BYTES]
        self.asked = Asked(self.loop)
        self._tokens = TokenMint(self.entropy)
        self._replies = ReplyCache(self._fresh.refuse_up_to)
        self._handlers[Kind.PING] = self._on_ping

    def count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def serve(self, kind: Kind, handler: Callable[[Inbound], None]) -> None:
        self._handlers[kind] = handler

    # --- outgoing requests ----------------------------------------------------------------

    def request(
        self,
        to: Contact | Address,
        message: Message,
        *,
        on_reply: Callable[[Contact, Message], object],
        on_failed: Callable[[], object],
        on_slow: Callable[[int], object] | None = None,
        tries: int = TRIES,
        bare: bool = False,
    ) -> Pending:
        """Send it now, repeat the same bytes on silence. Exactly one of `on_reply`, `on_failed` follows.

        `on_slow(n)` is called when the n-th try was not answered in time and another follows: the peer
        may still answer, the caller may ask somebody else meanwhile. `bare`: never padded.
        Raises LimitError if MAX_PENDING requests wait already.
        """
        self.asked.refuse_if_full()
        contact, address = (to, to.address) if isinstance(to, Contact) else (None, to)
        pending = Pending(
            self.asked, contact, address, self.entropy(8), message, on_reply, on_failed, on_slow,
            tries_left=tries, bare=bare,
        )  # fmt: skip
        pending.rto_ns = self.peers.timeout_ns(contact)
        self._encode(pending)
        self.asked.add(pending)
        self._transmit_try(pending)
        return pending

    async def call(self, to: Contact | Address, message: Message, *, tries: int = TRIES) -> tuple[Contact, Message]:
        """Send and await the reply. Raises TimedOut, LimitError."""
        future = self.loop.future()

        def failed() -> None:
            future.fail(TimedOut(f"no answer from {to.address if isinstance(to, Contact) else to} to {tries} tries"))

        pending = self.request(
            to, message, on_reply=lambda contact, reply: future.set((contact, reply)), on_failed=failed,
            tries=tries,
        )  # fmt: skip
        try:
            result: tuple[Contact, Message] = await future
            return result
        finally:
            pending.cancel()

    def tell(self, contact: Contact, message: Message) -> None:
        """Send once and expect nothing."""
        self._send(contact.address, self._envelope(contact, self.entropy(8), message))

    def _encode(self, pending: Pending) -> None:
        pending.data = self._envelope(pending.contact, pending.request_id, pending.message, bare=pending.bare)

    def _envelope(
        self, contact: Contact | None, request_id: bytes, message: Message, *, bare: bool = False
    ) -> bytes:  # fmt: skip
        now = self.loop.now
        if not self.stamps.ready:
            self.stamps.renew(now)
            self.count("unsent: no stamp")
            return b""
        token = self.peers.token(contact, now.mono_ns) if contact is not None else None
        to = contact.id[:TO_BYTES] if contact is not None else None
        body = message.encode_body() if token or bare else padded_body(message, to)
        if token and not body:
            # The token may be void (it restarted, or our address changed): its RETRY has a byte more
            # than a PING and must not be longer than what it answers.
            body = [b""]
        return self.codec.encode(
            self.signer, self.network, message.KIND, request_id, self.stamps.take(now), to, token, body
        )

    def _transmit_try(self, pending: Pending) -> None:
        now_ns = self.loop.now.mono_ns
        if not pending.sends:
            pending.sent_ns = now_ns
        pending.sends += 1
        pending.tries_left -= 1
        pending.timer = self.loop.call_at(now_ns + pending.rto_ns, lambda: self._on_timeout(pending))
        self._send(pending.address, pending.data)

    def _on_timeout(self, pending: Pending) -> None:
        if pending.tries_left > 0:
            # Two quick tries, so that a dead peer holds nobody up, then a patient one (RFC 6298 5.5: back off).
            if pending.tries_left == 1:
                pending.rto_ns = min(max(4 * pending.rto_ns, LAST_TRY_MS * MS), 2 * MAX_RTO_MS * MS)
            if not pending.data:
                self._encode(pending)  # there was no stamp for it
            self._transmit_try(pending)
            if pending.on_slow is not None:
                pending.on_slow(pending.sends - 1)
            return
        self.asked.give_up(pending)
        self.count("requests unanswered")
        if pending.contact is not None:
            self.peers.failed(pending.contact)
            self.policy.observe(pending.contact.key, Observation.SILENT, self.loop.now.mono_ns)
            if self.listener is not None:
                self.listener.on_silent(pending.contact)
        pending.on_failed()

    # --- incoming -------------------------------------------------------------------------

    def handle(self, source: Address, data: bytes) -> None:
        """One datagram, however hostile. Never raises for its content."""
        try:
            self._handle(source, data)
        except BadMessage as error:
            self.count("dropped: malformed")
            if error.blame is not None:
                self.policy.observe(error.blame, Observation.BAD_MESSAGE, self.loop.now.mono_ns)
        except LimitError:
            # The disk is so far behind, or full, that nothing can be kept: silence, as when a commit fails.
            self.count("dropped: no room")

    def _handle(self, source: Address, data: bytes) -> None:
        size = len(data)
        if size > MAX_DATAGRAM:
            return self.count("dropped: oversize")
        if not self._meter.allows(source, self.loop.now.mono_ns):
            return self.count("dropped: rate")
        if self.network.sealing_key is not None:
            data = open_sealed(self.network.sealing_key, data)
        envelope = self.codec.peek(data)
        if envelope.key == self.signer.key:
            return self._handle_own(source, data, envelope)
        if envelope.to is not None and envelope.to != self._to:
            return self.count("dropped: misaddressed")
        if self.policy.verdict(envelope.key) is _REFUSE:
            return self.count("dropped: refused peer")
        kind = envelope.kind
        if kind is None:
            return self.count("dropped: unknown kind")
        if kind.is_reply:
            return self._handle_reply(source, data, envelope)
        handler = self._handlers.get(kind)
        if handler is None:
            return self.count("dropped: unserved kind")
        self._handle_request(source, data, envelope, size, handler)
        return None

    def _handle_own(self, source: Address, data: bytes, envelope: Envelope) -> None:
        """What we said comes back from NATs and replayers; what we never said is said by a copy of our key."""
        if envelope.stamp <= self.stamps.last:
            return self.count("dropped: own")
        self.codec.check(data, self.network, self.verifier)
        self.count("dropped: own key elsewhere")
        if self.listener is not None:
            self.listener.on_twin(source, envelope.stamp)
        return None

    def _handle_reply(self, source: Address, data: bytes, envelope: Envelope) -> None:
        pending, late = self.asked.find(envelope.request_id)
        if pending is None or (pending.address is not source and pending.address != source):
            return self.count("dropped: unexpected reply")
        if pending.contact is not None and pending.contact.key != envelope.key:
            return self.count("dropped: reply of another key")
        if envelope.kind not in pending.message.KIND.replies:
            return self.count("dropped: reply of another kind")
        self.codec.check(data, self.network, self.verifier)
        message = _decode(envelope)
        contact = pending.contact or self.book.contact(envelope.key, source)
        now_ns = self.loop.now.mono_ns
        if isinstance(message, Retry):
            # A second RETRY to a valid token is a broken peer: let it time out.
            if not late and not pending.retried:
                pending.retried = True
                self.peers.learn_token(contact, message.token, now_ns)
                pending.contact = contact
                self._encode(pending)
                if pending.timer is not None:
                    pending.timer.cancel()
                pending.tries_left += 1
                self._transmit_try(pending)
            return None
        self.asked.answered(pending)
        sample = now_ns - pending.sent_ns if pending.sends == 1 else None
        role = self.peers.answered(
            contact, now_ns, sample, token=message.token if isinstance(message, _WITH_TOKEN) else None,
            role=message.role if isinstance(message, _WITH_ROLE) else None,
        )  # fmt: skip
        self.policy.observe(contact.key, _ANSWERED, now_ns)
        if self.listener is not None:
            self.listener.on_answered(contact, role)
        if not late:
            pending.on_reply(contact, message)
        else:  # whoever asked was told of a failure; that the peer lives is known by now
            self.count("late answers")
        return None

    def _handle_request(
        self, source: Address, data: bytes, envelope: Envelope, size: int, handler: Callable[[Inbound], None]
    ) -> None:
        self.codec.check(data, self.network, self.verifier)
        kind = envelope.kind
        assert kind is not None
        now_ns = self.loop.now.mono_ns
        self._replies.expire(now_ns)
        # Goodbye is undone by whatever was said since, not by saying it again.
        contact = self.book.contact(envelope.key, source)
        # The contact's key, not the envelope's: equal bytes, but what is remembered holds no copy of its own.
        if not self._fresh.accept(contact.key, envelope.stamp, now_ns, newest=kind is _LEAVE):
            return self.count("dropped: stale")
        message = _decode(envelope)
        has_token = envelope.token is not None and self._tokens.valid(envelope.token, contact.packed, now_ns)
        proven = has_token or self._answered_lately(contact, now_ns)
        inbound = Inbound(contact, kind, envelope.request_id, message, proven, size)
        if kind.needs_token and not has_token:
            self.count("answered: retry")
            return self.reply(inbound, Retry(token=self.token_for(contact)))
        if kind.acts:
            new, cached = self._replies.begin(envelope.key, envelope.request_id, envelope.stamp, now_ns)
            if not new:
                if cached is not None:
                    self._send(source, cached)
                return self.count("answered: from cache")
        sent_before = self._bytes_sent
        handler(inbound)
        if self.listener is not None:
            self.listener.on_request(inbound, size - (self._bytes_sent - sent_before))
        return None

    def _answered_lately(self, contact: Contact, now_ns: int) -> bool:
        answered_ns = self.peers.answered_ns(contact)
        return answered_ns is not None and answered_ns > 0 and now_ns - answered_ns < PROOF_NS

    def token_for(self, contact: Contact) -> bytes:
        return self._tokens.mint(contact.packed, self.loop.now.mono_ns)

    def reply(self, inbound: Inbound, message: Message) -> None:
        """Answer now or later; never more bytes than came from an unproven address."""
        if not self.stamps.ready:
            self.stamps.renew(self.loop.now)
            return self.count("unsent: no stamp")
        data = self.codec.encode(
            self.signer, self.network, message.KIND, inbound.request_id, self.stamps.take(self.loop.now),
            inbound.contact.id[:TO_BYTES], None, message.encode_body(),
        )  # fmt: skip
        if inbound.kind.acts and not isinstance(message, Retry):
            self._replies.finish(inbound.contact.key, inbound.request_id, data)
        overhead = self.network.seal_overhead
        if not inbound.proven and len(data) + overhead > inbound.size:
            if isinstance(message, Retry):
                return self.count("unsent: would amplify")
            return self.reply(inbound, Retry(token=self.token_for(inbound.contact)))
        self._send(inbound.contact.address, data)
        return None

    def _on_ping(self, inbound: Inbound) -> None:
        assert isinstance(inbound.message, Ping)
        contact = inbound.contact
        self.reply(inbound, Pong(self.token_for(contact), contact.address.packed, self.role(contact.address)))

    def _send(self, address: Address, data: bytes) -> None:
        if not data:
            return
        if self.network.sealing_key is not None:
            data = seal(self.network.sealing_key, data, self.entropy)
        self._bytes_sent += len(data)
        self.transmit(address, data)


def _decode(envelope: Envelope) -> Message:
    """The signature is good, so a body that is not names its sender."""
    assert envelope.kind is not None
    try:
        return decode_body(envelope.kind, envelope.body)
    except BadMessage as error:
        raise BadMessage(error.reason, blame=envelope.key) from None
