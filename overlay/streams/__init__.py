"""Streams of messages between two peers: sealed, with back-pressure, one per protocol and direction.

    streams = Streams(...); streams.serve("/files/1", handler)
    stream = await streams.open(peer_id, addresses, "/files/1")
    await stream.send(b"..."); message = await stream.receive(); stream.close()

Beside them streams of bytes as they are, for protocols of others: `streams.plains`.

Bytes and limits: docs/protocol/streams.md.
"""

from __future__ import annotations

from overlay.streams.endings import StreamEnded
from overlay.streams.frames import End
from overlay.streams.plain import Plain
from overlay.streams.service import Streams
from overlay.streams.stream import Stream

__all__ = ["End", "Plain", "Stream", "StreamEnded", "Streams"]
