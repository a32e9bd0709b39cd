"""Where others are who have a share: hints of the link, neighbours on the LAN, provider records of the DHT, and what
peers tell of peers.
Clients of BitTorrent are known by their addresses: those of the link, and those that announce themselves on the LAN.

Nothing of that is believed beyond "it may be worth a try": a peer proves who it is when the stream opens, and what it
has by units that verify. Who could not be reached, or has nothing, is tried again later and later; who could not be
reached and answers again, or elsewhere, is tried soon.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from apps.files.core.bittorrent.pseudonym import pseudonym
from apps.files.core.limits import (
    FIRST_RETRY_S,
    LOOK_AGAIN_S,
    MAX_CANDIDATES,
    MAX_LOOK_AGAIN_S,
    MAX_PEERS_TOLD,
    MAX_RETRY_PEER_S,
    MAX_RETURNS,
    MAX_SHARE_DIALS,
    MAX_TOLD_CANDIDATES,
    PEX_S,
    SILENT_TOLD,
    WANTED_PEERS,
)
from apps.files.core.links import Hint
from apps.files.core.share import Share, State
from apps.files.core.wire import NOT_HERE, Peers
from overlay.errors import OverlayError
from overlay.identity.node_id import format_id
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.session import Session

_CONTEXT = b"p2pnode/files/1"
_NOT_SHARED = "it does not share this, or no longer: who has it may have deleted or changed it"


def provider_key(share_id: bytes) -> bytes:
    """Under which providers of a share are found in the DHT."""
    return hashlib.sha256(_CONTEXT + share_id).digest()


@attrs.define(slots=True, eq=False)
class _Candidate:
    #: Where it is said to be: a hint of the link.
    addresses: tuple[Address, ...] = ()
    #: A client of BitTorrent, at its one address.
    foreign: bool = False
    tries: int = 0
    next_ns: int = 0
    #: Why it could not be reached the last time, or would not exchange the share.
    trouble: str = ""
    #: It went, or could not be reached.
    gone: bool = False
    #: Where it answered when that was looked at last; None: nowhere.
    answered_at: Address | None = None
    #: How often in a row it was tried since it answered again, in vain.
    returns: int = 0
    #: A stream is being opened.
    dialling: bool = False
    #: The peer that named it. None: the link, the LAN or the DHT did.
    told_by: bytes | None = None


@attrs.define(slots=True, eq=False)
class Sources:
    """Of one share."""

    share: Share
    own_id: bytes
    #: A session with a peer: the one that is there, or a new one, at these addresses or where it is known to be.
    #: OverlayError.
    reach: Callable[[bytes, tuple[Address, ...]], Awaitable[Session]]
    #: Ids of those whom the DHT names for a key. OverlayError.
    look_up: Callable[[bytes], Awaitable[list[bytes]]]
    #: A session with a client of BitTorrent at an address. OverlayError. None: there is no BitTorrent here.
    dial: Callable[[Address], Awaitable[Session]] | None = None
    #: Peers on the LAN that say they have a share. None: they are not asked.
    ask_near: Callable[[bytes], Awaitable[list[Hint]]] | None = None
    #: Where a peer answers the DHT now. None: nowhere, or it is not known.
    answers_at: Callable[[bytes], Address | None] = lambda peer: None
    _candidates: dict[bytes, _Candidate] = attrs.field(factory=dict, init=False)
    _dials: int = attrs.field(default=0, init=False)

    @property
    def known(self) -> int:
        """Peers that may have it: those of the link, and of whom others told."""
        return len(self._candidates)

    def silent(self) -> list[tuple[str, str]]:
        """Who could not be reached (an id, or an address of BitTorrent), or would not exchange it, and why: those that
        were tried least often, at most SILENT_TOLD."""
        failed = [
            (one.tries, str(one.addresses[0]) if one.foreign else format_id(peer), one.trouble)
            for peer, one in self._candidates.items()
            if one.trouble and peer not in self.share.channels
        ]
        return [(name, trouble) for _, name, trouble in sorted(failed)[:SILENT_TOLD]]

    def add(self, peers: list[bytes], *, told_by: bytes | None = None) -> None:
        """Worth a try. Beyond MAX_CANDIDATES those give way that failed most often: those of peers first, and to what
        one peer tells only what peers told."""
        for peer in peers:
            known = self._candidates.get(peer)
            if known is not None:
                known.told_by = told_by and known.told_by
            elif peer != self.own_id and self._has_room(told_by):
                self._candidates[peer] = _Candidate(told_by=told_by)

    def _has_room(self, told_by: bytes | None) -> bool:
        told = [peer for peer, one in self._candidates.items() if one.told_by is not None]
        if told_by is not None:
            own = [peer for peer in told if self._candidates[peer].told_by == told_by]
            if len(own) >= MAX_PEERS_TOLD:
                return self._forget_one(own)
            return len(told) < MAX_TOLD_CANDIDATES or self._forget_one(told)
        return len(self._candidates) < MAX_CANDIDATES or self._forget_one(told) or self._forget_one([*self._candidates])

    def _forget_one(self, peers: list[bytes]) -> bool:
        """Of these, who failed most often; False if nobody did."""
        failed = [peer for peer in peers if self._candidates[peer].tries and not self._candidates[peer].dialling]
        failed = [peer for peer in failed if peer not in self.share.channels]
        if failed:
            del self._candidates[max(failed, key=lambda peer: self._candidates[peer].tries)]
        return bool(failed)

    def add_hints(self, hints: Sequence[Hint]) -> None:
        """What a link says of a peer replaces what one said before."""
        self.add([hint.peer for hint in hints])
        for peer in {hint.peer for hint in hints} & self._candidates.keys():
            candidate = self._candidates[peer]
            candidate.addresses = tuple(hint.address for hint in hints if hint.peer == peer and hint.address)
            candidate.tries = candidate.next_ns = 0

    def add_foreign(self, addresses: Sequence[Address]) -> None:
        """Clients of BitTorrent may have it there; without BitTorrent nothing is noted."""
        if self.dial is None:
            return
        peers = {pseudonym(self.share.id, address): address for address in addresses}
        self.add([*peers])
        for peer, address in peers.items():
            if peer in self._candidates:
                self._candidates[peer].addresses, self._candidates[peer].foreign = (address,), True

    def announced(self, address: Address) -> None:
        """A client of BitTorrent near here wants it, or has it: who has it all goes there as well, unasked (BEP 14)."""
        self.add_foreign([address])
        candidate = self._candidates.get(peer := pseudonym(self.share.id, address))
        if candidate is not None and self.share.state is State.COMPLETE:
            self._try_one(peer, candidate, self.share.now_ns)

    def left(self, peer: bytes, refusal: str) -> None:
        """It went, or refused: not at once again."""
        candidate = self._candidates.get(peer)
        if candidate is not None:
            answer = _NOT_SHARED if refusal == NOT_HERE else f"it answers: {refusal}"
            candidate.trouble = answer if refusal else ""
            self._missed(peer, candidate, gone=not refusal)
            self._later(candidate)

    def on_peers(self, channel: Channel, message: Peers) -> None:
        now_ns = self.share.now_ns
        if self._private:
            return
        conduct = channel.conduct
        if conduct.pex_heard_ns is None or now_ns - conduct.pex_heard_ns >= PEX_S * SECOND // 2:
            conduct.pex_heard_ns = now_ns
            self.add([peer for peer, _ in message.peers], told_by=channel.peer)

    @property
    def _private(self) -> bool:
        """BEP 27: sources are those of the link alone."""
        return self.share.info is not None and self.share.info.private

    async def run(self) -> None:
        """As long as the share is exchanged."""
        loop = self.share.around.loop
        pause_s, look_ns = LOOK_AGAIN_S, 0
        while True:
            now_ns = loop.now.mono_ns
            if self._hungry:
                self._try_some(now_ns)
                if now_ns >= look_ns and not self._private and not self._promising(now_ns):
                    await self._look()
                    look_ns = loop.now.mono_ns + pause_s * SECOND
                    pause_s = min(2 * pause_s, MAX_LOOK_AGAIN_S)
                    self._try_some(loop.now.mono_ns)
            else:
                pause_s = LOOK_AGAIN_S
            if not self._private:
                self._tell(now_ns)
            await loop.sleep(SECOND)

    @property
    def _hungry(self) -> bool:
        return self.share.needy and self.share.places.useful() < WANTED_PEERS

    def _promising(self, now_ns: int) -> bool:
        """There is somebody to try who did not fail yet. Whom peers name does not count: one of them could name
        others all the time, and so keep this node from looking for itself."""
        return any(
            not (candidate.tries or candidate.told_by)
            and peer not in self.share.channels and self.share.takes(peer, ours=True)
            for peer, candidate in self._candidates.items()
        )  # fmt: skip

    async def _look(self) -> None:
        if self.ask_near is not None:
            near = await self.ask_near(self.share.id)
            self.add_hints([hint for hint in near if hint.peer not in self._candidates])
            self._try_some(self.share.now_ns)
        try:
            self.add(await self.look_up(provider_key(self.share.id)))
        except OverlayError as error:
            self.share.around.emit("no sources", share=self.share.id, error=str(error))

    def _try_some(self, now_ns: int) -> None:
        """Whom peers named after the others."""
        for peer, candidate in sorted(self._candidates.items(), key=lambda item: item[1].told_by is not None):
            self._try_one(peer, candidate, now_ns)

    def _try_one(self, peer: bytes, candidate: _Candidate, now_ns: int) -> None:
        if candidate.gone and not candidate.dialling:
            self._see(peer, candidate, now_ns)
        if self._dials >= MAX_SHARE_DIALS or candidate.dialling or candidate.next_ns > now_ns:
            return
        if peer not in self.share.channels and self.share.takes(peer, ours=True):
            candidate.dialling = True
            self._dials += 1
            self.share.around.spawn(self._try(peer, candidate), name="files: dial")

    async def _try(self, peer: bytes, candidate: _Candidate) -> None:
        try:
            if candidate.foreign and self.dial is not None:
                session = await self.dial(candidate.addresses[0])
            else:
                session = await self.reach(peer, candidate.addresses)
            candidate.tries = candidate.returns = 0
            candidate.gone = False
            self._later(candidate)
            if self.share.takes(peer, ours=True):
                session.open_share(self.share)
        except OverlayError as error:
            candidate.trouble = str(error)
            self._missed(peer, candidate, gone=True)
            self._later(candidate)
        finally:
            candidate.dialling = False
            self._dials -= 1

    def _missed(self, peer: bytes, candidate: _Candidate, *, gone: bool) -> None:
        candidate.gone, candidate.answered_at = gone, self.answers_at(peer)

    def _see(self, peer: bytes, candidate: _Candidate, now_ns: int) -> None:
        """Who answers again, or at another address, need not wait out its time."""
        before, candidate.answered_at = candidate.answered_at, self.answers_at(peer)
        soon_ns = now_ns + FIRST_RETRY_S * SECOND
        is_back = candidate.answered_at not in (None, before) and candidate.returns < MAX_RETURNS
        if is_back and candidate.next_ns > soon_ns:
            candidate.returns += 1
            candidate.next_ns = soon_ns

    def _later(self, candidate: _Candidate) -> None:
        wait_s = min(FIRST_RETRY_S << 2 * min(candidate.tries, 16), MAX_RETRY_PEER_S)
        candidate.tries += 1
        candidate.next_ns = self.share.now_ns + wait_s * SECOND

    def _tell(self, now_ns: int) -> None:
        """Peer exchange: each peer hears of those who came since it was told last."""
        for channel in tuple(self.share.channels.values()):
            conduct = channel.conduct
            if conduct.pex_told_ns is not None and now_ns - conduct.pex_told_ns < PEX_S * SECOND:
                continue
            others = [
                (other.peer, other.session.stream.address)
                for other in self.share.channels.values()
                if other is not channel and other.peer not in channel.pex_told and other.session.signs
            ]
            if len(others) > MAX_PEERS_TOLD:  # not the same to everybody: all would meet at those
                others = self.share.around.rng.sample(others, MAX_PEERS_TOLD)
            if others:
                conduct.pex_told_ns = now_ns
                channel.pex_told = {other.peer for other in self.share.channels.values()} & channel.pex_told
                channel.pex_told.update(peer for peer, _ in others)
                channel.session.say(Peers(channel.number, tuple(others)))
