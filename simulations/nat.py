"""Translation of addresses at the edge of a site, in the terms of RFC 4787.

All boxes: the mapping is kept for two minutes after the last datagram that went out (REQ-5, refreshed by outbound
traffic only, REQ-6), one external address, no port preserved (section 4.2.1), no hairpinning (against REQ-9, as
many boxes do).
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND

#: "MUST NOT expire in less than two minutes" (RFC 4787 REQ-5); many keep it no longer.
EXPIRE_NS: Final = 120 * SECOND
#: Ports from here on are given out (REQ-3: 1024 to 65535 for internal ports of that range).
_FIRST_PORT: Final = 1024
_PORTS: Final = 65536 - _FIRST_PORT
#: Entries are looked through for old ones when they are twice as many as after the last time, from here on.
_FEW: Final = 64


class Nat(enum.Enum):
    """Names of RFC 3489 (section 5), which people know, for pairs of RFC 4787's behaviours (sections 4.1 and 5)."""

    #: Endpoint-independent mapping and filtering: once it sent to anybody, everybody gets in.
    FULL_CONE = "full_cone"
    #: Address-dependent filtering: whoever has an address that it sent to.
    RESTRICTED = "restricted"
    #: Address and port-dependent filtering.
    PORT_RESTRICTED = "port_restricted"
    #: Address and port-dependent mapping, too: another external port for each destination.
    SYMMETRIC = "symmetric"


@attrs.define(slots=True, eq=False)
class _Mapping:
    node: int
    inside: Address
    outside: Address
    last_ns: int
    #: Who may send in, by what the filter looks at -> when it was last sent to.
    sent_ns: dict[object, int] = attrs.Factory(dict)
    look_at: int = _FEW


@attrs.define(slots=True, eq=False)
class Gateway:
    """One box and its mappings."""

    ip: bytes
    nat: Nat
    expire_ns: int = EXPIRE_NS
    _mappings: dict[object, _Mapping] = attrs.Factory(dict)
    _by_port: dict[int, _Mapping] = attrs.Factory(dict)
    _next_port: int = _FIRST_PORT
    #: Streams that went out.
    _dialled: int = 0
    _look_at: int = _FEW

    def outbound(self, node: int, inside: Address, to: Address, now_ns: int) -> Address | None:
        """The external address from which a datagram of `inside` to `to` goes out; None: no port is free."""
        key = (inside, to) if self.nat is Nat.SYMMETRIC else inside
        mapping = self._mappings.get(key)
        if mapping is None or mapping.node != node or now_ns - mapping.last_ns >= self.expire_ns:
            if len(self._mappings) >= self._look_at:
                self._forget(now_ns)
            if mapping is not None and self._mappings.pop(key, None) is mapping:
                del self._by_port[mapping.outside.port]
            if len(self._by_port) >= _PORTS:
                return None
            while self._next_port in self._by_port:
                self._next_port = _FIRST_PORT + (self._next_port + 1 - _FIRST_PORT) % _PORTS
            mapping = _Mapping(node, inside, Address(self.ip, self._next_port), now_ns)
            self._next_port = _FIRST_PORT + (self._next_port + 1 - _FIRST_PORT) % _PORTS
            self._mappings[key] = self._by_port[mapping.outside.port] = mapping
        mapping.last_ns = now_ns
        if self.nat is not Nat.FULL_CONE:
            mapping.sent_ns[self._seen(to)] = now_ns
            if len(mapping.sent_ns) > mapping.look_at:
                fresh = {seen: at for seen, at in mapping.sent_ns.items() if now_ns - at < self.expire_ns}
                mapping.sent_ns, mapping.look_at = fresh, max(_FEW, 2 * len(fresh))
        return mapping.outside

    def inbound(self, port: int, source: Address, now_ns: int) -> int | None:
        """The node that gets a datagram of `source` to this external port, if any does."""
        mapping = self._by_port.get(port)
        if mapping is None or now_ns - mapping.last_ns >= self.expire_ns:
            return None
        if self.nat is Nat.FULL_CONE:
            return mapping.node
        sent_ns = mapping.sent_ns.get(self._seen(source))
        return mapping.node if sent_ns is not None and now_ns - sent_ns < self.expire_ns else None

    def dialled(self) -> Address:
        """The external address of one more stream that goes out: TCP has ports of its own."""
        port = _FIRST_PORT + self._dialled % _PORTS
        self._dialled += 1
        return Address(self.ip, port)

    def __len__(self) -> int:
        """Mappings, those included that expired and were not looked at since."""
        return len(self._mappings)

    def _seen(self, other: Address) -> object:
        """What the filter looks at of an address outside."""
        return other.ip if self.nat is Nat.RESTRICTED else other

    def _forget(self, now_ns: int) -> None:
        for key, mapping in list(self._mappings.items()):
            if now_ns - mapping.last_ns >= self.expire_ns:
                del self._mappings[key], self._by_port[mapping.outside.port]
        self._look_at = max(_FEW, 2 * len(self._mappings))
