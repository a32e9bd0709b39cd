"""What becomes of a peer by the units that it gave.

A peer that signs what it gives looks at it first, so a corrupt unit is no accident: one ends the exchange of the share.
If it signed a false header as well, that is evidence, and ends all exchange for a day. Whether the header fits the
bytes beside it does not matter: a liar would choose what costs least. Of peers without keys (BitTorrent) the second
corrupt unit counts: the first may be a broken disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.evidence import make_evidence
from apps.files.core.header import Finding, Header
from apps.files.core.limits import MAX_BANNED, MAX_CORRUPT, MIN_SIGNED_BYTES, SPOT_CHECKS

if TYPE_CHECKING:
    from apps.files.core.arrivals import Arrived
    from apps.files.core.channel import Channel
    from apps.files.core.layout import Layout, Unit
    from apps.files.core.share import Share


def must_sign(channel: Channel, size: int) -> bool:
    """Whether a unit of so many bytes has a header there."""
    return channel.session.signs and size >= MIN_SIGNED_BYTES


@attrs.define(slots=True, eq=False)
class Judge:
    """Of one share."""

    share: Share
    layout: Layout

    def good(self, arrived: Arrived) -> None:
        """Its header is looked at now and then: headers that are there and worthless would protect nobody."""
        if must_sign(arrived.channel, len(arrived.data)) and not self.share.around.rng.below(SPOT_CHECKS):
            self._convicted(arrived, "it signed no valid header for a unit", true_is_fine=True)

    def corrupt(self, arrived: Arrived) -> None:
        share, place, channel = self.share, self.layout.unit(arrived.unit), self._channel(arrived)
        count, units = share.strikes.pop(arrived.peer, (0, 0))
        count, units = share.strikes[arrived.peer] = count + 1, units | 1 << arrived.unit
        if len(share.strikes) > MAX_BANNED:
            del share.strikes[next(iter(share.strikes))]
        share.around.emit("corrupt", share=share.id, peer=arrived.peer, file=place.file, unit=place.index)
        channel.corrupt, channel.unfit = count, channel.unfit | units
        if channel.session.signs:
            self._convicted(arrived, "it sent a corrupt unit", true_is_fine=False)
        elif count >= MAX_CORRUPT:
            self._drop(arrived, f"it sent {count} corrupt units")

    def _convicted(self, arrived: Arrived, reason: str, *, true_is_fine: bool) -> None:
        """Evidence if there is some; without, it is done with for this share, unless its header is true and that is
        all that was asked."""
        share, place = self.share, self.layout.unit(arrived.unit)
        true = header_of(share, place)
        if true is None:
            return self._drop(arrived, reason)
        finding = share.around.headers.judge(arrived.header, arrived.peer, true)
        if finding is Finding.FALSE:
            assert share.layers is not None
            uncles = share.layers.uncles(place.file, place.index)
            if uncles is not None:
                evidence = make_evidence(arrived.header, true.node, uncles)
                share.around.bans.convict(arrived.peer, evidence, share=share.id, file=place.file, unit=place.index)
        if finding is not Finding.TRUE or not true_is_fine:
            self._drop(arrived, reason)
        return None

    def _channel(self, arrived: Arrived) -> Channel:
        """It may have come back meanwhile."""
        return self.share.channels.get(arrived.peer, arrived.channel)

    def _drop(self, arrived: Arrived, reason: str) -> None:
        if arrived.peer not in self.share.banned:
            self.share.drop(self._channel(arrived), reason)


def header_of(share: Share, place: Unit) -> Header | None:
    """What is true of a unit; None as long as its node was not proved here."""
    assert share.layers is not None
    assert share.info is not None
    file, node = share.info.files[place.file], share.layers.node(place.file, place.index)
    if node is None or file.root is None:
        return None
    return Header(file.root, file.length, place.height, place.index, node)
