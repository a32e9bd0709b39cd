"""Who is reachable: dialled by a peer that it never contacted, or local, or among few."""

from __future__ import annotations

import pytest

from overlay.runtime.address import parse_address
from overlay.runtime.ports import Interface
from overlay.wire import messages as m
from tests.support.pair import B, Pair, Stranger, keys_of, messages, pair

GLOBAL_A, GLOBAL_B = parse_address("60.1.2.3:4433"), parse_address("61.1.2.3:4433")
VICTIM = parse_address("62.1.2.3:4433")


def on_the_internet() -> Pair:
    link = pair()
    link.addresses |= {"a": GLOBAL_A, "b": GLOBAL_B}
    for side, address in link.addresses.items():
        link.feed(side, link.peer(side).handle_network, (Interface(address.ip, 32),))  # type: ignore[attr-defined]
    return link


def crowd(link: Pair, side: str, n: int = 30) -> list[object]:
    """Fill the table of a side with peers that will not answer."""
    peer = link.peer(side)
    friends = [
        peer.endpoint.book.contact(keys_of(1000 + i).key, parse_address(f"{70 + i}.1.2.3:4433"))  # type: ignore[attr-defined]
        for i in range(n)
    ]
    for friend in friends:
        peer.table.seen(friend, link.now.mono_ns)  # type: ignore[attr-defined]
    return friends


def role(link: Pair, side: str) -> str:
    return str(link.command(side, "status")["role"])


def test_on_a_lan_and_among_few_it_is_full_at_once() -> None:
    assert role(pair().met(), "a") == "full"
    link = on_the_internet()
    link.command("a", "ping", {"peer": str(GLOBAL_B)})
    assert role(link, "a") == "full"


@pytest.mark.parametrize("contacted", [False, True])
def test_a_ping_from_whom_it_never_contacted_is_the_proof(contacted: bool) -> None:
    link = on_the_internet()
    friends = crowd(link, "a")
    assert role(link, "a") == "client"
    if contacted:  # the PING overtakes the answer to ours
        link.ask("a", "ping", {"peer": str(GLOBAL_B)})
    link.ask("b", "ping", {"peer": str(GLOBAL_A)})
    while link.wire:
        one = link.drop()
        if one.to == GLOBAL_A and isinstance(messages([one])[0], m.Ping):
            link.inject("a", GLOBAL_B, one.data)
    assert role(link, "a") == ("client" if contacted else "full")
    del friends


def test_who_says_that_it_is_a_client_leaves_the_table() -> None:
    link = on_the_internet()
    link.command("a", "ping", {"peer": str(GLOBAL_B)})
    assert len(link.a.table) == 1
    friends = crowd(link, "b")
    link.b.reach._dialled_ns = None
    link.command("a", "ping", {"peer": link.id_text("b")})
    assert len(link.a.table) == 0
    del friends


# --- dial-back -------------------------------------------------------------------------------


def dial(address: str, *, times: int = 1) -> tuple[Pair, list[str]]:
    """A proven stranger asks b to dial an address; where b's datagrams went, its own aside."""
    link = pair()
    stranger = Stranger(link)
    before = len(link.sent)
    for _ in range(times):
        data = stranger.datagram(m.DialBack(address=parse_address(address).packed), token=stranger.token())
        stranger.send(data)
        stranger.send(data)
    link.advance(9)
    return link, [str(one.to) for one in link.sent_by("b", since=before) if one.to != stranger.address]


def test_a_dial_is_one_ping() -> None:
    link, dialled = dial(str(VICTIM), times=50)
    assert dialled == [str(VICTIM)]
    assert len(link.sent_by("b", to=VICTIM)[0].data) == 360


@pytest.mark.parametrize(
    "address",
    ["10.0.0.5:4433", "127.0.0.1:4433", "169.254.1.1:4433", "224.0.0.251:5353", "255.255.255.255:4433", "62.1.2.3:53",
     "0.0.0.0:4433", "[fe80::1]:4433", "[ff02::1]:4433", "[::1]:4433", "[::ffff:10.0.0.5]:4433"],
)  # fmt: skip
def test_local_and_odd_addresses_are_not_dialled(address: str) -> None:
    link, dialled = dial(address)
    assert dialled == []
    assert link.counted("b", "dial-backs refused") == 2


def test_it_dials_few_addresses_whoever_asks() -> None:
    link = pair()
    for i in range(60):
        stranger = Stranger(link, keys=keys_of(100 + i))
        address = parse_address(f"62.1.{i}.3:4433")
        stranger.send(stranger.datagram(m.DialBack(address=address.packed), token=stranger.token()))
    assert link.counted("b", "dial-backs") == 16


def test_without_a_token_nobody_is_dialled() -> None:
    link = pair()
    stranger = Stranger(link)
    for token in (None, b"guessed!"):
        stranger.send(stranger.datagram(m.DialBack(address=VICTIM.packed), token=token))
    assert link.sent_by("b", to=VICTIM) == []
    assert B != VICTIM
