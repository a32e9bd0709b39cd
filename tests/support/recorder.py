"""A peer that only pings and listens: it records every stamp that a node signs, in the order of arrival.

Between two sockets on loopback the kernel keeps the order, so what it records is the order of sending.
"""

from __future__ import annotations

import itertools
import os
import socket
import time

from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network
from overlay.wire.envelope import Envelope, decode_envelope, encode_envelope
from overlay.wire.messages import Message, Ping
from overlay.wire.padding import padded_body

#: As a node repeats a request of which it knows nothing (limits.INITIAL_RTO_MS), but at once sooner.
_AGAIN_S = 0.25


class Recorder:
    """Use as a context manager."""

    def __init__(self, network: Network, *, seed: int = 1) -> None:
        self.network = network
        self.keys = KeyPair.from_seed(seed.to_bytes(32, "big"))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        #: Everything authentic that arrived.
        self.heard: list[Envelope] = []
        self._stamps = itertools.count(time.time_ns() // 1_000_000)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def datagram(self, message: Message, *, to: bytes | None = None, token: bytes | None = None) -> bytes:
        body = message.encode_body() if token else padded_body(message, to)
        return encode_envelope(
            self.keys, self.network, message.KIND, os.urandom(8), next(self._stamps), to, token, body
        )

    def ping(self, address: str, *, within_s: float = 10) -> float:
        """Seconds until the PONG came; repeats the datagram on silence. AssertionError after `within_s`."""
        data = self.datagram(Ping())
        host, _, port = address.rpartition(":")
        request = decode_envelope(data, self.network, verify).request_id
        began = time.monotonic()
        while (waited := time.monotonic() - began) < within_s:
            self.socket.sendto(data, (host, int(port)))
            if self.listen(_AGAIN_S, until=request):
                return time.monotonic() - began
        raise AssertionError(f"no PONG from {address} within {waited:.1f} s")

    def listen(self, seconds: float, *, until: bytes | None = None) -> bool:
        """Record what arrives for so long, or until the reply to this request."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(2048)
            except (TimeoutError, ConnectionRefusedError):
                continue
            envelope = decode_envelope(data, self.network, verify)
            self.heard.append(envelope)
            if until is not None and envelope.request_id == until:
                return True
        return False

    @property
    def stamps(self) -> list[int]:
        return [envelope.stamp for envelope in self.heard]
