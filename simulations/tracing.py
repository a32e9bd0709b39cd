"""The trace hash: one number for the whole course of a run, the same whatever is done for a datagram.

It covers every input of every peer, every event that one reports and every result of a command, in order: when, at
which node, what. Of a datagram it covers sender, length and bytes, but for what the rungs of
simulations.population.Codec make differently: signatures, its own and those of records in it, and in the words
between subscribers of a topic the ids of messages, which are hashes over signatures. Of a stream it covers how the
bytes are cut, and not the bytes: a handshake in them carries signatures, sealed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from hashlib import sha256
from operator import attrgetter
from struct import Struct
from typing import Any, Final
from zlib import crc32

import attrs

from overlay.events import AppEvent, Event, GossipDelivered, LookupStep
from overlay.runtime.ports import Ok, Outcome, StreamData
from overlay.wire.registry import Kind

#: Tag, key, head of the payload (3 bytes at most), kind, request id, stamp: simulations.datagrams. A head of 2 bytes
#: leaves one byte of `to`. Nothing of it is a signature, however short the datagram is.
SEEN: Final = 66
#: How a signed object begins and how its signature does (overlay/wire/cose.py); from one to its payload.
_SIGNED, _SIGNATURE, _PAYLOAD_AT = bytes.fromhex("d2845826"), b"\x58\x40", 43
_SIGNATURE_BYTES: Final = 66
#: Kinds that name messages, as CBOR has their numbers: one byte to 23, two above.
_NAMING: Final = (bytes((Kind.GOSSIP,)), bytes((0x18, Kind.GOSSIPED)))
#: First bytes of those, and of the kinds that carry signed objects.
_SPECIAL: Final = frozenset((Kind.VALUE, Kind.STORE, Kind.PROVIDE, Kind.PROVIDERS, Kind.GOSSIP, 0x18))
#: Longer bytes of a value are told by their CRC: megabytes of a file would cost more than all else.
_SHORT: Final = 64
#: Time in ns, node, number of the sort of input, a length.
_HEAD: Final = Struct("<qiBI")
#: The first three, and the numbers of a LookupStep.
_STEP: Final = Struct("<qiBQII")
_DATAGRAM, _TIMER, _DONE, _OTHER, _RESULT, _REPORT = range(6)
#: Hashed at once: a call for each input would cost more than the hashing.
_BATCH: Final = 1 << 16


class Trace:
    """Give it everything; `hexdigest` at any time."""

    __slots__ = ("_fields", "_hash", "_kept")

    def __init__(self) -> None:
        self._hash = sha256()  # faster than BLAKE2b where the processor knows it
        self._kept = bytearray()
        self._fields: dict[type, Callable[[Any], Any]] = {}

    def input(self, now_ns: int, node: int, name: str, args: tuple[Any, ...]) -> None:
        """`name` and `args` as of a method of overlay.runtime.ports.Core, without `now`."""
        kept = self._kept
        if name == "handle_datagram":
            source, data = args
            kept += _HEAD.pack(now_ns, node, _DATAGRAM, len(data))
            kept += source.ip
            kept += source.port.to_bytes(2, "big")
            kept += unsigned(data)
        elif name == "handle_timer":
            kept += _HEAD.pack(now_ns, node, _TIMER, 0)
        elif name == "handle_done" and type(args[1]) is Ok and args[1].value is None:
            kept += _HEAD.pack(now_ns, node, _DONE, args[0] & 0xFFFFFFFF)
        else:
            self._said(now_ns, node, _OTHER, repr((name, *map(plain, args))))
        if len(kept) > _BATCH:
            self._flush()

    def result(self, now_ns: int, node: int, command_id: int, outcome: Outcome) -> None:
        self._said(now_ns, node, _RESULT, repr((command_id, plain(outcome))))

    def report(self, now_ns: int, node: int, event: Event) -> None:
        if type(event) is LookupStep:  # most of all
            self._kept += _STEP.pack(now_ns, node, _REPORT, event.lookup, event.learnt, event.path)
            self._kept += event.asked
        elif isinstance(event, AppEvent | GossipDelivered):  # they hold whatever an application likes
            self._said(now_ns, node, _REPORT, repr(plain(event)))
        else:
            self._said(now_ns, node, _REPORT, repr(self._fields_of(event)))

    def hexdigest(self) -> str:
        self._flush()
        return self._hash.hexdigest()[:32]

    def _fields_of(self, event: Any) -> Any:
        """Its class and fields: numbers, short text and bytes."""
        cls = type(event)
        fields = self._fields.get(cls)
        if fields is None:
            if not attrs.has(cls):
                return plain(event)
            fields = self._fields[cls] = attrgetter("__class__.__name__", *(field.name for field in attrs.fields(cls)))
        return fields(event)

    def _said(self, now_ns: int, node: int, sort: int, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        self._kept += _HEAD.pack(now_ns, node, sort, len(data))
        self._kept += data

    def _flush(self) -> None:
        self._hash.update(self._kept)
        self._kept.clear()


def unsigned(data: bytes) -> bytes:
    """What every codec writes alike of a datagram, however a forger changed it.

    A signature within is found by the head of its object and by its own, so that it is left out if one byte of
    either was changed; then nothing after it is taken.
    """
    last = len(data) - _SIGNATURE_BYTES
    if last <= SEEN:
        return data[:SEEN]
    kind_at = _PAYLOAD_AT + (3 if data[_PAYLOAD_AT] == 0x58 else 4)
    if data[kind_at] not in _SPECIAL and data.rfind(_SIGNATURE, SEEN, last) < 0:
        return data[:last]
    end = data.find(_SIGNATURE, SEEN, last)
    at = data.find(_SIGNED, SEEN, last)
    if at < 0:
        if data.startswith(_NAMING, kind_at):
            return data[:SEEN]
        return data[: end if end >= 0 else last]
    parts, start = [], 0
    while at >= 0:
        payload_end = _payload_end(data, at)
        if end != payload_end:
            end = min(payload_end, last if end < 0 else end)
            break
        parts.append(data[start:end])
        start = end + _SIGNATURE_BYTES
        end, at = data.find(_SIGNATURE, start, last), data.find(_SIGNED, start, last)
    parts.append(data[start : end if end >= 0 else last])
    return b"".join(parts)


def _payload_end(data: bytes, at: int) -> int:
    """Where the payload of the signed object at `at` ends, as it says itself."""
    head = data[at + _PAYLOAD_AT : at + _PAYLOAD_AT + 3]
    begin = at + _PAYLOAD_AT + 1
    if len(head) == 3 and head[0] == 0x58:
        return begin + 1 + head[1]
    if len(head) == 3 and head[0] == 0x59:
        return begin + 2 + (head[1] << 8 | head[2])
    return begin + (head[0] & 0x1F if head else 0)


def plain(value: Any) -> Any:
    """What `repr` says alike in every process and every Python: of an object that is no value only its class."""
    match value:
        case None | bool() | float():
            return value
        case enum.Enum():
            return type(value).__name__, value.name
        case StreamData(id, data):
            return "StreamData", id, len(data)
        case int() | str():
            return value
        case bytes() | bytearray() | memoryview():
            return bytes(value) if len(value) <= _SHORT else (len(value), crc32(value))
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return [(plain(key), plain(item)) for key, item in value.items()]
        case set() | frozenset():
            return sorted(repr(plain(item)) for item in value)
    cls = type(value)
    if not attrs.has(cls):
        return cls.__name__
    return cls.__name__, [plain(getattr(value, field.name)) for field in attrs.fields(cls)]
