"""Bytes of keys and signatures (RFC 8032): apart from keys.py, whose libraries take 20 ms to import, as commands start
that only read."""

from __future__ import annotations

KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64
