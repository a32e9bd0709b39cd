"""A codec that remembers what it wrote: a datagram that nobody changed is neither decoded nor verified again.

Found by the identity of the bytes object. Whatever was cut, mended, copied or written by another hand is another
object, and goes the whole way; so does what the memo has forgotten. Bytes, lengths and decisions are those of
the `fast` rung.
"""

from __future__ import annotations

from typing import Any, Final

from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Network
from overlay.wire.codec import Codec
from overlay.wire.envelope import (
    REQUEST_ID_BYTES,
    TO_BYTES,
    TOKEN_BYTES,
    Envelope,
    check_envelope,
    encode_envelope,
    peek_envelope,
)
from overlay.wire.registry import KIND_OF_NUMBER
from simulations.fake_keys import FakeKeyPair

#: Datagrams remembered, in two generations of half as many: what is under way in a swarm of 10,000 that joins.
MOST: Final = 32_768
_PLAIN: Final = frozenset((bytes, int, str, type(None)))
#: The longest body of ours has 5 items; a longer one is read for real.
_MOST_ITEMS: Final = 16

_Kept = dict[int, tuple[bytes, Network, Envelope]]


def remembering() -> Codec:
    """A codec for all peers of one swarm, whose signatures are those of FakeKeyPair."""
    memo = _Memo()
    return Codec(memo.encode, memo.peek, memo.check)


class _Memo:
    """The bytes object is kept with what it says, else its id could be given to another."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: _Kept = {}
        self._old: _Kept = {}

    def encode(
        self, signer: Signer, network: Network, kind: int, request_id: bytes, stamp: int, to: bytes | None,
        token: bytes | None, body: list[Any],
    ) -> bytes:  # fmt: skip
        data = encode_envelope(signer, network, kind, request_id, stamp, to, token, body)
        # Of an honest hand and in a form that decoding gives back; a forger's own signer is not trusted.
        plain = _read_back(body) if type(signer) is FakeKeyPair else None
        if (
            plain is not None
            and 0 <= kind <= 0xFFFF
            and len(request_id) == REQUEST_ID_BYTES
            and (to is None or len(to) == TO_BYTES)
            and (token is None or len(token) == TOKEN_BYTES)
        ):
            envelope = Envelope(signer.key, KIND_OF_NUMBER.get(kind), request_id, stamp, to, token, plain)
            self._new[id(data)] = (data, network, envelope)
            if len(self._new) >= MOST // 2:
                self._old, self._new = self._new, {}
        return data

    def peek(self, data: bytes) -> Envelope:
        name = id(data)
        kept = self._new.get(name) or self._old.get(name)
        return kept[2] if kept is not None else peek_envelope(data)

    def check(self, data: bytes, network: Network, verify: Verifier) -> None:
        """It is read once as a rule: forgotten from now on."""
        name = id(data)
        kept = self._new.pop(name, None) or self._old.pop(name, None)
        if kept is None or kept[1] is not network:
            check_envelope(data, network, verify)


def _read_back(body: list[Any]) -> list[Any] | None:
    """The body as its decoder would give it, if that is plain to see: no lists within."""
    if len(body) > _MOST_ITEMS:
        return None
    plain: list[Any] = []
    for item in body:
        if type(item) in _PLAIN:
            plain.append(item)
        elif isinstance(item, int) and type(item) is not bool:
            plain.append(int(item))
        else:
            return None
    return plain
