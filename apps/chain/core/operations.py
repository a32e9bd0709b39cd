"""What a transaction does: pay, anchor a digest, hold a name, record evidence. Rules X4, X5 (amounts) and X10."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from apps.chain.core.limits import (
    MAX_EVIDENCE_BYTES,
    MAX_MEMO_BYTES,
    MAX_NAME_BYTES,
    MAX_NUMBER,
    MAX_TAG_BYTES,
    MAX_VALUE_BYTES,
    MIN_NAME_BYTES,
)
from apps.chain.core.rules import Invalid, Rule

_KEY_BYTES = 32
DIGEST_BYTES = 32
_NAME: Final = re.compile(rb"[a-z0-9-]+")


def is_name(name: bytes) -> bool:
    """Whether somebody can claim it."""
    return MIN_NAME_BYTES <= len(name) <= MAX_NAME_BYTES and _NAME.fullmatch(name) is not None



@attrs.frozen(slots=True)
class Pay:
    #: Public key, 32 bytes.
    to: bytes
    #: Units.
    amount: int
    memo: bytes = attrs.field(default=b"", kw_only=True)


@attrs.frozen(slots=True)
class Anchor:
    """These 32 bytes existed when the block was made."""

    digest: bytes
    tag: bytes = attrs.field(default=b"", kw_only=True)


@attrs.frozen(slots=True)
class SetName:
    """Claims, renews or changes a name; without a value its owner gives it back."""

    name: bytes
    value: bytes


@attrs.frozen(slots=True)
class Evidence:
    """A proof that somebody broke the rules of the overlay (overlay.trust), to be recorded once."""

    evidence: bytes


Operation = Pay | Anchor | SetName | Evidence


def encode_operation(operation: Operation) -> list[int | bytes]:
    match operation:
        case Pay(to, amount, memo=memo):
            return [0, to, amount, memo]
        case Anchor(digest, tag=tag):
            return [1, digest, tag]
        case SetName(name, value):
            return [2, name, value]
        case Evidence(evidence):
            return [3, evidence]


def decode_operation(item: Any) -> Operation:
    """The operation of an item of a transaction's list; Invalid X4, X5 or X10."""
    # true and false are equal to 1 and 0 in Python, and no numbers in CBOR.
    if type(item) is not list or any(type(value) is bool for value in item):
        raise Invalid(Rule.X4, "an operation is a list of numbers and bytes")
    match item:
        case [0, bytes(to), int(amount), bytes(memo)]:
            if len(to) != _KEY_BYTES or len(memo) > MAX_MEMO_BYTES:
                raise Invalid(Rule.X4, f"a payment to {len(to)} bytes, with a memo of {len(memo)}")
            if not 1 <= amount < MAX_NUMBER:
                raise Invalid(Rule.X5, f"a payment of {amount} units")
            return Pay(to, amount, memo=memo)
        case [1, bytes(digest), bytes(tag)]:
            if len(digest) != DIGEST_BYTES or len(tag) > MAX_TAG_BYTES:
                raise Invalid(Rule.X4, f"an anchor of {len(digest)} bytes, with a tag of {len(tag)}")
            return Anchor(digest, tag=tag)
        case [2, bytes(name), bytes(value)]:
            if not MIN_NAME_BYTES <= len(name) <= MAX_NAME_BYTES or len(value) > MAX_VALUE_BYTES:
                raise Invalid(Rule.X4, f"a name of {len(name)} bytes, with a value of {len(value)}")
            if _NAME.fullmatch(name) is None:
                raise Invalid(Rule.X10, f"a name with other characters: {name!r}")
            return SetName(name, value)
        case [3, bytes(evidence)]:
            if not 1 <= len(evidence) <= MAX_EVIDENCE_BYTES:
                raise Invalid(Rule.X4, f"evidence of {len(evidence)} bytes")
            return Evidence(evidence)
    raise Invalid(Rule.X4, "an operation of no known kind, or with the wrong items")
