"""Proof of work. A difficulty is the number of hashes that a block costs on average, and the work of the block."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from typing import Final

_sha256 = hashlib.sha256

HASHES: Final = 1 << 256
_SALT = b"p2pnode/pow/1"


class Pow(enum.IntEnum):
    #: Twice SHA-256: for tests and swarms, where work should cost nothing.
    SHA256D = 0
    #: RFC 7914 with N=256, r=8, p=1: 256 KiB, about 0.4 ms, at the speed of C, and other threads run meanwhile.
    SCRYPT = 1


def sha256d(header: bytes) -> bytes:
    return _sha256(_sha256(header).digest()).digest()


def scrypt(header: bytes) -> bytes:
    return hashlib.scrypt(header, salt=_SALT, n=256, r=8, p=1, dklen=32)


#: Bytes of a header -> 32 bytes that must be small.
POW: Final[dict[Pow, Callable[[bytes], bytes]]] = {Pow.SHA256D: sha256d, Pow.SCRYPT: scrypt}


def is_worth(powhash: bytes, difficulty: int) -> bool:
    """Whether one of `difficulty` hashes is as small as this one, on average."""
    return int.from_bytes(powhash, "big") * difficulty < HASHES


def search(prefix: bytes, difficulty: int, pow: Pow, *, start: int, tries: int) -> bytes | None:
    """The header that begins with `prefix` and has the first good nonce of `tries` from `start` on, None if none is.

    `prefix`: all bytes of a header before the eight of its nonce (`header.prefix_of`). A pure function for a worker."""
    powhash = POW[pow]
    target = (HASHES - 1) // difficulty
    for nonce in range(start, start + tries):
        raw = prefix + (nonce & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
        if int.from_bytes(powhash(raw), "big") <= target:
            return raw
    return None
