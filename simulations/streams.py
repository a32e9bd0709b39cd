"""Ordered streams of bytes between simulated peers, as TCP would carry them.

What a peer sends waits at its machine, passes its line piece by piece (shared with its datagrams), crosses the
network, waits at the other machine for a grant, and is given. A window bounds what is between the two. Loss only
delays. What cannot pass waits; after TIMEOUT_NS without way through both ends are told. Records are not sealed, and so
plain streams are streams like any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from overlay.errors import LocalError
from overlay.runtime.address import Address
from overlay.runtime.ports import (
    MS,
    SECOND,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamEffect,
    StreamEnd,
    StreamEvent,
    StreamGrant,
    StreamOpen,
    StreamOpened,
    StreamSend,
    StreamSent,
    StreamTakes,
)
from simulations.host import Host
from simulations.network import Network
from simulations.stream_end import End

#: Bytes that pass a limited line at once, between datagrams of the same node: a TLS record (RFC 8446, 5.1) is as
#: large. An unlimited line takes more at once, to spare events.
PIECE: Final = 16_384
LARGE_PIECE: Final = 65_536
#: Bytes that were sent and not given yet: between the machines and in their buffers. Linux lets a receive buffer
#: grow to 6 MB (net.ipv4.tcp_rmem); half of a buffer is window at most.
WINDOW: Final = 1 << 20
#: Without way through for so long a stream is over: TCP_USER_TIMEOUT (RFC 5482) as a node would set it; without it
#: Linux takes 15 minutes.
TIMEOUT_NS: Final = 30 * SECOND
#: What cannot pass tries again so often.
_RETRY_NS: Final = SECOND
#: A lost piece comes so much later, twice as much after each more loss: Linux's TCP_RTO_MIN.
_RESEND_NS: Final = 200 * MS
_RESENDS: Final = 6


class Streams:
    """All streams of an engine. `push` puts an event on its heap, `feed` gives a peer an input."""

    def __init__(
        self, network: Network, hosts: list[Host], now: Callable[[], int], push: Callable[..., None],
        feed: Callable[..., None],
    ) -> None:  # fmt: skip
        self._network = network
        self._hosts = hosts
        self._now = now
        self._push = push
        self._feed = feed

    def perform(self, host: Host, effect: StreamEffect) -> None:
        """An effect of a peer; what follows from it comes as events, never within this call."""
        if isinstance(effect, StreamTakes):
            return  # no shell stands before a peer: it gets every connection, and sorts them itself
        end: End | None = host.streams.get(effect.id)
        if isinstance(effect, StreamOpen):
            if end is not None or effect.id % 2:
                raise LocalError(f"node {host.index} opens stream {effect.id}: the id is taken or not even")
            end = host.streams[effect.id] = End(host, host.life, effect.id, effect.to, busy=True)
            self._connect(host, end)
        elif end is None or end.closing:
            return
        elif isinstance(effect, StreamSend):
            if effect.data:
                end.unsent.append(effect.data)
                self._pump(end)
        elif isinstance(effect, StreamGrant):
            end.granted += effect.n
            if end.arrived:
                self._push(host, self._now(), self._give, host, end)
        elif isinstance(effect, StreamClose):
            end.closing = True
            if end.other is None:
                self._forget(end)
            else:
                self._pump(end)
                self._give(host, end)  # to nobody: it makes room, and the end may be behind it

    def killed(self, host: Host, *, power_loss: bool) -> None:
        """The process is gone: the other sides hear of it, if its machine can still tell them."""
        for end in list(host.streams.values()):
            other = end.other
            self._forget(end)
            if other is not None and not other.over:
                told = not power_loss and self._blocked(end, other) is None
                reason = StreamEnd.RESET if told else StreamEnd.TIMED_OUT
                after_ns = self._delay(end, other) if told else TIMEOUT_NS
                self._push(host, self._now() + after_ns, self._end, other.host, other, reason)

    def moved(self, host: Host) -> None:
        """Its machine has other addresses: its streams time out."""
        for end in host.streams.values():
            end.moved = True

    # --- opening ----------------------------------------------------------------------------

    def _connect(self, host: Host, end: End, _: None = None) -> None:
        """Try to reach the other machine, again if there is no way, until it takes too long."""
        if end.over:
            return
        now_ns = self._now()
        end.stuck_ns = now_ns if end.stuck_ns is None else end.stuck_ns
        route = self._network.dial(host.index, end.peer)
        there = None if isinstance(route, str) else self._hosts[route[0]]
        if (
            isinstance(route, str) or there is None
            or self._network.barrier(host.index, there.index) or self._network.barrier(there.index, host.index)
            or (there.pause is not None and there.pause.asleep)
        ):  # fmt: skip
            if now_ns - end.stuck_ns >= TIMEOUT_NS:
                self._push(host, now_ns, self._end, host, end, StreamEnd.TIMED_OUT)
            else:
                self._push(host, now_ns + _RETRY_NS, self._connect, host, end)
            return
        end.stuck_ns = None
        delay_ns = self._network.delay(host.index, there.index, host.rng)
        # An event of this side: who is there is seen on arrival, it may have died or begun anew by then.
        self._push(host, now_ns + delay_ns, self._accept, host, end, (there, route[1], delay_ns))

    def _accept(self, opener: Host, end: End, how: tuple[Host, Address, int]) -> None:
        """At the other machine."""
        if end.over:
            return
        host, source, delay_ns = how
        if host is opener or host.peer is None or getattr(host.peer, "handle_stream", None) is None:
            self._push(opener, self._now() + delay_ns, self._end, opener, end, StreamEnd.REFUSED)
            return
        here = end.other = End(host, host.life, host.next_stream, source, other=end)
        host.next_stream += 2
        host.streams[here.id] = here
        here.arrives_ns = self._now() + delay_ns  # nothing of this side before its yes
        self._push(host, here.arrives_ns, self._connected, opener, end)
        self._tell(here, StreamOpened(here.id, source, True))

    def _connected(self, _host: Host, end: End, _: None) -> None:
        if end.over:
            return
        end.busy = False
        if not end.closing:
            self._tell(end, StreamOpened(end.id, end.peer, False))
        self._pump(end)

    # --- carrying ---------------------------------------------------------------------------

    def _pump(self, end: End) -> None:
        """Let as much pass as window and line take now."""
        other = end.other
        if end.busy or end.over or other is None:
            return
        now_ns, line, sent = self._now(), self._network.up(end.host.index), 0
        gone_ns = now_ns
        while end.unsent and (room := WINDOW - end.on_way) > 0 and not (line is not None and sent):
            piece = end.take(min(room, LARGE_PIECE if line is None else PIECE))
            sent += len(piece)
            end.on_way += len(piece)
            if line is not None:
                gone_ns = line.carry(len(piece), now_ns)
            self._launch(end, other, piece, gone_ns)
        if sent:
            end.busy = True
            self._push(end.host, gone_ns, self._gone, end.host, end, sent)
        elif end.closing and not end.unsent:
            self._launch(end, other, None, now_ns)
            self._forget(end)

    def _launch(self, end: End, other: End, piece: bytes | None, gone_ns: int) -> None:
        rng, network = end.host.rng, self._network
        delay_ns, again_ns = self._delay(end, other), _RESEND_NS
        for _ in range(_RESENDS):
            if network.lost_on_line(end.host.index, rng) is None:
                break
            delay_ns, again_ns = delay_ns + again_ns, 2 * again_ns
        end.arrives_ns = max(gone_ns + delay_ns, end.arrives_ns)
        self._push(end.host, end.arrives_ns, self._land, other.host, other, piece)

    def _gone(self, _host: Host, end: End, n: int) -> None:
        end.busy = False
        if not end.over and not end.closing:
            self._tell(end, StreamSent(end.id, n))
        self._pump(end)

    def _land(self, host: Host, end: End, piece: bytes | None) -> None:
        """At the machine: through its line, if that is limited."""
        line = self._network.downs.get(host.index)
        if line is not None and piece is not None:
            self._push(host, line.carry(len(piece), self._now()), self._enter, host, end, piece)
        elif line is not None:
            self._push(host, max(self._now(), line.free_ns), self._enter, host, end, piece)
        else:
            self._enter(host, end, piece)

    def _enter(self, host: Host, end: End, piece: bytes | None) -> None:
        if end.over:
            return
        end.outside.append(piece)
        if len(end.outside) == 1:
            self._knock(host, end)

    def _knock(self, host: Host, end: End, _: None = None) -> None:
        """What arrived gets in, and is acknowledged, if there is a way; else it tries again."""
        other = end.other
        if end.over or other is None:
            return
        now_ns = self._now()
        if self._blocked(end, other) is None:
            end.stuck_ns = None
            end.arrived += end.outside
            end.outside.clear()
            self._give(host, end)
        elif end.stuck_ns is not None and now_ns - end.stuck_ns >= TIMEOUT_NS:
            for side in (end, other):
                self._push(host, now_ns, self._end, side.host, side, StreamEnd.TIMED_OUT)
        else:
            end.stuck_ns = now_ns if end.stuck_ns is None else end.stuck_ns
            self._push(host, now_ns + _RETRY_NS, self._knock, host, end)

    def _give(self, _host: Host, end: End, _: None = None) -> None:
        """To the peer, as much as it granted."""
        other = end.other
        if end.over or other is None:
            return
        if end.closing:  # nobody wants it any more
            end.granted += sum(len(piece) for piece in end.arrived if piece is not None)
        data = end.give()
        if data:
            if not other.over:
                self._push(end.host, self._now() + self._delay(end, other), self._room, other.host, other, len(data))
            if not end.closing:
                self._tell(end, StreamData(end.id, data))
        if end.ended and not end.over:
            self._end(end.host, end, StreamEnd.CLOSED)

    def _room(self, _host: Host, end: End, n: int) -> None:
        """The other side took `n` bytes."""
        end.on_way -= n
        self._pump(end)

    # --- ending -----------------------------------------------------------------------------

    def _end(self, _host: Host, end: End, reason: StreamEnd) -> None:
        if not end.over:
            silent = end.closing
            self._forget(end)
            if not silent:
                self._tell(end, StreamClosed(end.id, reason))

    def _forget(self, end: End) -> None:
        end.over = True
        end.unsent.clear()
        end.arrived.clear()
        end.host.streams.pop(end.id, None)

    def _tell(self, end: End, event: StreamEvent) -> None:
        peer: Any = end.host.peer
        if peer is not None and end.host.life == end.life:
            self._feed(end.host, peer.handle_stream, event)

    def _blocked(self, one: End, other: End) -> str | None:
        """Why nothing passes between the two machines now; acknowledgements need the way back."""
        if one.moved or other.moved:
            return "moved"
        for host in (one.host, other.host):
            if host.pause is not None and host.pause.asleep:
                return "asleep"
        one_way = self._network.barrier(one.host.index, other.host.index)
        return one_way or self._network.barrier(other.host.index, one.host.index)

    def _delay(self, end: End, other: End) -> int:
        return self._network.delay(end.host.index, other.host.index, end.host.rng)
