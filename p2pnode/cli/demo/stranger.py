"""A stranger with a socket: speaks the protocol without being a peer, to show what a peer refuses.

It gets its token honestly (PING, PONG), then sends STORE. One record is its own; the other claims to be somebody
else's newer version, with that author's key and a signature that is not the author's.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

import attrs

from overlay.errors import BadMessage
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network
from overlay.runtime.address import Address
from overlay.wire.decode import decode_body
from overlay.wire.envelope import TO_BYTES, Envelope, decode_envelope, encode_envelope
from overlay.wire.messages import Ping, Pong, Store, Stored
from overlay.wire.padding import padded_body
from overlay.wire.records import encode_record
from overlay.wire.registry import Kind, RecordType, StoreStatus

_LIFE_MS = 3600 * 1000
#: Loopback answers in a millisecond; a busy machine in a hundred.
_ANSWER_S = 2.0
#: Where the author's key stands in a COSE_Sign1 of ours (d2 84 58 26 a2 01 32 04 58 20 KEY).
_KEY_AT = slice(10, 42)


@attrs.define(slots=True, eq=False)
class Stranger:
    """Use as a context manager. `target`: address and NodeId of the peer that it talks to."""

    network: Network
    target: Address
    target_id: bytes
    pair: KeyPair = attrs.field(factory=lambda: KeyPair.from_seed(os.urandom(32)), init=False)
    _socket: socket.socket = attrs.field(init=False)
    _stamp: int = attrs.field(factory=lambda: time.time_ns() // 1_000_000, init=False)

    def __attrs_post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(_ANSWER_S)
        self._socket.connect((socket.inet_ntoa(self.target.ip), self.target.port))

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def token(self) -> bytes:
        """Eight bytes that prove this address; TimeoutError if the peer says nothing."""
        reply = self._ask(Kind.PING, padded_body(Ping(), None), None)
        if reply is None:
            raise TimeoutError
        message = decode_body(Kind.PONG, reply.body)
        assert isinstance(message, Pong)
        return message.token

    def own_record(self, salt: bytes, value: bytes) -> bytes:
        now = time.time_ns() // 1_000_000
        return encode_record(self.pair, self.network, salt, now, now + _LIFE_MS, value)

    def forged_record(self, author: bytes, salt: bytes, value: bytes) -> bytes:
        """A record that names `author` (a public key) and is newer than what the author wrote."""
        record = bytearray(self.own_record(salt, value))
        record[_KEY_AT] = author
        return bytes(record)

    def store(self, record: bytes, token: bytes) -> StoreStatus | None:
        """What the peer says to it; None if it does not even answer."""
        body = Store(RecordType.SIGNED, record, _LIFE_MS // 1000).encode_body()
        reply = self._ask(Kind.STORE, body, token)
        if reply is None:
            return None
        message = decode_body(Kind.STORED, reply.body)
        assert isinstance(message, Stored)
        return message.status

    def _ask(self, kind: Kind, body: list[Any], token: bytes | None) -> Envelope | None:
        request_id = os.urandom(8)
        self._stamp += 1
        to = self.target_id[:TO_BYTES]
        self._socket.send(encode_envelope(self.pair, self.network, kind, request_id, self._stamp, to, token, body))
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            while True:
                try:
                    reply = decode_envelope(self._socket.recv(2048), self.network, verify)
                except BadMessage:
                    continue
                if reply.request_id == request_id and reply.kind in (Kind.PONG, Kind.STORED):
                    return reply
        return None
