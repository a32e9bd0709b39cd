"""Connections with clients of BitTorrent: those that come, for whatever share they name, and those that are dialled.

Each becomes a session of its own under an id made up of the share, the address and the client's own id. Such ids stay
here: others are not told of them, nothing is owed to them, and a client that comes under another id again is known
by its address.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

import attrs

from apps.files.core.bittorrent.connection import ByteStream, Connection, read_handshake
from apps.files.core.bittorrent.handshake import HASH_BYTES, PEER_ID_BYTES, Handshake, encode_handshake
from apps.files.core.bittorrent.holdings import Pool
from apps.files.core.bittorrent.limits import (
    MAX_BANNED_ADDRESSES,
    MAX_BANNED_OF_ADDRESS,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    USELESS_S,
)
from apps.files.core.bittorrent.pipes import Inbox, Outbox
from apps.files.core.bittorrent.pseudonym import pseudonym
from apps.files.core.bittorrent.translator import Translator
from apps.files.core.rates import Bucket
from apps.files.core.session import Session
from apps.files.core.share import Share
from overlay.errors import BadMessage, LimitError, OverlayError, Refused, TimedOut
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND
from overlay.streams import StreamEnded
from overlay.streams.crowd import place_of

#: BEP 20: who made the client, and its version.
_CLIENT = b"-P20010-"
_LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyz"
#: Letters that say of which network a peer is.
_TAG_BYTES = 4


class Surroundings(Protocol):
    """What the gateway needs of its application."""

    @property
    def loop(self) -> Loop: ...
    @property
    def rng(self) -> Rng: ...
    #: (handler, stream): whatever goes wrong on it ends that stream alone.
    @property
    def talk_plain(self) -> Callable[[Callable[[Any], Awaitable[object]], Any], None]: ...
    def emit(self, event: str, /, **fields: object) -> None: ...


@attrs.define(slots=True, eq=False)
class Gateway:
    around: Surroundings
    #: A connection to an address. OverlayError.
    connect: Callable[[Address], Awaitable[ByteStream]]
    #: Shares that may be exchanged.
    shares: Callable[[], Iterable[Share]]
    #: Of all that this node gives.
    uploads: Bucket
    #: Id of the network: its peers do not speak BitTorrent with each other.
    network: bytes
    #: By pseudonym.
    connections: dict[bytes, Connection] = attrs.field(factory=dict, init=False)
    #: Of this run: by it a client, and this side, notice two connections with one another.
    _peer_id: bytes = attrs.field(init=False)
    #: What the ids of all peers of this network begin with.
    _kin: bytes = attrs.field(init=False)
    #: Connections, those in their handshake too, by address (IPv6: /64).
    _places: Counter[bytes] = attrs.field(factory=Counter, init=False)
    #: What they said of their pieces before it was known what a piece is.
    _pool: Pool = attrs.field(factory=Pool, init=False)
    #: By share and address: clients there that were dropped for what they sent.
    _banned: dict[tuple[bytes, bytes], int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        rng = self.around.rng
        tag = hashlib.sha256(b"p2pnode/bittorrent/1" + self.network).digest()[:_TAG_BYTES]
        self._kin = _CLIENT + bytes(_LETTERS[byte % len(_LETTERS)] for byte in tag)
        self._peer_id = self._kin + bytes(rng.choice(_LETTERS) for _ in range(PEER_ID_BYTES - len(self._kin)))

    # --- coming and going -------------------------------------------------------------------

    async def on_stream(self, stream: ByteStream) -> None:
        """A connection that a client opened, until it ends. Refused, StreamEnded."""
        try:
            await self._take(stream)
        except (BadMessage, TimedOut, LimitError) as error:
            raise Refused(str(error)) from None

    async def _take(self, stream: ByteStream) -> None:
        with self._place(stream.address):
            theirs = await read_handshake(self.around.loop, stream)
            share, by_v1 = self._named(theirs.share)
            if share is None:
                raise Refused("no such share is here")
            # BEP 52: who names a hybrid share by its SHA-1 id and can do better is answered with the other one.
            by_v1 = by_v1 and not theirs.v2
            hash_ = theirs.share if by_v1 else share.id[:HASH_BYTES]
            peer = pseudonym(share.id, stream.address, theirs.peer_id)
            self._check(share, stream.address, peer, theirs, ours=False)
            await stream.send(encode_handshake(Handshake(hash_, self._peer_id)))
            connection = self._connection(stream, share, peer, theirs, by_v1=by_v1)
            await self._talk(connection, self._session(connection))

    async def reach(self, share: Share, address: Address) -> Session:
        """A session with the client there, about this share alone. OverlayError."""
        self._check_banned(share, address)
        if pseudonym(share.id, address) in self.connections:
            raise Refused("there is a connection already")
        v1_id = None if share.info is None else share.info.v1_id
        try:
            return await self._dial(share, address, share.id[:HASH_BYTES])
        except (Refused, StreamEnded):
            if v1_id is None:
                raise
        return await self._dial(share, address, v1_id)  # who knows the share by that one alone hung up

    async def _dial(self, share: Share, address: Address, hash_: bytes) -> Session:
        loop = self.around.loop
        place = ExitStack()
        with place:
            place.enter_context(self._place(address))
            stream = await self.connect(address)
            try:
                await stream.send(encode_handshake(Handshake(hash_, self._peer_id)))
                theirs = await read_handshake(loop, stream)
                named, by_v1 = self._named(theirs.share)
                if named is not share:
                    raise Refused(f"{address} answers for another share")
                peer = pseudonym(share.id, address)
                self._check(share, address, peer, theirs, ours=True)
                connection = self._connection(stream, share, peer, theirs, by_v1=by_v1)
            except OverlayError as error:
                stream.close(str(error))
                raise
            session = self._session(connection)
            self.around.talk_plain(partial(self._stay, connection, session, place.pop_all()), stream)
            return session

    async def _stay(self, connection: Connection, session: Session, place: ExitStack, _: ByteStream) -> None:
        with place:
            await self._talk(connection, session)

    async def _talk(self, connection: Connection, session: Session) -> None:
        translator = connection.translator
        try:
            async with self.around.loop.group(name="bittorrent") as group:
                group.spawn(connection.read(), name="bittorrent: read")
                group.spawn(connection.write(), name="bittorrent: write")
                await session.run()
                group.cancel()
        finally:
            translator.close()
            if self.connections.get(translator.peer) is connection:
                del self.connections[translator.peer]
            self._judge(translator)

    def _judge(self, translator: Translator) -> None:
        share, address = translator.share, translator.address
        if translator.fault:
            self.around.emit("bad peer", peer=translator.peer, address=str(address), reason=translator.fault)
        if translator.fault or translator.peer in share.banned:
            where = share.id, place_of(address)
            self._banned[where] = self._banned.pop(where, 0) + 1
            if len(self._banned) > MAX_BANNED_ADDRESSES:
                del self._banned[next(iter(self._banned))]

    # --- announcing -------------------------------------------------------------------------

    def public_hashes(self) -> list[bytes]:
        """What clients on this LAN may hear of (BEP 14), 20 bytes each: no private shares (BEP 27)."""
        hashes = []
        for share in self.shares():
            if share.info is not None and not share.info.private:
                hashes.append(share.id[:HASH_BYTES])
                hashes += [share.info.v1_id] if share.info.v1_id is not None else []
        return hashes

    def public(self, hash_: bytes) -> Share | None:
        """The share that somebody announced; sources of private ones are those of their link alone."""
        share, _ = self._named(hash_)
        return None if share is None or (share.info is not None and share.info.private) else share

    # --- inside -----------------------------------------------------------------------------

    def _named(self, hash_: bytes) -> tuple[Share | None, bool]:
        """The share that a handshake names, and whether by its SHA-1 id."""
        for share in self.shares():
            if share.id[:HASH_BYTES] == hash_:
                return share, False
            if share.info is not None and share.info.v1_id == hash_:
                return share, True
        return None, False

    def _check(self, share: Share, address: Address, peer: bytes, theirs: Handshake, *, ours: bool) -> None:
        """Refused if this client may not come, or is here already.

        Whoever hears a client's id can copy it: at another address it is somebody else's."""
        self._check_banned(share, address)
        if theirs.peer_id == self._peer_id:
            raise Refused("this is this node itself")
        if theirs.peer_id.startswith(self._kin):  # a link names it for both protocols
            raise Refused("it is a peer of this network, and talks over sealed streams")
        here = (one.translator for one in self.connections.values() if one.translator.share is share)
        if peer in self.connections or any(
            one.theirs.peer_id == theirs.peer_id and one.address.ip == address.ip for one in here
        ):
            raise Refused("there is a connection already")
        if not share.takes(peer, ours=ours):
            raise Refused("no room, or no more")

    def _check_banned(self, share: Share, address: Address) -> None:
        if self._banned.get((share.id, place_of(address)), 0) >= MAX_BANNED_OF_ADDRESS:
            raise Refused("what came from there was wrong too often")

    def _connection(
        self, stream: ByteStream, share: Share, peer: bytes, theirs: Handshake, *, by_v1: bool
    ) -> Connection:
        loop = self.around.loop

        def pay(n: int) -> None:
            self.uploads.owe(loop.now.mono_ns, n)

        translator = Translator(
            peer, stream.address, stream.incoming, share, theirs, by_v1, Inbox(loop), Outbox(loop), pay, self._pool
        )  # fmt: skip
        connection = self.connections[peer] = Connection(loop, stream, translator, loop.now.mono_ns)
        return connection

    def _session(self, connection: Connection) -> Session:
        translator = connection.translator

        def find(share_id: bytes) -> Share | None:
            return translator.share if translator.share.running and share_id == translator.share.id else None

        return Session(
            self.around.loop, translator, find, self.uploads, lambda _, reason: translator.blame(reason), signs=False
        )

    @contextmanager
    def _place(self, address: Address) -> Iterator[None]:
        """LimitError if there is no room for one more."""
        place = place_of(address)
        if self._places[place] >= MAX_CONNECTIONS_PER_ADDRESS:
            raise LimitError(f"{MAX_CONNECTIONS_PER_ADDRESS} connections of BitTorrent with {address} already")
        if self._places.total() >= MAX_CONNECTIONS and not self._make_room():
            raise LimitError(f"{MAX_CONNECTIONS} connections of BitTorrent already")
        self._places[place] += 1
        try:
            yield
        finally:
            self._places[place] -= 1
            if not self._places[place]:
                del self._places[place]

    def _make_room(self) -> bool:
        """Who has been here for a while and neither gives nor takes anything goes."""
        old_ns = self.around.loop.now.mono_ns - USELESS_S * SECOND
        useless = [one for one in self.connections.values() if one.useless and one.opened_ns <= old_ns]
        if useless:
            min(useless, key=lambda one: one.opened_ns).translator.close()
        return bool(useless)
