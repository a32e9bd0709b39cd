"""Who is convicted by evidence: the port behind rule X9. Every node of a chain must answer alike, now and for ever."""

from __future__ import annotations

from collections.abc import Callable

#: Evidence -> public key of who is convicted, 32 bytes; None: it proves nothing. Never raises, whatever the bytes.
Judge = Callable[[bytes], bytes | None]


def nobody(_evidence: bytes) -> bytes | None:
    """Of a chain on which no sort of evidence counts."""
    return None
