"""What --join and --listen take."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from overlay.runtime.address import parse_address
from overlay.wire.ticket import make_ticket
from p2pnode.transport.binding import CannotListen, PortTaken
from p2pnode.transport.seeds import Seed, WrongNetwork, listen_at, parse_seed

NETWORK = Network("office", puzzle_bits=4)
PAIR = KeyPair.from_seed(bytes(32))
ID = format_id(node_id_of(PAIR.key))


def test_a_ticket_names_the_peer_and_its_addresses() -> None:
    addresses = (parse_address("192.0.2.7:4433"), parse_address("[2001:db8::1]:4433"))
    ticket = make_ticket(NETWORK, PAIR.key, addresses)
    assert parse_seed(ticket, NETWORK) == Seed(ticket, ID, addresses)


@pytest.mark.parametrize(
    ("other", "option"),
    [
        (Network("home", puzzle_bits=4), "--network home"),
        (Network("office", puzzle_bits=5), "--puzzle-bits 5"),
        (Network("office", puzzle_bits=4, psk=bytes(32)), "--network-key FILE"),
    ],
)
def test_a_ticket_of_another_network_says_how_to_join_that(other: Network, option: str) -> None:
    with pytest.raises(WrongNetwork) as raised:
        parse_seed(make_ticket(other, PAIR.key, (parse_address("192.0.2.7:4433"),)), NETWORK)
    assert option in raised.value.facts["join the other"]


def test_a_ticket_without_addresses_is_refused() -> None:
    with pytest.raises(LocalError, match="names no address"):
        parse_seed(make_ticket(NETWORK, PAIR.key, ()), NETWORK)


@pytest.mark.parametrize("place", ["192.0.2.7:4433", "[2001:db8::1]:4433"])
def test_an_address_with_and_without_an_id(place: str) -> None:
    assert parse_seed(place, NETWORK) == Seed(place, None, (parse_address(place),))
    assert parse_seed(f"{ID}@{place}", NETWORK).id == ID


def test_a_name_waits_for_its_resolution() -> None:
    assert parse_seed("host.example:4433", NETWORK) == Seed("host.example:4433", None, (), "host.example", 4433)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":4433", "host:0", "host:65536", "host:x", "2001:db8::1:4433", "@"]
)
def test_what_cannot_be_joined_is_said(text: str) -> None:
    with pytest.raises(LocalError, match="expected a ticket, HOST:PORT or ID@HOST:PORT"):
        parse_seed(text, NETWORK)


def test_a_mistyped_id_is_noticed() -> None:
    with pytest.raises(LocalError, match="not an id"):
        parse_seed(f"{ID[:-1]}@192.0.2.7:4433", NETWORK)


async def test_a_name_of_this_machine_resolves() -> None:
    seed = parse_seed("localhost:4433", NETWORK)
    assert parse_address("127.0.0.1:4433") in await seed.resolve()


async def test_a_port_that_nobody_asked_for_may_be_another() -> None:
    with await listen_at(["127.0.0.1:0"], any_port=False) as first:
        taken = [str(first.listen[0])]
        with await listen_at(taken, any_port=True) as second:
            assert second.listen[0].port not in (0, first.listen[0].port)
        with pytest.raises(PortTaken):
            await listen_at(taken, any_port=False)


async def test_a_name_to_listen_at_that_is_not_known() -> None:
    with pytest.raises(CannotListen, match="not known"):
        await listen_at(["host.invalid:4433"], any_port=True)
