"""Local service discovery (BEP 14): what clients of BitTorrent on one network tell each other, and how often.

    BT-SEARCH * HTTP/1.1 CR LF
    Host: 239.192.152.143:6771 CR LF     the group that it is sent to
    Port: 6881 CR LF                     where its sender takes connections
    Infohash: 40 hex digits CR LF        once or more
    cookie: anything CR LF               may be missing; of the sender, who knows its own by it
    CR LF CR LF

Anybody on the network can say anything in another's name: what is heard is a hint where to connect, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import attrs

from apps.files.core.limits import (
    LSD_AGAIN_S,
    LSD_EVERY_S,
    LSD_FOUND_AGAIN_S,
    LSD_FOUND_PER_MINUTE,
    MAX_LSD_BYTES,
    MAX_LSD_COOKIE,
    MAX_LSD_HASHES,
    MAX_LSD_HEADERS,
    MAX_LSD_HEARD,
    MAX_SHARES,
)
from overlay.dht.diversity import Diversity
from overlay.errors import BadMessage, LocalError
from overlay.limits import MIN_FOREIGN_PORT
from overlay.runtime.address import Address, Scope, parse_address
from overlay.runtime.ports import SECOND, Interface

GROUPS = (parse_address("239.192.152.143:6771"), parse_address("[ff15::efc0:988f]:6771"))
HASH_BYTES = 20

_FIRST = b"BT-SEARCH * HTTP/1.1"
_HEX = re.compile(rb"[0-9A-Fa-f]{40}")
_PORT = re.compile(rb"[0-9]{1,5}")
_COOKIE = re.compile(rb"[!-~]{1,%d}" % MAX_LSD_COOKIE)


@attrs.frozen(slots=True)
class Search:
    """One announce. LocalError if it can be none."""

    #: 1 to 65535.
    port: int
    #: Of 20 bytes, each once: 1 to MAX_LSD_HASHES.
    hashes: tuple[bytes, ...]
    #: Printable ASCII without blanks.
    cookie: bytes = attrs.field(default=b"", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.port <= 65_535:
            raise LocalError(f"no port: {self.port}")
        if not 1 <= len(self.hashes) <= MAX_LSD_HASHES or len(set(self.hashes)) < len(self.hashes):
            raise LocalError(f"an announce names 1 to {MAX_LSD_HASHES} hashes, each once")
        if any(len(one) != HASH_BYTES for one in self.hashes):
            raise LocalError(f"a hash has {HASH_BYTES} bytes")
        if self.cookie and not _COOKIE.fullmatch(self.cookie):
            raise LocalError(f"a cookie has at most {MAX_LSD_COOKIE} printable letters")


def encode_search(search: Search, group: Address) -> bytes:
    """At most MAX_LSD_BYTES."""
    lines = [_FIRST, b"Host: %s" % str(group).encode(), b"Port: %d" % search.port]
    lines += [b"Infohash: %s" % one.hex().encode() for one in search.hashes]
    if search.cookie:
        lines.append(b"cookie: %s" % search.cookie)
    return b"\r\n".join([*lines, b"", b"", b""])


def decode_search(data: bytes) -> Search:
    """BadMessage. Headers have any order and case, unknown ones are skipped; a hash that is named twice counts once."""
    if len(data) > MAX_LSD_BYTES:
        raise BadMessage(f"an announce has at most {MAX_LSD_BYTES} bytes, not {len(data)}")
    head, blank, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if first != _FIRST or not blank or rest.strip(b"\r\n"):
        raise BadMessage("no announce of BEP 14")
    if len(lines) > MAX_LSD_HEADERS:
        raise BadMessage(f"an announce has at most {MAX_LSD_HEADERS} headers")
    ports, hashes, cookies = list[bytes](), dict[bytes, None](), list[bytes]()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadMessage("a header without a colon")
        value = value.strip(b" \t")
        match name.strip(b" \t").lower():
            case b"port":
                ports.append(value)
            case b"infohash":
                if not _HEX.fullmatch(value):
                    raise BadMessage("an info-hash has 40 hex digits")
                hashes[bytes.fromhex(value.decode())] = None
            case b"cookie":
                cookies.append(value)
    if len(ports) != 1 or not _PORT.fullmatch(ports[0]) or len(cookies) > 1:
        raise BadMessage("an announce has one port, and one cookie at most")
    if cookies and cookies[0] and not _COOKIE.fullmatch(cookies[0]):
        raise BadMessage(f"a cookie has at most {MAX_LSD_COOKIE} printable letters")
    try:
        return Search(int(ports[0]), tuple(hashes), cookie=b"".join(cookies))
    except LocalError as error:
        raise BadMessage(str(error)) from None


# --- how often ------------------------------------------------------------------------------


@attrs.define(slots=True, eq=False)
class Timetable:
    """What is announced at one interface: one announce a minute at most, each hash every five minutes."""

    _last_ns: int | None = attrs.field(default=None, init=False)
    #: When each hash was announced last; of those that are shared no more, for as long as it matters.
    _said_ns: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def due(self, now_ns: int, shares: Iterable[bytes]) -> tuple[bytes, ...]:
        """What one announce should name now, () if nothing: who waited longest comes first, and a newcomer before all.
        The first MAX_SHARES of `shares` get their turns."""
        if self._last_ns is not None and now_ns - self._last_ns < LSD_AGAIN_S * SECOND:
            return ()
        old_ns, known = now_ns - LSD_EVERY_S * SECOND, tuple(dict.fromkeys(shares))[:MAX_SHARES]
        here = frozenset(known)
        self._said_ns = {one: ns for one, ns in self._said_ns.items() if one in here or ns > old_ns}
        due = [(self._said_ns.get(one, -1), one) for one in known if self._said_ns.get(one, old_ns) <= old_ns]
        due.sort(key=lambda said: said[0])
        return tuple(one for _, one in due[:MAX_LSD_HASHES])

    def said(self, now_ns: int, hashes: Iterable[bytes]) -> None:
        """They were announced."""
        self._last_ns = now_ns
        self._said_ns.update(dict.fromkeys(hashes, now_ns))


@attrs.define(slots=True, eq=False)
class Hearing:
    """What of all that is announced is worth a connection."""

    #: Of this node, in what it announces.
    cookie: bytes
    _here: Diversity = attrs.field(factory=Diversity, init=False)
    #: Who was found for what, and when; the oldest first.
    _found_ns: dict[tuple[bytes, Address], int] = attrs.field(factory=dict, init=False)
    #: Found since the minute began.
    _minute_ns: int = attrs.field(default=-60 * SECOND, init=False)
    _in_minute: int = attrs.field(default=0, init=False)

    def attach(self, interfaces: Iterable[Interface]) -> None:
        """Whose subnets are ours now."""
        self._here.attach(interfaces)

    def is_near(self, source: Address) -> bool:
        """Of this machine, link or site, or of a subnet that this machine is in."""
        return source.scope in (Scope.LOOPBACK, Scope.LINK, Scope.PRIVATE) or (
            source.scope is Scope.GLOBAL and self._here.attached(source)
        )

    def take(
        self, now_ns: int, source: Address, search: Search, shares: Collection[bytes]
    ) -> list[tuple[bytes, Address]]:
        """Hashes of `shares`, and where somebody may have them, who was not found for them lately."""
        if search.cookie == self.cookie or search.port < MIN_FOREIGN_PORT or not self.is_near(source):
            return []
        address = Address(source.ip, search.port, source.zone)
        return [(one, address) for one in search.hashes if one in shares and self._is_new(now_ns, one, address)]

    def _is_new(self, now_ns: int, one: bytes, address: Address) -> bool:
        found_ns = self._found_ns.get((one, address))
        if found_ns is not None and now_ns - found_ns < LSD_FOUND_AGAIN_S * SECOND:
            return False
        if now_ns - self._minute_ns >= 60 * SECOND:
            self._minute_ns, self._in_minute = now_ns, 0
        if self._in_minute >= LSD_FOUND_PER_MINUTE:
            return False
        self._in_minute += 1
        self._found_ns.pop((one, address), None)
        self._found_ns[one, address] = now_ns
        if len(self._found_ns) > MAX_LSD_HEARD:
            del self._found_ns[next(iter(self._found_ns))]
        return True
