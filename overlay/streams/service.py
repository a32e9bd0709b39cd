"""Opens streams to other peers and takes theirs: handshake, slots, protocol, then a Stream for an application.

One stream per peer, protocol and direction. A second `open` while the first lives is refused here, at once: waiting
for it could wait for ever. A second one of another peer replaces its first: that peer may have died and come back
before this side noticed, and it can do that to nobody but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from overlay.errors import BadMessage, LimitError, LocalError, OverlayError, Refused
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.limits import (
    HANDSHAKE_S,
    MAX_DIAL_ADDRESSES,
    MAX_DIALS,
    MAX_END_TEXT,
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_PER_ADDRESS,
    MAX_PROTOCOL_NAME,
)
from overlay.runtime.address import Address
from overlay.runtime.group import Group
from overlay.runtime.loop import CancelScope, Loop
from overlay.runtime.ports import (
    SECOND,
    Entropy,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamEffect,
    StreamEvent,
    StreamOpen,
    StreamOpened,
    StreamSent,
)
from overlay.secure.handshake import (
    LENGTH_BYTES,
    MAGIC,
    PREFACE_BYTES,
    Acceptor,
    Dialler,
    Secured,
    StaticKey,
    decode_length,
)
from overlay.secure.noise import Suite
from overlay.streams.crowd import Crowd, Slot
from overlay.streams.dialling import reach
from overlay.streams.endings import count_of, explained, give_up
from overlay.streams.frames import HEAD_BYTES, End
from overlay.streams.pipe import Pipe
from overlay.streams.plains import Plains
from overlay.streams.slots import SEALED, Lease, Sessions
from overlay.streams.stream import Stream
from overlay.trust.policy import Observation, Policy, Verdict

#: Takes a stream that another peer opened, and returns at once: what it takes long for, it does in a task.
Taker = Callable[[Stream], object]

_YES = b"ok"
#: Before both have agreed on a protocol: its name, or an END.
_FIRST_FRAME = HEAD_BYTES + max(MAX_PROTOCOL_NAME, 1 + MAX_END_TEXT)


@attrs.define(slots=True, eq=False, kw_only=True)
class Streams:
    """All streams of one peer. `handle` gets every event of the shell."""

    loop: Loop
    network: Network
    signer: Signer
    verifier: Verifier
    entropy: Entropy
    emit: Callable[[StreamEffect], object]
    policy: Policy
    count: Callable[[str], object]
    #: Of the streams that this side opens.
    suite: Suite = Suite.AESGCM
    #: Those of protocols of others.
    plains: Plains = attrs.field(init=False)
    _static: StaticKey = attrs.field(init=False)
    _id: bytes = attrs.field(init=False)
    _last_id: int = attrs.field(default=0, init=False)
    _pipes: dict[int, Pipe] = attrs.field(factory=dict, init=False)
    _handshakes: Crowd = attrs.field(
        factory=lambda: Crowd(MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS), init=False
    )  # fmt: skip
    _sessions: Sessions = attrs.field(factory=lambda: Sessions(SEALED), init=False)
    _dials: int = attrs.field(default=0, init=False)
    #: By peer and protocol; None while it is dialled.
    _opened: dict[tuple[bytes, str], Stream | None] = attrs.field(factory=dict, init=False)
    _leases: dict[Stream, Lease] = attrs.field(factory=dict, init=False)
    _taken: dict[tuple[bytes, str], Stream] = attrs.field(factory=dict, init=False)
    _takers: dict[str, Taker] = attrs.field(factory=dict, init=False)
    _group: Group | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._static = StaticKey(self.network, self.signer, self.entropy)
        self._id = node_id_of(self.signer.key)
        self.plains = Plains(loop=self.loop, emit=self.emit, begin=self._begin, count=self.count)

    def begin(self, group: Group) -> None:
        """Take streams of others from now on, in tasks of this group."""
        self._group = group

    def handle(self, event: StreamEvent) -> None:
        match event:
            case StreamOpened(id, address, incoming):
                if incoming:
                    self._on_incoming(id, address)
                elif id in self._pipes:
                    self._pipes[id].opened.set()
            case StreamData(id, data) if id in self._pipes:
                self._pipes[id].on_data(data)
            case StreamSent(id, n) if id in self._pipes:
                self._pipes[id].on_sent(n)
            case StreamClosed(id, reason) if id in self._pipes:
                self._pipes[id].on_closed(reason)

    def serve(self, protocol: str, taker: Taker) -> None:
        """Take streams of others for this protocol. LocalError for a name that cannot be, or is served already."""
        _check_name(protocol)
        if protocol in self._takers:
            raise LocalError(f"streams of {protocol!r} are taken by somebody already")
        self._takers[protocol] = taker

    def unserve(self, protocol: str) -> None:
        """Take no more of them; those that are open go on."""
        self._takers.pop(protocol, None)

    def close_opened(self, protocols: str, reason: str) -> None:
        """Those that this side opened for protocols whose names begin so."""
        for (_, protocol), stream in tuple(self._opened.items()):
            if stream is not None and protocol.startswith(protocols):
                stream.close(reason)

    def figures(self) -> dict[str, int]:
        """How many there are now."""
        return {
            "streams": self._sessions.total, "incoming": self._sessions.incoming, "handshakes": len(self._handshakes),
            "dials": self._dials, "pipes": len(self._pipes),
        }  # fmt: skip

    # --- opening ----------------------------------------------------------------------------

    async def open(self, peer: bytes, addresses: Sequence[Address], protocol: str) -> Stream:
        """A stream with the peer that has this NodeId, at one of these addresses; the first MAX_DIAL_ADDRESSES are
        tried, in this order.

        Raises Refused (it does not take this protocol, us, or any stream), TimedOut, RemoteError (another peer
        answered, or nonsense), LimitError (there is one already, or a bound of this side), LocalError. What was wrong
        at each address stands in the text.
        """
        _check_name(protocol)
        addresses = tuple(dict.fromkeys(addresses))[:MAX_DIAL_ADDRESSES]
        if not addresses:
            raise LocalError("no address is known at which that peer could be reached")
        if peer == self._id:
            raise LocalError("a peer opens no streams to itself")
        if (peer, protocol) in self._opened:
            raise LimitError(f"a stream to that peer for {protocol} is open already, or being opened")
        if self._dials >= MAX_DIALS:
            raise LimitError(f"{MAX_DIALS} streams are being opened already; try again later")
        lease = self._sessions.take(peer, addresses[0], incoming=False)
        self._opened[peer, protocol] = None
        self._dials += 1
        stream: Stream | None = None
        try:
            stream = await self._dial(peer, addresses, protocol, lease)
        finally:
            self._dials -= 1
            del self._opened[peer, protocol]
            if stream is None:
                self._sessions.release(lease)
        if stream.ended is None:  # else there may still be something to read in it
            self._opened[peer, protocol] = stream
        self.count("streams: opened")
        return stream

    async def _dial(self, peer: bytes, addresses: Sequence[Address], protocol: str, lease: Lease) -> Stream:
        reached = await reach(self.loop, addresses, self._begin, lambda pipe: self._shake_first(pipe, peer))
        pipe = reached.pipe
        stream: Stream | None = None
        try:
            with self.loop.fail_after(max(0, reached.until_ns - self.loop.now.mono_ns)):
                stream = self._new_stream(pipe, reached.secured, incoming=False)
                self._leases[stream] = lease
                await stream.send(protocol.encode())
                if await stream.receive() != _YES:
                    raise BadMessage("it answered neither yes nor no")
            assert stream is not None  # the scope above raises if it is cut short
            stream.agreed(protocol)
            return stream
        except BaseException as error:
            give_up(pipe, stream, error)
            raise explained(error, pipe.address) from None

    def _begin(self, address: Address) -> Pipe:
        self._last_id += 2
        pipe = self._new_pipe(self._last_id, address)
        self.emit(StreamOpen(pipe.id, address))
        return pipe

    async def _shake_first(self, pipe: Pipe, peer: bytes) -> Secured:
        dialler = Dialler(self.network, self._static, self.verifier, self.entropy, suite=self.suite)
        pipe.send(dialler.first())
        answer = await pipe.read(decode_length(await pipe.read(LENGTH_BYTES)))
        last, secured = dialler.answer(answer, self.loop.now, expected=peer)
        if self.policy.verdict(secured.key) is Verdict.REFUSE:
            raise Refused("this node does not deal with that peer")
        pipe.send(last)
        return secured

    # --- taking -----------------------------------------------------------------------------

    def _on_incoming(self, id: int, address: Address) -> None:
        if self._group is None or (self._sessions.full_for(address) and self.plains.full_for(address)):
            self.count("streams: no room")
            self.emit(StreamClose(id))
            return
        scope = self.loop.scope()
        slot = self._handshakes.enter(address, scope.cancel)
        self._group.spawn(self._take(self._new_pipe(id, address), slot, scope), name=f"stream from {address}")

    async def _take(self, pipe: Pipe, slot: Slot, scope: CancelScope) -> None:
        stream: Stream | None = None
        try:
            with scope, self.loop.fail_after(HANDSHAKE_S * SECOND):
                first = await pipe.first(PREFACE_BYTES)
                if self.plains.takes(first):
                    self.plains.take(pipe, first)
                    return
                if first != MAGIC[0]:
                    raise BadMessage("it begins neither as a stream of ours nor as one that somebody takes")
                if self._sessions.full_for(pipe.address):
                    raise LimitError("others have opened as many streams as this peer takes")
                secured = await self._shake_second(pipe, slot)
                stream = self._new_stream(pipe, secured, incoming=True)
                self._leases[stream] = self._sessions.take(stream.peer, pipe.address, incoming=True)
                await self._agree(stream, await stream.receive())
        except OverlayError as error:
            self.count(f"streams: {count_of(error)}")
            give_up(pipe, stream, error)
        finally:
            self._handshakes.leave(slot)
            if not pipe.plain and (stream is None or not stream.protocol):
                give_up(pipe, stream, None)
        if scope.cancelled_caught:
            self.count("streams: made room")

    async def _shake_second(self, pipe: Pipe, slot: Slot) -> Secured:
        acceptor = Acceptor(
            await pipe.read(PREFACE_BYTES), self.network, self._static, self.verifier, self.entropy
        )  # fmt: skip
        length = decode_length(await pipe.read(LENGTH_BYTES))
        if length != acceptor.first_length:
            raise BadMessage("the first message of a handshake has another length on this network")
        first = await pipe.read(length)
        slot.spoke = True
        pipe.send(acceptor.answer(first, self.loop.now))
        last = await pipe.read(decode_length(await pipe.read(LENGTH_BYTES)))
        secured = acceptor.last(last, self.loop.now)
        if secured.key == self.signer.key:
            raise Refused("a peer opens no streams to itself")
        if self.policy.verdict(secured.key) is Verdict.REFUSE:
            raise Refused("this node does not deal with that peer")
        return secured

    async def _agree(self, stream: Stream, name: bytes) -> None:
        protocol = name.decode(errors="replace")
        taker = self._takers.get(protocol)
        if taker is None:
            stream.finish(End.NO_SUCH_PROTOCOL, "nothing here takes streams of that protocol")
            self.count("streams: no such protocol")
            return
        before = self._taken.get((stream.peer, protocol))
        if before is not None:
            before.finish(End.REPLACED, "the same peer opened a newer one")
        await stream.send(_YES)
        stream.agreed(protocol)
        self._taken[stream.peer, protocol] = stream
        self.count("streams: taken")
        taker(stream)

    # --- both -------------------------------------------------------------------------------

    def _new_pipe(self, id: int, address: Address) -> Pipe:
        pipe = self._pipes[id] = Pipe(id, address, self.loop, self.emit, self._forget)
        return pipe

    def _new_stream(self, pipe: Pipe, secured: Secured, *, incoming: bool) -> Stream:
        return Stream(
            self.loop, pipe, secured, incoming=incoming, window=_FIRST_FRAME, enlarge=self._enlarge,
            on_over=self._on_over,
        )  # fmt: skip

    def _forget(self, pipe: Pipe) -> None:
        self._pipes.pop(pipe.id, None)

    def _enlarge(self, stream: Stream) -> bool:
        lease = self._leases.get(stream)
        return lease is not None and self._sessions.enlarge(lease)

    def _on_over(self, stream: Stream) -> None:
        lease = self._leases.pop(stream, None)
        if lease is not None:
            self._sessions.release(lease)
        registry = self._taken if stream.incoming else self._opened
        if registry.get((stream.peer, stream.protocol)) is stream:
            del registry[stream.peer, stream.protocol]
        ended = stream.ended
        if ended is not None and ended.here and ended.end is End.BAD_FRAME:
            self.policy.observe(stream.key, Observation.BAD_MESSAGE, self.loop.now.mono_ns)


def _check_name(protocol: str) -> None:
    if not 1 <= len(protocol.encode()) <= MAX_PROTOCOL_NAME or not protocol.isprintable():
        raise LocalError(f"a protocol has a printable name of 1 to {MAX_PROTOCOL_NAME} bytes, not {protocol!r}")
