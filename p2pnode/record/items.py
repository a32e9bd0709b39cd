"""What stands on a tape: inputs as they were given to the core, and a short account of what it did with each.

An effect is not kept, its kind, length and hash are: a replay makes it again, so 13 bytes tell where the two differ.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from overlay.errors import BadMessage, LocalError
from overlay.runtime.address import Address
from overlay.runtime.ports import (
    Commit,
    Compute,
    Effect,
    Failed,
    Interface,
    Ok,
    Operate,
    Outcome,
    Report,
    Result,
    SendDatagram,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamEnd,
    StreamEvent,
    StreamGrant,
    StreamKeys,
    StreamOpen,
    StreamOpened,
    StreamSend,
    StreamSent,
    StreamTakes,
    Sync,
)
from overlay.wire import cbor
from p2pnode.record.plain import Unrecordable, pack, unpack


class Tag(enum.IntEnum):
    """First in every item. Numbers are never given twice."""

    #: [HEADER, {…}]: once, first.
    HEADER = 0
    #: [ROWS, key, value, …]: what the storage held, in key order; before the first input.
    ROWS = 1
    #: [GAVE, deadline in ns after the input or null, accounts of effects]: ends an input that ended well.
    GAVE = 2
    #: [RAISED, type, text]: ends an input at which the core raised; the node ended too.
    RAISED = 3
    #: [REFUSED, number of the write, text]: the storage did not take this write. Within an input, or before the first.
    REFUSED = 4
    #: [END, reason]: nothing was left out up to here. A node that was killed leaves none.
    END = 5
    # Inputs: [tag, ns since the one before, ms of the wall clock since it, arguments…]
    START = 16
    DATAGRAM = 17
    TIMER = 18
    COMMAND = 19
    CANCEL = 20
    DONE = 21
    NETWORK = 22
    #: Arguments: id, then 0 (opened), ip, port, zone, incoming; 1 (data), bytes; 2 (sent), n; 3 (closed), reason.
    STREAM = 23


#: What happened to a stream, in items.
_OPENED, _DATA, _SENT, _CLOSED = range(4)
#: Kinds of effects, in accounts; later ones come last.
_EFFECTS: tuple[type[Any], ...] = (
    SendDatagram, Commit, Sync, Compute, Operate, Result, Report,
    StreamOpen, StreamKeys, StreamSend, StreamGrant, StreamClose, StreamTakes,
)  # fmt: skip
_NUMBERS = {effect: number for number, effect in enumerate(_EFFECTS)}
_account = struct.Struct(">BI8s")
ACCOUNT_BYTES = _account.size


def call_of(tag: int, args: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The method of Core that an input is, and its arguments after `now`. BadMessage if no recorder writes it."""
    try:
        match tag, args:
            case ((Tag.START | Tag.TIMER), []):
                return ("start" if tag == Tag.START else "handle_timer"), ()
            case Tag.DATAGRAM, [bytes(ip), int(port), int(zone), bytes(data)]:
                return "handle_datagram", (Address(ip, port, zone), data)
            case Tag.COMMAND, [int(id), str(name), packed]:
                return "handle_command", (id, name, unpack(packed))
            case Tag.CANCEL, [int(id)]:
                return "handle_cancel", (id,)
            case Tag.DONE, [int(id), list(outcome)]:
                return "handle_done", (id, outcome_of(outcome))
            case Tag.NETWORK, [*interfaces]:
                return "handle_network", (tuple(Interface(*interface) for interface in interfaces),)
            case Tag.STREAM, [int(id), *event]:
                return "handle_stream", (_stream_event(id, event),)
    except (TypeError, ValueError, LocalError) as error:
        raise BadMessage(f"input {tag}: {error}") from None
    raise BadMessage(f"input {tag} is none that this version knows")


def packed_outcome(outcome: Outcome) -> list[Any]:
    """Unrecordable if its value is no plain data."""
    match outcome:
        case Ok(value):
            return [0, pack(value)]
        case Failed(code, message, facts):
            return [1, pack(code), pack(message), pack(facts)]


#: Packed, in the place of a value that is no plain data: a pure function gave it, and a replay calls it again.
COMPUTED: list[Any] = [2]
#: What `outcome_of` gives for that.
AGAIN = Ok("computed again")


def outcome_of(packed: list[Any]) -> Outcome:
    match packed:
        case [2]:
            return AGAIN
        case [0, value]:
            return Ok(unpack(value))
        case [1, code, message, facts]:
            return Failed(unpack(code), unpack(message), unpack(facts))
    raise BadMessage("an outcome that no recorder writes")


def packed_stream(event: StreamEvent) -> list[Any]:
    match event:
        case StreamOpened(id, peer, incoming):
            return [id, _OPENED, peer.ip, peer.port, peer.zone, incoming]
        case StreamData(id, data):
            return [id, _DATA, data]
        case StreamSent(id, n):
            return [id, _SENT, n]
        case StreamClosed(id, reason):
            return [id, _CLOSED, reason.value]


def _stream_event(id: int, event: list[Any]) -> StreamEvent:
    match event:
        case [0, bytes(ip), int(port), int(zone), bool(incoming)]:
            return StreamOpened(id, Address(ip, port, zone), incoming)
        case [1, bytes(data)]:
            return StreamData(id, data)
        case [2, int(n)]:
            return StreamSent(id, n)
        case [3, str(reason)]:
            return StreamClosed(id, StreamEnd(reason))
    raise BadMessage("an event of a stream that no recorder writes")


# --- what the core did ----------------------------------------------------------------------


def accounts_of(effects: Iterable[Effect]) -> bytes:
    """Of each effect: kind (1 byte), length of its encoding (4), its hash (BLAKE2b, 8 bytes)."""
    return b"".join([_account_of(effect) for effect in effects])


def _account_of(effect: Effect) -> bytes:
    if type(effect) is SendDatagram:
        length, encoded = len(effect.data), effect.to.packed + effect.to.zone.to_bytes(4, "big") + effect.data
    else:
        encoded = cbor.encode(_shown(effect))
        length = len(encoded)
    kind = _NUMBERS.get(type(effect), len(_EFFECTS))
    return _account.pack(kind, length, hashlib.blake2b(encoded, digest_size=8).digest())


def _shown(value: Any) -> Any:
    """As `pack`, for what is only compared: objects by the name of their type and their fields.

    Of what is neither plain nor made with attrs only the type counts: its repr may hold an address.
    """
    if attrs.has(type(value)):
        fields = attrs.fields(type(value))
        return [type(value).__name__, *(_shown(getattr(value, field.name)) for field in fields)]
    match value:
        case list() | tuple():
            return [_shown(item) for item in value]
        case dict():
            return [[_shown(key), _shown(item)] for key, item in value.items()]
        case enum.Enum():
            return [type(value).__name__, value.name]
    try:
        return pack(value)
    except Unrecordable:
        return [type(value).__name__]


def account_text(account: bytes) -> str:
    """`SendDatagram, 250 bytes, 1f0a…`: all that a recording knows of an effect."""
    kind, length, digest = _account.unpack(account)
    name = _EFFECTS[kind].__name__ if kind < len(_EFFECTS) else f"effect {kind}"
    return f"{name}, {length} bytes, {digest.hex()}"


def effect_text(effect: Effect) -> str:
    """The same with what a replay knows beside."""
    match effect:
        case SendDatagram(to, data):
            more = f"to {to}: {data.hex()}"
        case Result(id, Failed(code, message)):
            more = f"of command {id}: {code}, {message}"
        case Report(event):
            more = repr(event)
        case _:
            more = repr(effect)
    return f"{account_text(_account_of(effect))} ({more})"


def input_text(tag: int, args: Sequence[Any]) -> str:
    """`datagram of 250 bytes from 10.77.0.2:4433`, `command put`."""
    match tag, args:
        case Tag.DATAGRAM, [bytes(ip), int(port), int(zone), bytes(data)]:
            return f"datagram of {len(data)} bytes from {Address(ip, port, zone)}"
        case Tag.COMMAND, [int(id), str(name), *_]:
            return f"command {id}, {name}"
        case Tag.STREAM, [int(id), int(what), *_]:
            return f"stream {id}, {('opened', 'data', 'sent', 'closed')[what]}"
        case ((Tag.CANCEL | Tag.DONE), [int(id), *_]):
            return f"{Tag(tag).name.lower()} {id}"
    return Tag(tag).name.lower()
