"""Addresses as people type them."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError
from overlay.runtime.address import Address, parse_address

LINK_LOCAL = bytes.fromhex("fe80" + "00" * 13 + "01")


def test_a_zone_has_32_bits() -> None:
    assert parse_address("[fe80::1%4294967295]:1") == Address(LINK_LOCAL, 1, 4294967295)
    for zone in ("4294967296", "9" * 30, "9" * 5000, "-1", "eth0"):
        with pytest.raises(LocalError, match="not an address"):
            parse_address(f"[fe80::1%{zone}]:1")
    with pytest.raises(LocalError):
        Address(LINK_LOCAL, 1, 1 << 32)
