"""Who else keeps this chain: found by the DHT and by what they publish, compared by their work, barred for what no
correct peer does.

Silence blames nobody. Only what a peer said, and what it said is provably wrong, bars it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import attrs

from apps.chain.core.limits import BARRED_S, FEW_PEERS, HERALDED, MAX_BARRED, MAX_PEERS
from apps.chain.core.wire import STANDING_QUESTION, Standing, decode_standing
from overlay.app import AppContext
from overlay.errors import BadMessage, OverlayError
from overlay.runtime.ports import SECOND

#: Announced for so long, and again after a third of it.
_ANNOUNCED_S = 3600
_ANNOUNCE_NS = _ANNOUNCED_S * SECOND // 3
#: Others are looked for this often while nobody is known; while few are, twice as long after each time that found
#: nobody new (who comes later announces itself, and is heard of by what it publishes); and in any case.
_SEEK_FIRST_NS, _SEEK_NS, _SEEK_ANYWAY_NS = 3 * SECOND, 20 * SECOND, 600 * SECOND
_SEEK_FOR_NS = 5 * SECOND
#: A peer that was asked in vain so often in a row is forgotten.
_MAX_FAILURES = 8
#: Who did not give what it should have is asked for nothing large for so long.
_SLOW_NS = 60 * SECOND
#: All that were asked where they are have so long, for the slowest of them is waited for.
_ASK_NS = 5 * SECOND
#: While nobody was of use, so many times as many are asked where they are: most may be liars.
_WHILE_NOBODY = 3
#: Who told us of its tip so long ago is told of ours.
_LATELY_NS = 600 * SECOND


def chain_key(chain_id: bytes) -> bytes:
    """Under which those who keep a chain are providers in the DHT."""
    return hashlib.sha256(b"p2pnode/chain/1\0" + chain_id).digest()


@attrs.define(slots=True, eq=False)
class Known:
    id: bytes
    standing: Standing | None = None
    failures: int = 0
    #: Until when nothing large is asked of it.
    slow_until_ns: int = 0
    #: When a block that it gave became the tip here, monotonic; 0: never.
    useful_ns: int = 0
    #: When it told us where it is of its own accord, so we may be of use to it; 0: never.
    told_ns: int = 0
    #: The last block after which it says to have another state; told once.
    disagreed: bytes = b""


@attrs.define(slots=True, eq=False)
class Peers:
    ctx: AppContext
    chain_id: bytes
    #: Called with each that is barred.
    on_barred: Callable[[bytes], object] = lambda _peer: None
    known: dict[bytes, Known] = attrs.field(factory=dict, init=False)
    #: Until when, monotonic ns; the oldest are forgotten first.
    _barred: dict[bytes, int] = attrs.field(factory=dict, init=False)

    async def run(self) -> None:
        """Announces this node and looks for others, as long as the application lives."""
        key, announce_ns, seek_ns, wait_ns = chain_key(self.chain_id), 0, 0, _SEEK_NS
        while True:
            now_ns = self.ctx.now.mono_ns
            if now_ns >= announce_ns:
                announce_ns = now_ns + _ANNOUNCE_NS
                if not await self._announced(key):
                    announce_ns = now_ns + _SEEK_FIRST_NS
            if now_ns >= seek_ns:
                known = set(self.known)
                for contact in await self.ctx.some_providers(key, most=2 * FEW_PEERS, within_ns=_SEEK_FOR_NS):
                    self.heard_of(contact.id)
                wait_ns = min(2 * wait_ns, _SEEK_ANYWAY_NS) if self.known.keys() <= known else _SEEK_NS
                seek_ns = now_ns + (wait_ns if len(self.known) < FEW_PEERS else _SEEK_ANYWAY_NS)
            if not self.known:
                seek_ns, wait_ns = 0, _SEEK_NS
            await self.ctx.sleep(_SEEK_NS if self.known else _SEEK_FIRST_NS)

    async def _announced(self, key: bytes) -> bool:
        try:
            return await self.ctx.announce(key, ttl_s=_ANNOUNCED_S) > 0
        except OverlayError:  # nobody is there yet
            return False

    # --- who ---

    def heard_of(self, peer: bytes) -> None:
        """It says that it keeps this chain. Who answers is never put out for a stranger."""
        if peer == self.ctx.id or peer in self.known or self.is_barred(peer):
            return
        if len(self.known) >= MAX_PEERS:
            failing = max(self.known.values(), key=lambda one: one.failures)
            if not failing.failures:
                return
            del self.known[failing.id]
        self.known[peer] = Known(peer)

    def is_barred(self, peer: bytes) -> bool:
        until_ns = self._barred.get(peer)
        if until_ns is not None and until_ns <= self.ctx.now.mono_ns:
            del self._barred[peer]
            return False
        return until_ns is not None

    def bar(self, peer: bytes, reason: str) -> None:
        """It did what no correct peer does."""
        if not peer or peer == self.ctx.id:
            return
        if len(self._barred) >= MAX_BARRED:
            del self._barred[next(iter(self._barred))]
        self._barred[peer] = self.ctx.now.mono_ns + BARRED_S * SECOND
        self.known.pop(peer, None)
        self.ctx.emit("bad peer", peer=peer, reason=reason)
        self.on_barred(peer)

    @property
    def answered(self) -> bool:
        """Somebody said where it is."""
        return any(one.standing is not None for one in self.known.values())

    @property
    def barred(self) -> int:
        return len(self._barred)

    def slow(self, peer: bytes) -> None:
        """It did not give what it has, or not in time."""
        if found := self.known.get(peer):
            found.slow_until_ns = self.ctx.now.mono_ns + _SLOW_NS

    def is_slow(self, peer: bytes) -> bool:
        found = self.known.get(peer)
        return found is not None and found.slow_until_ns > self.ctx.now.mono_ns

    def helped(self, peer: bytes) -> None:
        """A block that it gave is the tip here now."""
        if found := self.known.get(peer):
            found.useful_ns = self.ctx.now.mono_ns

    def useful(self, most: int) -> list[Known]:
        """Those that helped and answer, the latest first."""
        found = [one for one in self.known.values() if one.useful_ns and not one.failures]
        return sorted(found, key=lambda one: -one.useful_ns)[:most]

    def told(self, peer: bytes, standing: Standing) -> None:
        """It says where it is without being asked."""
        if found := self.known.get(peer):
            found.standing, found.told_ns = standing, self.ctx.now.mono_ns

    def audience(self) -> list[Known]:
        """Who is to be told of a new tip: some who helped, and as many of those who tell us of theirs, by chance."""
        useful = self.useful(HERALDED)
        since_ns = self.ctx.now.mono_ns - _LATELY_NS
        others = [one for one in self.known.values() if one.told_ns and one.told_ns >= since_ns and one not in useful]
        return useful + self.ctx.rng.sample(others, HERALDED)

    # --- how far they are ---

    async def compare(self, most: int, *, first: Iterable[bytes] = ()) -> list[Known]:
        """Asks some where they are, those of `first` among them; who answered, greatest work first.

        One of them is whoever was of use last: strangers cannot have the others asked alone, however many they are.
        While nobody was, more are asked."""
        useful = [one.id for one in self.useful(1)]
        most = most if useful else _WHILE_NOBODY * most
        asked = [self.known[peer] for peer in dict.fromkeys([*useful, *first]) if peer in self.known][:most]
        others = [one for one in self.known.values() if one not in asked]
        asked += self.ctx.rng.sample(others, most - len(asked))
        async with self.ctx.dht.loop.group(name="chain: standings") as group:
            for one in asked:
                group.spawn(self.ask(one), name="chain: standing")
        found = [one for one in asked if one.standing is not None and one.id in self.known and not one.failures]
        return sorted(found, key=lambda one: -one.standing.work if one.standing else 0)

    async def ask(self, one: Known, *, question: bytes = STANDING_QUESTION) -> None:
        """Where it is, from now on in its `standing`; it has some seconds: who is gone has to be looked for first."""
        try:
            with self.ctx.dht.loop.fail_after(_ASK_NS):
                one.standing = decode_standing(await self.ctx.call(one.id, question))
            one.failures = 0
        except BadMessage as error:
            self.bar(one.id, f"where it is: {error.reason}")
        except OverlayError:
            one.failures += 1
            if one.failures >= _MAX_FAILURES:
                self.known.pop(one.id, None)

    def with_work(self, work: int, *, height: int | None = None) -> Sequence[Known]:
        """Those that say that they have whole blocks of so much work, and are not slow; with `height`, that they have
        not forgotten the block of that height. Who was of use last comes first."""
        found = [
            one for one in self.known.values()
            if one.standing is not None and one.standing.work >= work and not one.standing.light
            and not self.is_slow(one.id) and (height is None or self.keeps(one.id, height))
        ]  # fmt: skip
        return sorted(found, key=lambda one: -one.useful_ns)

    def keeps(self, peer: bytes, height: int) -> bool:
        """Whether it says that it has not forgotten the blocks of that height."""
        found = self.known.get(peer)
        return found is not None and found.standing is not None and height >= found.standing.kept_from
