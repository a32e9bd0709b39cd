"""Join tickets: one line that tells a new peer which network, and whom to ask first.

    p2pnode1:LETTERS        base32 (overlay.identity.base32) of dCBOR, then four check letters
    [name, puzzle bits, private, key, [packed address, ...]]

A ticket holds no secret: of a private network it says only that a key is needed. It is all
letters and digits whatever the case, so a QR code may use its compact alphanumeric mode.
"""

from __future__ import annotations

import attrs

from overlay.errors import BadMessage, LocalError
from overlay.identity import base32
from overlay.identity.keys import KEY_BYTES, is_sound_key
from overlay.identity.network import Network
from overlay.limits import MAX_NETWORK_NAME, MAX_PUZZLE_BITS, MAX_TICKET_ADDRESSES, MAX_TICKET_CHARS
from overlay.runtime.address import Address, unpack_address
from overlay.wire import cbor

PREFIX = "p2pnode1:"
_CHECK_LABEL = b"p2pnode/check/ticket/1"
_PACKED = (6, 18)


@attrs.frozen(slots=True)
class Ticket:
    network: str
    puzzle_bits: int
    #: The network has a key that the ticket does not tell.
    private: bool
    #: Public key of the peer that made the ticket.
    key: bytes
    addresses: tuple[Address, ...]

    def fits(self, network: Network) -> bool:
        """Whether a peer of `network` can use it; parameters and keys show only when they talk."""
        return (self.network, self.puzzle_bits, self.private) == (network.name, network.puzzle_bits, network.private)


def make_ticket(network: Network, key: bytes, addresses: tuple[Address, ...]) -> str:
    """One line of at most 800 characters; of more than eight addresses the first eight count."""
    packed = [address.packed for address in addresses[:MAX_TICKET_ADDRESSES]]
    data = cbor.encode([network.name, network.puzzle_bits, network.private, key, packed])
    return PREFIX + base32.encode(data) + base32.check_of(_CHECK_LABEL, data)


def parse_ticket(text: str) -> Ticket:
    """The inverse of `make_ticket`; LocalError says what is wrong with the line."""
    line = text.strip()
    if not line.lower().startswith(PREFIX):
        raise LocalError(f"not a ticket: it begins with {PREFIX!r} (make one on a running node: p2pnode ticket)")
    if len(line) > MAX_TICKET_CHARS:
        raise LocalError(f"not a ticket: {len(line)} characters, at most {MAX_TICKET_CHARS}")
    letters = base32.normalise(line[len(PREFIX) :])
    bad = base32.first_bad(letters)
    if bad is not None:
        raise LocalError(f"not a ticket: {bad!r} is not one of its letters")
    try:
        data = base32.decode(letters[: -base32.CHECK_CHARS])
    except LocalError:
        data = b""
    if base32.check_of(_CHECK_LABEL, data) != letters[-base32.CHECK_CHARS :]:
        raise LocalError("not a ticket: its check letters do not fit, so it is mistyped or cut off")
    try:
        return _ticket_of(cbor.decode(data))
    except BadMessage as error:
        raise LocalError(f"a ticket that this version cannot read: {error.reason}") from None


def _ticket_of(items: object) -> Ticket:
    match items:
        case [str(name), int(bits), bool(private), bytes(key), list(packed)]:
            pass
        case _:
            raise BadMessage("it does not hold name, bits, private, key and addresses")
    if not 1 <= len(name) <= MAX_NETWORK_NAME or isinstance(bits, bool) or not 0 <= bits <= MAX_PUZZLE_BITS:
        raise BadMessage("its network cannot exist")
    if len(key) != KEY_BYTES or not is_sound_key(key):
        raise BadMessage("its key is not a key")
    if len(packed) > MAX_TICKET_ADDRESSES or not all(type(item) is bytes and len(item) in _PACKED for item in packed):
        raise BadMessage("its addresses are not addresses")
    return Ticket(name, bits, private, key, tuple(unpack_address(item) for item in packed))
