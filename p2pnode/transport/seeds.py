"""Where to enter a network and where to listen: what `--join` and `--listen` take, and how names become addresses."""

from __future__ import annotations

import logging
import shlex
import socket
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from overlay.errors import LocalError
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of, parse_id
from overlay.runtime.address import Address, address_of, parse_address
from overlay.wire.ticket import PREFIX, Ticket, parse_ticket
from p2pnode.config import is_port
from p2pnode.transport.binding import CannotListen, PortTaken
from p2pnode.transport.sockets import Sockets, open_sockets

log = logging.getLogger(__name__)

#: Addresses of one name that are tried.
MAX_RESOLVED = 8


@attrs.frozen(slots=True)
class Seed:
    """A peer to ask first: at addresses (of a ticket), or at a host that is still to be resolved."""

    text: str
    #: Text form; None if anybody who answers there will do.
    id: str | None
    addresses: tuple[Address, ...] = ()
    host: str = ""
    port: int = 0

    async def resolve(self) -> tuple[Address, ...]:
        """OSError if the name is not known (now)."""
        if self.addresses:
            return self.addresses
        return await resolve(self.host, self.port)


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """Addresses of a name or of an address in text, at most MAX_RESOLVED. OSError if there is none."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    addresses: dict[Address, None] = {}
    for family, _, _, _, sockaddr in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            where: tuple[Any, ...] = sockaddr  # (host, port) or (host, port, flow, zone)
            packed = socket.inet_pton(family, where[0].partition("%")[0])
            addresses[address_of(packed, port, zone=where[3] if len(where) == 4 else 0)] = None
    return tuple(addresses)[:MAX_RESOLVED]


def parse_seed(text: str, network: Network) -> Seed:
    """A ticket, HOST:PORT or ID@HOST:PORT. LocalError if it is none of them, or a ticket of another network."""
    if text.lower().startswith(PREFIX):
        return _of_ticket(text, network)
    id_text, at, place = text.rpartition("@")
    try:
        seed = parse_place(place)
    except LocalError:
        raise LocalError(f"cannot join {text!r}: expected a ticket, HOST:PORT or ID@HOST:PORT") from None
    return attrs.evolve(seed, text=text, id=format_id(parse_id(id_text)) if at else None)


def parse_place(text: str) -> Seed:
    """HOST:PORT or [IPV6]:PORT. LocalError if it is neither; whether the name is known shows when it is resolved."""
    host, colon, port_text = text.rpartition(":")
    bare_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or not colon or bare_v6 or "@" in host or not is_port(port_text) or not int(port_text):
        raise LocalError(f"not an address: {text!r} (expected HOST:PORT, 192.0.2.7:4433 or [2001:db8::1]:4433)")
    try:
        return Seed(text, None, (parse_address(text),))
    except LocalError:
        return Seed(text, None, (), host.removeprefix("[").removesuffix("]"), int(port_text))


def _of_ticket(text: str, network: Network) -> Seed:
    ticket = parse_ticket(text)
    if not ticket.fits(network):
        raise WrongNetwork(ticket, network)
    if not ticket.addresses:
        raise LocalError("the ticket names no address: the node that made it was reachable nowhere")
    return Seed(text, format_id(node_id_of(ticket.key)), ticket.addresses)


class WrongNetwork(LocalError):
    """The ticket is for another network."""

    def __init__(self, ticket: Ticket, network: Network) -> None:
        super().__init__("the ticket is for another network")
        options = f"--network {shlex.quote(ticket.network)} --puzzle-bits {ticket.puzzle_bits}"
        options += " --network-key FILE" if ticket.private else ""
        self.facts = {
            "of the ticket": _named(ticket.network, ticket.puzzle_bits, ticket.private),
            "of this node": _named(network.name, network.puzzle_bits, network.private),
            "join the other": f"p2pnode run {options}",
        }


def _named(name: str, bits: int, private: bool) -> str:
    return f"{name!r}, {'private' if private else 'public'}, {bits} puzzle bits"


async def listen_at(texts: Sequence[str], *, any_port: bool) -> Sockets:
    """Listen at HOST:PORT, one a family. `any_port`: if nobody asked for this very port, another will do.

    CannotListen says why not; PortTaken if `any_port` is false and somebody else listens there.
    """
    addresses = [await _listen_address(text) for text in texts]
    try:
        return open_sockets(addresses)
    except PortTaken as taken:
        if not any_port:
            raise
        log.warning("%s is taken by another program; taking another port", taken.facts.get("address", "the port"))
        return open_sockets([attrs.evolve(address, port=0) for address in addresses])


async def _listen_address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    try:
        return (await resolve(host.removeprefix("[").removesuffix("]"), int(port)))[0]
    except (OSError, IndexError) as error:
        facts = {"name": host, "reason": str(error), "everywhere": "p2pnode run"}
        raise CannotListen("the name to listen at is not known", facts=facts) from None
