"""Peers on the same LAN are asked whether they have a share: they are the nearest, and the DHT may know none of them.

Who says yes is one more peer to try, and nothing else: what it has is told by units that verify.
"""

from __future__ import annotations

import attrs

from apps.files.core.asking import Asker
from apps.files.core.limits import MAX_NEAR_ROUNDS, MAX_NEIGHBOURS_ASKED, NEIGHBOUR_S
from apps.files.core.links import Hint
from apps.files.core.questions import Holding, Holds
from overlay.errors import BadMessage
from overlay.rpc.contact import Contact
from overlay.runtime.ports import SECOND


@attrs.define(slots=True, eq=False)
class Neighbours:
    asker: Asker
    _rounds: int = attrs.field(default=0, init=False)

    async def holders(self, share: bytes) -> list[Hint]:
        """Of MAX_NEIGHBOURS_ASKED, others every time, those that say they have all of it; [] if as many as may be are
        asked for other shares just now."""
        if self._rounds >= MAX_NEAR_ROUNDS:
            return []
        self._rounds += 1
        try:
            return await self._ask(share)
        finally:
            self._rounds -= 1

    async def _ask(self, share: bytes) -> list[Hint]:
        found: list[Hint] = []

        async def ask(contact: Contact) -> None:
            answer = await self.asker.ctx.call(contact, Holds((share,)), Holding)
            if len(answer.whole) != 1:
                raise BadMessage("an answer to another question")
            if answer.whole[0]:
                found.append(Hint(contact.id, contact.address))

        with self.asker.ctx.dht.loop.move_on_after(NEIGHBOUR_S * SECOND):
            await self.asker.ask(self._some(), ask)
        return found

    def _some(self) -> list[Contact]:
        """Peers in subnets of our interfaces, or at addresses that mean something there alone."""
        ctx = self.asker.ctx
        near = [contact for contact in ctx.dht.table.contacts() if not self.asker.capped(contact)]
        able = [contact for contact in near if not self.asker.banned(contact.id)]
        return ctx.rng.shuffled(able)[:MAX_NEIGHBOURS_ASKED]
