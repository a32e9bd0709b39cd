"""What a peer asked others and waits for: by request id, with those given up lately, and where nobody answered.

An answer that comes after its request was given up still says that the peer lives. What comes from an address that was
asked lately proves nothing about who can reach this node: a NAT on this side lets it in (overlay/dht/reach.py).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.errors import LimitError
from overlay.limits import MAX_LATE, MAX_PENDING, MAX_UNANSWERED, NAT_OPEN_S
from overlay.rpc.contact import Contact
from overlay.rpc.oldest import forget_oldest
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop, Timer
from overlay.runtime.ports import SECOND
from overlay.wire.messages import Message

#: An answer that comes after its request was given up counts for as long: a machine under load was not dead.
_LATE_NS = 10 * SECOND


@attrs.define(slots=True, eq=False)
class Pending:
    """A request that waits for its reply. `cancel` forgets it silently."""

    asked: Asked
    contact: Contact | None
    address: Address
    request_id: bytes
    message: Message
    on_reply: Callable[[Contact, Message], object]
    on_failed: Callable[[], object]
    on_slow: Callable[[int], object] | None
    tries_left: int
    data: bytes = b""
    sent_ns: int = 0
    rto_ns: int = 0
    sends: int = 0
    retried: bool = False
    bare: bool = False
    given_up_ns: int = 0
    timer: Timer | None = None

    def cancel(self) -> None:
        if self.timer is not None:  # it waits still
            self.asked.note_unanswered(self.address)
        self.asked.forget(self)


@attrs.define(slots=True, eq=False)
class Asked:
    loop: Loop
    _pending: dict[bytes, Pending] = attrs.Factory(dict)
    #: Given up lately, the oldest first.
    _late: dict[bytes, Pending] = attrs.Factory(dict)
    #: Where requests were given up, and when.
    _unanswered: dict[Address, int] = attrs.Factory(dict)

    def refuse_if_full(self) -> None:
        if len(self._pending) >= MAX_PENDING:
            raise LimitError(f"{MAX_PENDING} requests are waiting for replies already; wait for some to end")

    def add(self, pending: Pending) -> None:
        self._pending[pending.request_id] = pending

    def find(self, request_id: bytes) -> tuple[Pending | None, bool]:
        """What was asked under this id, and whether it was given up."""
        late = self._late.get(request_id)
        if late is not None and self.loop.now.mono_ns - late.given_up_ns < _LATE_NS:
            return late, True
        return self._pending.get(request_id), False

    def answered(self, pending: Pending) -> None:
        self.forget(pending)
        self._late.pop(pending.request_id, None)

    def forget(self, pending: Pending) -> None:
        self._pending.pop(pending.request_id, None)
        if pending.timer is not None:
            pending.timer.cancel()
            pending.timer = None

    def give_up(self, pending: Pending) -> None:
        """Remember what it takes to know the answer, without the bytes and without who asked: a lookup is large."""
        self.forget(pending)
        self.note_unanswered(pending.address)
        if len(self._late) >= MAX_LATE:
            del self._late[next(iter(self._late))]
        self._late[pending.request_id] = attrs.evolve(
            pending, data=b"", on_reply=_nobody, on_failed=_nobody, on_slow=None, given_up_ns=self.loop.now.mono_ns
        )

    def note_unanswered(self, address: Address) -> None:
        if len(self._unanswered) >= MAX_UNANSWERED:
            forget_oldest(self._unanswered, lambda asked_ns: asked_ns)
        self._unanswered[address] = self.loop.now.mono_ns

    @property
    def waiting(self) -> int:
        return len(self._pending)

    def pending(self) -> tuple[Pending, ...]:
        """What waits for its reply, the oldest first."""
        return tuple(self._pending.values())

    def asks(self, address: Address) -> bool:
        """Whether a NAT on our side may still let in what comes from there: a request to this address waits for its
        reply, or was sent lately and never answered."""
        asked_ns = self._unanswered.get(address)
        if asked_ns is not None and self.loop.now.mono_ns - asked_ns < NAT_OPEN_S * SECOND:
            return True
        return any(pending.address == address for pending in self._pending.values())


def _nobody(*_: object) -> None:
    """Whoever asked was told of a failure."""
