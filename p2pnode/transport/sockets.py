"""The sockets of a node: datagrams and streams at the same ports."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import attrs

from overlay.runtime.address import Address
from p2pnode.transport.binding import bind
from p2pnode.transport.streams import Streams, streams_of
from p2pnode.transport.udp import Udp, udp_of


@attrs.define(slots=True, eq=False)
class Sockets:
    """`close` when done (or use as a context manager)."""

    udp: Udp
    streams: Streams

    def __enter__(self) -> Sockets:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def listen(self) -> tuple[Address, ...]:
        """At most one a family; for both protocols."""
        return self.udp.listen

    def close(self) -> None:
        self.udp.close()
        self.streams.close()


def open_sockets(addresses: Sequence[Address]) -> Sockets:
    """Listen at these addresses; as `binding.bind` says."""
    bound = bind(addresses, (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    return Sockets(udp_of(bound), streams_of(bound))
