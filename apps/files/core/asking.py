"""Asking other peers' copies of file sharing by datagram: whom, how many at once, and who is at fault."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import attrs

from apps.files.core.findings import Where
from apps.files.core.limits import ASKED_AT_ONCE
from overlay.app import AppContext
from overlay.errors import BadMessage, OverlayError
from overlay.rpc.contact import Contact
from overlay.runtime.group import together


@attrs.define(slots=True, eq=False)
class Asker:
    ctx: AppContext
    #: What a peer did that no correct one does.
    blame: Callable[[bytes, str], object]
    #: Nothing is asked of such a peer.
    banned: Callable[[bytes], bool]

    async def providers(self, key: bytes, most: int, within_ns: int) -> list[Contact]:
        found = await self.ctx.some_providers(key, most=most, within_ns=within_ns)
        return [contact for contact in found if not self.banned(contact.id)]

    async def ask(self, peers: Sequence[Contact], question: Callable[[Contact], Awaitable[None]]) -> None:
        """Each of them, ASKED_AT_ONCE at a time. Who says nothing, or no, is left out, who breaks a rule blamed."""
        waiting = deque(peers)

        async def work() -> None:
            while waiting:
                contact = waiting.popleft()
                try:
                    await question(contact)
                except BadMessage as error:
                    self.blame(contact.id, error.reason)
                except OverlayError:
                    continue

        await together(self.ctx.dht.loop, *(work() for _ in range(min(ASKED_AT_ONCE, len(waiting)))))

    def place_of(self, contact: Contact) -> bytes:
        """Equal for those that count as one."""
        return self.ctx.dht.diversity.group(contact.address)

    def where(self, contact: Contact) -> Where:
        return Where(self.place_of(contact), contact.address)

    def capped(self, contact: Contact) -> bool:
        """Whether few are asked at its place: a subnet of the internet."""
        return self.ctx.dht.diversity.capped(contact.address)
