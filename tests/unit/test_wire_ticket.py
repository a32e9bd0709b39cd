"""Join tickets: one line that a person copies."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError
from overlay.identity import base32
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.limits import MAX_TICKET_CHARS
from overlay.runtime.address import Address, parse_address
from overlay.wire import cbor
from overlay.wire.ticket import PREFIX, Ticket, make_ticket, parse_ticket

KEY = KeyPair.from_seed(bytes(range(32))).key
ADDRESSES = (parse_address("192.0.2.7:4433"), parse_address("[2001:db8::7]:4433"))
HOME = Network("home", puzzle_bits=8, psk=bytes(range(32)))
TEXT = make_ticket(HOME, KEY, ADDRESSES)


def written(items: object) -> str:
    data = cbor.encode(items)
    return PREFIX + base32.encode(data) + base32.check_of(b"p2pnode/check/ticket/1", data)


def test_a_ticket_is_read_back() -> None:
    ticket = parse_ticket(TEXT)

    assert ticket == Ticket("home", 8, True, KEY, ADDRESSES)
    assert parse_ticket(f" {TEXT.upper()}\n") == ticket
    assert ticket.fits(HOME)
    assert not ticket.fits(Network("home", puzzle_bits=8))
    assert not ticket.fits(Network("home", puzzle_bits=9, psk=bytes(32)))


def test_a_ticket_does_not_tell_the_key_of_the_network() -> None:
    assert HOME.psk is not None
    assert HOME.psk not in base32.decode(TEXT[len(PREFIX) : -4])


def test_the_longest_ticket_is_within_the_limit() -> None:
    many = tuple(Address(bytes([n]) * 16, 65535) for n in range(1, 12))
    text = make_ticket(Network("\U0001f600" * 64, puzzle_bits=32), KEY, many)

    assert len(text) <= MAX_TICKET_CHARS
    assert parse_ticket(text).addresses == many[:8]


def test_a_mistyped_or_cut_ticket_is_noticed() -> None:
    for wrong in (TEXT[:-1], TEXT[:20], TEXT[:-1] + ("a" if TEXT[-1] != "a" else "b"), TEXT + "0", PREFIX):
        with pytest.raises(LocalError, match="mistyped or cut off"):
            parse_ticket(wrong)


def test_what_is_no_ticket() -> None:
    with pytest.raises(LocalError, match="begins with 'p2pnode1:'"):
        parse_ticket("192.0.2.7:4433")
    with pytest.raises(LocalError, match="'u' is not one of its letters"):
        parse_ticket(PREFIX + "u")
    with pytest.raises(LocalError, match="at most 800"):
        parse_ticket(PREFIX + "0" * 800)


@pytest.mark.parametrize(
    "items",
    [
        [],
        ["home", 8, True, KEY],
        ["", 8, True, KEY, []],
        ["x" * 65, 8, True, KEY, []],
        ["home", 33, True, KEY, []],
        ["home", True, True, KEY, []],
        ["home", 8, 1, KEY, []],
        ["home", 8, True, KEY[1:], []],
        ["home", 8, True, bytes(32), []],
        ["home", 8, True, KEY, [bytes(7)]],
        ["home", 8, True, KEY, [bytes(6)] * 9],
        ["home", 8, True, KEY, ["192.0.2.7:4433"]],
        ["home", 1.5, True, KEY, []][:1],
    ],
)
def test_a_ticket_that_holds_something_else_is_refused(items: object) -> None:
    with pytest.raises(LocalError, match="cannot read"):
        parse_ticket(written(items))
