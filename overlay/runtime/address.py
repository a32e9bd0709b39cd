"""Where a datagram comes from or goes to: an IP address, a port, an IPv6 zone."""

from __future__ import annotations

import enum
import ipaddress

import attrs

from overlay.errors import LocalError

_V4_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 2.5.5.2
_MAX_ZONE = 0xFFFFFFFF  # sin6_scope_id is a uint32_t (RFC 3493 3.3); a socket raises OverflowError beyond
_CGNAT = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598: behaves as private


class Scope(enum.IntEnum):
    """How far an address can be reached; a larger number reaches farther."""

    #: Cannot be a peer: multicast, broadcast, unspecified, reserved.
    NONE = 0
    #: This machine only.
    LOOPBACK = 1
    #: One link (169.254/16, fe80::/10); an IPv6 address needs its zone.
    LINK = 2
    #: One site (RFC 1918, RFC 4193, RFC 6598).
    PRIVATE = 3
    GLOBAL = 4


#: Asking an Enum class for a member costs a quarter of a microsecond on Python 3.11, a name of a module nothing.
NONE, LOOPBACK, LINK, PRIVATE, GLOBAL = Scope


def _scope_of(ip: bytes) -> Scope:
    address = ipaddress.ip_address(ip)
    if address.is_multicast or address.is_unspecified or ip == b"\xff\xff\xff\xff":
        return Scope.NONE
    if address.is_loopback:
        return Scope.LOOPBACK
    if address.is_link_local:
        return Scope.LINK
    if address.version == 4 and (address in _CGNAT or address.is_private):
        # is_private also covers documentation and benchmark nets (192.0.2.0/24, 198.18.0.0/15):
        # nobody can be reached there globally, so they are at most a site.
        return Scope.NONE if ip[0] == 0 or ip[0] >= 240 else Scope.PRIVATE
    if address.version == 6 and address.is_private:
        return Scope.PRIVATE
    return Scope.NONE if address.is_reserved else Scope.GLOBAL


@attrs.frozen(slots=True, cache_hash=True)
class Address:
    """`ip` has 4 or 16 bytes (IPv4-mapped IPv6 is not valid here: see `of`)."""

    ip: bytes
    port: int
    #: IPv6 interface index for link-local addresses; 0 elsewhere. Never sent.
    zone: int = 0
    scope: Scope = attrs.field(init=False, eq=False, repr=False)
    #: 6 or 18 bytes, as in NODES: ip, port big-endian. The zone stays here.
    packed: bytes = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.ip) not in (4, 16) or not 0 <= self.port <= 65535 or not 0 <= self.zone <= _MAX_ZONE:
            raise LocalError(f"not an address: {len(self.ip)} bytes, port {self.port}, zone {self.zone}")
        object.__setattr__(self, "scope", _scope_of(self.ip))
        object.__setattr__(self, "packed", self.ip + self.port.to_bytes(2, "big"))

    @property
    def is_v4(self) -> bool:
        return len(self.ip) == 4

    def __str__(self) -> str:
        if self.is_v4:
            return f"{ipaddress.IPv4Address(self.ip)}:{self.port}"
        zone = f"%{self.zone}" if self.zone else ""
        return f"[{ipaddress.IPv6Address(self.ip)}{zone}]:{self.port}"


def address_of(ip: bytes, port: int, *, zone: int = 0) -> Address:
    """An address with IPv4-mapped IPv6 turned into IPv4, as a dual-stack socket reports it."""
    if len(ip) == 16 and ip.startswith(_V4_MAPPED):
        ip = ip[12:]
    return Address(ip, port, zone)


def unpack_address(packed: bytes, *, zone: int = 0) -> Address:
    """The inverse of `Address.packed`; the length (6 or 18) tells the family."""
    return address_of(packed[:-2], int.from_bytes(packed[-2:], "big"), zone=zone)


def parse_address(text: str) -> Address:
    """`192.0.2.7:4433` or `[2001:db8::1]:4433` or `[fe80::1%3]:4433`. Names are not resolved here."""
    host, colon, port_text = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host, _, zone_text = host.partition("%")
    try:
        if not colon or not port_text.isdecimal() or (zone_text and not zone_text.isdecimal()):
            raise ValueError
        return address_of(ipaddress.ip_address(host).packed, int(port_text), zone=int(zone_text or 0))
    except (ValueError, LocalError):
        raise LocalError(f"not an address: {text!r} (expected 192.0.2.7:4433 or [2001:db8::1]:4433)") from None
