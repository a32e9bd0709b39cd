"""The trace hash: one number for the whole course of a run, the same whatever is done for a datagram.

It covers every input of every peer, in order: when, at which node, what. Of a datagram it covers sender, length and
the first bytes, which say kind, request id and stamp and come before anything that is signed. So it is the same with
real signatures, cheap ones and none (simulations.population.Codec), and costs little. Of a command it covers the
arguments and the result.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Any, Final

from overlay.runtime.ports import Ok, Outcome, StreamData

#: Tag, key, head of the payload (3 bytes at most), kind, request id, stamp: simulations.datagrams. A head of 2 bytes
#: leaves one byte of `to`, which is not signed either.
SEEN: Final = 66
#: Time in ns, node, number of the sort of input, a length.
_HEAD: Final = Struct("<qiBI")
_DATAGRAM, _TIMER, _OTHER, _RESULT = range(4)
#: Hashed at once: a call for each input would cost more than the hashing.
_BATCH: Final = 1 << 16


class Trace:
    """Give it every input; `hexdigest` at any time."""

    __slots__ = ("_hash", "_kept")

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._kept = bytearray()

    def input(self, now_ns: int, node: int, name: str, args: tuple[Any, ...]) -> None:
        """`name` and `args` as of a method of overlay.runtime.ports.Core, without `now`."""
        kept = self._kept
        if name == "handle_datagram":
            source, data = args
            kept += _HEAD.pack(now_ns, node, _DATAGRAM, len(data))
            kept += source.ip
            kept += source.port.to_bytes(2, "big")
            kept += data[:SEEN]
        elif name == "handle_timer":
            kept += _HEAD.pack(now_ns, node, _TIMER, 0)
        else:
            self._said(now_ns, node, _OTHER, repr((name, *map(_said_of, args))))
        if len(kept) > _BATCH:
            self._flush()

    def result(self, now_ns: int, node: int, command_id: int, outcome: Outcome) -> None:
        self._said(now_ns, node, _RESULT, repr((command_id, outcome)))

    def hexdigest(self) -> str:
        self._flush()
        return self._hash.hexdigest()

    def _said(self, now_ns: int, node: int, sort: int, text: str) -> None:
        data = text.encode()
        self._kept += _HEAD.pack(now_ns, node, sort, len(data))
        self._kept += data

    def _flush(self) -> None:
        self._hash.update(self._kept)
        self._kept.clear()


def _said_of(arg: Any) -> Any:
    """Bytes of a stream may be signed somewhere: their number counts. What was computed may be a signature itself:
    that it was computed counts."""
    match arg:
        case bytes():
            return len(arg)
        case Ok():
            return "ok"
        case StreamData(id, data):
            return id, len(data)
        case _:
            return arg
