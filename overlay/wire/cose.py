"""COSE_Sign1 (RFC 9052 4.2) in the one form of this protocol, by fixed offsets.

    d2 84                          tag 18, array of four
    58 26 a2 01 32 04 58 20 KEY    protected: {1 (alg): -19 (Ed25519, RFC 9864), 4 (kid): public key}
    a0                             unprotected: empty
    PAYLOAD                        byte string, shortest head, at most 65,535 bytes
    58 40 SIGNATURE

Any COSE library can read and check it; no other form of COSE is read here, so that there is one
encoding of each message and nothing to negotiate. `data` may be hostile until `check1` has passed.
"""

from __future__ import annotations

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Signer, Verifier
from overlay.wire.cbor import bstr

#: Bytes around the byte string of the payload, head included.
OVERHEAD = 109
MAX_PAYLOAD = 0xFFFF

_FRONT = bytes.fromhex("d284 5826 a20132 045820")
_KEY_END = len(_FRONT) + 32
_UNPROTECTED = 0xA0
_PAYLOAD_AT = _KEY_END + 1
_SIGNATURE_HEAD = b"\x58\x40"
_TAIL = 66
#: ["Signature1", ...: the head of Sig_structure (RFC 9052 4.4).
_SIG_STRUCTURE = b"\x84\x6aSignature1"
#: ... and what of the protected header is before the key.
_SIGNED_FRONT = _SIG_STRUCTURE + _FRONT[2:]


def size_of(payload: int) -> int:
    """Bytes of the signed message around a payload of so many bytes."""
    return OVERHEAD + (1 if payload < 24 else 2 if payload < 0x100 else 3) + payload


def sign1(signer: Signer, aad: bytes, payload: bytes) -> bytes:
    """The signed message; `aad` is the external_aad, which is signed and not sent."""
    if len(payload) > MAX_PAYLOAD:
        raise LocalError(f"a payload of {len(payload)} bytes is too large to sign (at most {MAX_PAYLOAD})")
    key, body = signer.key, bstr(payload)
    signature = signer.sign(b"".join((_SIGNED_FRONT, key, bstr(aad), body)))
    return b"".join((_FRONT, key, b"\xa0", body, _SIGNATURE_HEAD, signature))


def parse1(data: bytes) -> tuple[bytes, bytes]:
    """(key, payload) of a message in the one valid form; the signature is NOT checked."""
    size = len(data)
    if size <= OVERHEAD or not data.startswith(_FRONT) or data[_KEY_END] != _UNPROTECTED:
        raise BadMessage("not a COSE_Sign1 of this protocol")
    n = data[_PAYLOAD_AT] - 0x40
    start = _PAYLOAD_AT + 1
    if n == 24:
        n = data[start]
        start += 1
        shortest = n >= 24
    elif n == 25:
        n = data[start] << 8 | data[start + 1]
        start += 2
        shortest = n >= 0x100
    else:
        shortest = 0 <= n < 24
    end = start + n
    if not shortest or end + _TAIL != size or data[end : end + 2] != _SIGNATURE_HEAD:
        raise BadMessage("not a COSE_Sign1 of this protocol")
    return data[len(_FRONT) : _KEY_END], data[start:end]


def check1(data: bytes, aad: bytes, verify: Verifier) -> None:
    """BadMessage unless the signature of a message that `parse1` accepts is valid."""
    signed = b"".join((_SIG_STRUCTURE, data[2:_KEY_END], bstr(aad), data[_PAYLOAD_AT:-_TAIL]))
    if not verify(data[len(_FRONT) : _KEY_END], signed, data[-64:]):
        raise BadMessage("the signature is not valid")
