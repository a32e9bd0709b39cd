"""What a peer did in one share, so far as it is bounded: it does not shake that off by closing a channel, or by coming
back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.limits import (
    CHOKES_PER_S,
    IDLE_HAVES_PER_S,
    LAYER_BURST_BYTES,
    LAYER_BYTES_PER_S,
    MAX_CHOKES,
    MAX_CONDUCTS,
    MAX_IDLE_HAVES,
    MAX_OPENS,
    OPENS_PER_S,
)
from apps.files.core.rates import Bucket

if TYPE_CHECKING:
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Conduct:
    _began_ns: int
    #: Channels that it may open.
    opens: Bucket = attrs.field(init=False)
    #: Chokes and their ends that it may say.
    chokes: Bucket = attrs.field(init=False)
    #: HAVE that say nothing new; whoever owes any is done with.
    idle_haves: Bucket = attrs.field(init=False)
    #: Bytes of layers that are read for it (serving.py).
    layers: Bucket = attrs.field(init=False)
    #: How often in a row it did not answer in time when it was asked for hashes (hashes.py).
    silent: int = 0
    #: When it told of others, and was told of others.
    pex_heard_ns: int | None = None
    pex_told_ns: int | None = None

    def __attrs_post_init__(self) -> None:
        self.opens = Bucket(OPENS_PER_S, MAX_OPENS, self._began_ns)
        self.chokes = Bucket(CHOKES_PER_S, MAX_CHOKES, self._began_ns)
        self.idle_haves = Bucket(IDLE_HAVES_PER_S, MAX_IDLE_HAVES + 1, self._began_ns)
        self.layers = Bucket(LAYER_BYTES_PER_S, LAYER_BURST_BYTES, self._began_ns)


@attrs.define(slots=True, eq=False)
class Conducts:
    share: Share
    #: Who came last is the last.
    _by_peer: dict[bytes, Conduct] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._by_peer)

    def of(self, peer: bytes) -> Conduct:
        """Beyond MAX_CONDUCTS who was here longest ago is forgotten: those that are here are fewer."""
        found = self._by_peer.pop(peer, None) or Conduct(self.share.now_ns)
        self._by_peer[peer] = found
        if len(self._by_peer) > MAX_CONDUCTS:
            del self._by_peer[next(peer for peer in self._by_peer if peer not in self.share.channels)]
        return found
