"""First copies: what nobody else is known to have goes to one peer, and from there to the others.

A node that alone has a unit gives it to one peer and tells the others who ask for it that it will not come, until
somebody else says that he has it, or until that takes too long. So whoever shares something first gives it hardly more
than once before it is everywhere (the aim of super-seeding, BEP 16, without hiding what is here), and it sees who
passes on what he was given: a unit that another peer has can have come from him alone.

What somebody was given first and nobody else has is his debt. For a debtor, who owes more than a newcomer may or than
he has passed on, nobody else has to wait: his first copies go to the next one, too, who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import bits
from apps.files.core.limits import FIRST_BYTES, FIRST_COPY_S, MAX_BANNED, MAX_FIRST_BYTES, MAX_HAVE_UNITS, PASS_ON_S
from apps.files.core.wire import Have
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True)
class _First:
    """A unit on its way to the first who gets it, or there."""

    peer: bytes
    #: Others wait no longer.
    until_ns: int


@attrs.define(slots=True)
class _Account:
    """Bytes of first copies of one peer: those that others have now, and those that nobody has."""

    passed: int = 0
    owed: int = 0

    @property
    def is_debtor(self) -> bool:
        return self.owed > min(FIRST_BYTES + self.passed, MAX_FIRST_BYTES)


@attrs.define(slots=True, eq=False)
class Firsts:
    """Of one share. Sets of units are those of apps.files.core.bits."""

    share: Share
    #: First copies that nobody has passed on, the oldest first; the same as a set.
    _given: dict[int, _First] = attrs.field(factory=dict, init=False)
    _alone: int = attrs.field(default=0, init=False)
    #: Units that were given and not passed on in time: they go to anybody from then on.
    _open: int = attrs.field(default=0, init=False)
    #: Units that others have, those of `_given` left out.
    _elsewhere: int = attrs.field(default=0, init=False)
    #: By peer: it outlives a channel.
    _accounts: dict[bytes, _Account] = attrs.field(factory=dict, init=False)
    #: By peer: units that it was refused and has not been told of since.
    _refused: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def is_debtor(self, peer: bytes) -> bool:
        """It was given more first copies than it passes on."""
        return peer in self._accounts and self._accounts[peer].is_debtor

    def give(self, channel: Channel, unit: int) -> bool:
        """Whether the peer gets this unit now. If not, it will hear that it is to be had. A client of BitTorrent gets
        what it asks for: it would ask again and again."""
        if not channel.session.signs or (self._elsewhere | self._open) >> unit & 1:
            return True
        first = self._given.get(unit)
        if first is not None and first.peer != channel.peer and not self.is_debtor(first.peer):
            self._refused[channel.peer] = self._refused.get(channel.peer, 0) | 1 << unit
            return False
        if first is None or first.peer != channel.peer:
            self._given[unit] = _First(channel.peer, self.share.now_ns + FIRST_COPY_S * SECOND)
            self._alone |= 1 << unit
            self._owe(channel.peer, unit)
        return True

    def holds(self, channel: Channel, new: int) -> None:
        """The peer says that it has these, too."""
        passed = 0
        for unit in bits.first_from(new & self._alone, 0):
            first = self._given[unit]
            if first.peer == channel.peer:
                new &= ~(1 << unit)
                first.until_ns = min(first.until_ns, self.share.now_ns + PASS_ON_S * SECOND)
            else:
                passed |= 1 << unit
                self._passed(first.peer, unit)
        self._elsewhere |= new
        self._free(passed)

    def left(self, channel: Channel) -> None:
        """What it alone was given may go to somebody else, and what it had may be nowhere else."""
        self._refused.pop(channel.peer, None)
        self._free(self._units_of(channel.peer))
        self._elsewhere = 0
        for other in self.share.channels.values():
            self._elsewhere |= other.held
        self._elsewhere &= ~self._alone

    def expire(self) -> None:
        """What was not passed on in time goes to anybody; it is owed as before. Call it every second."""
        late = 0
        for unit, first in self._given.items():
            if first.until_ns <= self.share.now_ns:
                late |= 1 << unit
        self._open |= late
        self._free(late)

    def _free(self, units: int) -> None:
        """These are given to anybody again."""
        if not units:
            return
        for unit in bits.first_from(units, 0):
            del self._given[unit]
        self._alone &= ~units
        self._tell(units)

    def _tell(self, units: int) -> None:
        """Who was refused one of these hears that it is to be had."""
        for peer, refused in tuple(self._refused.items()):
            channel = self.share.channels.get(peer)
            if refused & units and channel is not None:
                self._refused[peer] = refused & ~units
                told = list(bits.first_from(refused & units & self.share.have & ~channel.held, 0))
                for at in range(0, len(told), MAX_HAVE_UNITS):
                    channel.session.say(Have(channel.number, tuple(told[at : at + MAX_HAVE_UNITS])))

    def _owe(self, peer: bytes, unit: int) -> None:
        account = self._accounts.setdefault(peer, _Account())
        before = account.is_debtor
        account.owed += self.share.serving.length_of(unit)
        if account.is_debtor and not before:
            self._tell(self._units_of(peer))
        if len(self._accounts) > MAX_BANNED:
            del self._accounts[next(iter(self._accounts))]

    def _passed(self, peer: bytes, unit: int) -> None:
        account, length = self._accounts.setdefault(peer, _Account()), self.share.serving.length_of(unit)
        account.owed, account.passed = max(account.owed - length, 0), account.passed + length

    def _units_of(self, peer: bytes) -> int:
        units = 0
        for unit, first in self._given.items():
            if first.peer == peer:
                units |= 1 << unit
        return units
