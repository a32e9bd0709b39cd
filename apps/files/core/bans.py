"""Peers with which this node exchanges no files for a day, in any share: each signed a header that is provably false.

Kept in the storage of the application with the proof, so that coming back helps neither after a new stream nor after a
restart of this node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from apps.files.core.limits import BAN_S, MAX_BANS
from overlay.app_storage import AppStorage
from overlay.errors import LocalError
from overlay.runtime.ports import Now
from overlay.wire import cbor

_BAN = b"ban/"
_BAN_MS = BAN_S * 1000


class Ledger(Protocol):
    """What may take evidence further, if an application provides it as the service "evidence"."""

    def found(self, culprit: bytes, evidence: bytes) -> object:
        """`culprit`: a node id; `evidence`: that of apps.files.core.evidence."""
        ...


@attrs.frozen(slots=True)
class Ban:
    #: Wall clock, ms.
    until_ms: int
    evidence: bytes = attrs.field(repr=False)


@attrs.define(slots=True, eq=False)
class Bans:
    storage: AppStorage
    now: Callable[[], Now]
    emit: Callable[..., object]
    spawn: Callable[..., object]
    #: The service "evidence", if it is there.
    ledger: Callable[[], Ledger | None]
    #: End whatever goes on with this peer.
    on_ban: Callable[[bytes], object]
    _bans: dict[bytes, Ban] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        latest_ms = self.now().wall_ms + _BAN_MS  # a clock that was ahead for a while bans nobody for longer
        for key, value in tuple(self.storage.scan(_BAN)):
            until_ms, evidence = cbor.decode(value)
            self._bans[key[len(_BAN) :]] = Ban(min(until_ms, latest_ms), evidence)
        self._forget_ended()

    def holds(self, peer: bytes) -> bool:
        ban = self._bans.get(peer)
        return ban is not None and ban.until_ms > self.now().wall_ms

    def all(self) -> dict[bytes, Ban]:
        """By node id; those that hold."""
        self._forget_ended()
        return dict(self._bans)

    def convict(self, peer: bytes, evidence: bytes, **where: Any) -> None:
        """`where`: for the event."""
        if self.holds(peer):
            return
        self._forget_ended()
        if len(self._bans) >= MAX_BANS:
            self._forget(min(self._bans, key=lambda one: self._bans[one].until_ms))
        ban = self._bans[peer] = Ban(self.now().wall_ms + _BAN_MS, evidence)
        self.spawn(self._save(peer, ban), name="files: ban")
        self.emit("uploader banned", peer=peer, until_ms=ban.until_ms, evidence=evidence, **where)
        if (ledger := self.ledger()) is not None:
            ledger.found(peer, evidence)
        self.on_ban(peer)

    async def _save(self, peer: bytes, ban: Ban) -> None:
        try:
            self.storage.put(_BAN + peer, cbor.encode([ban.until_ms, ban.evidence]))
            await self.storage.committed()
        except LocalError as error:  # until this process ends it holds all the same
            self.emit("cannot write", peer=peer, error=str(error))

    def _forget_ended(self) -> None:
        now_ms = self.now().wall_ms
        for peer in [peer for peer, ban in self._bans.items() if ban.until_ms <= now_ms]:
            self._forget(peer)

    def _forget(self, peer: bytes) -> None:
        del self._bans[peer]
        self.storage.delete(_BAN + peer)
