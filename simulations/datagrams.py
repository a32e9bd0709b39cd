"""What an onlooker sees of a datagram that is not sealed, at fixed offsets (overlay/wire/cose.py)."""

from __future__ import annotations

from overlay.wire.registry import Kind

#: Kinds that are answered; the others are answers, goodbyes and gossip.
REQUESTS = frozenset(int(kind) for kind in Kind if kind.replies)

#: Tag, array, protected header with the key, unprotected header.
_PAYLOAD_AT = 43
#: Bytes of the head of the payload, by its first byte.
_HEAD = {0x58: 2, 0x59: 3}
#: From 24 on a number has a byte of its own after this one (RFC 8949, section 3).
_UINT8 = 0x18


def kind_of(data: bytes) -> int:
    """The number of its kind; -1 if these bytes cannot be an unsealed datagram of a peer."""
    if len(data) <= _PAYLOAD_AT + 5:
        return -1
    at = _PAYLOAD_AT + _HEAD.get(data[_PAYLOAD_AT], 1)
    if data[at] != 0x86:
        return -1
    kind = data[at + 1]
    if kind == _UINT8:
        return data[at + 2]
    return kind if kind < _UINT8 else -1
