"""Who is reachable: dialled by a peer that it never contacted, or local, or among few."""

from __future__ import annotations

import pytest

from overlay.limits import NAT_OPEN_S, STAMP_BLOCK
from overlay.runtime.address import parse_address
from overlay.runtime.ports import Interface
from overlay.wire import messages as m
from tests.support.pair import B, Pair, Stranger, keys_of, make_peer, messages, pair

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


# --- after a restart -------------------------------------------------------------------------


def knock(link: Pair, number: int) -> str:
    """A stranger that nobody ever asked sends a a PING; what a takes itself for among many after that."""
    friends = crowd(link, "a")
    stranger = Stranger(link, keys=keys_of(500 + number), address=parse_address(f"62.1.{number}.3:4433"))
    stranger.send(stranger.datagram(m.Ping(), to="a", padded=True), side="a")
    found = role(link, "a")
    del friends
    return found


def wait(link: Pair, seconds: int) -> None:
    """Nobody else says a word, but for b."""
    for _ in range(seconds):
        link.advance(1)
        link.deliver_all()


def restart(link: Pair) -> None:
    link.replace("a", make_peer(1, storage=link.a.journal.storage, life=1))
    link.feed("a", link.a.handle_network, (Interface(GLOBAL_A.ip, 32),))


def test_whom_the_life_before_asked_proves_nothing_as_long_as_a_nat_remembers() -> None:
    link = on_the_internet()
    restart(link)
    assert knock(link, 1) == "client"
    wait(link, NAT_OPEN_S - 1)
    assert knock(link, 2) == "client"
    wait(link, 1)
    assert knock(link, 3) == "full"


@pytest.mark.parametrize(("hours", "found"), [(0, "full"), (1, "full"), (3, "client")])
def test_who_was_proven_before_is_so_again_by_the_first_stranger(hours: int, found: str) -> None:
    """A proof is renewed every hour: an older one says that it could not be."""
    link = on_the_internet()
    assert knock(link, 1) == "full"
    storage = link.a.journal.storage
    [proven] = [int.from_bytes(value, "big") for key, value in storage.scan(b"proven")]
    assert proven == link.now.wall_ms
    storage.put(b"proven", (proven - hours * 3600 * 1000).to_bytes(8, "big"))
    restart(link)
    assert knock(link, 2) == found


def test_the_disk_is_told_of_a_proof_every_half_hour_and_not_by_every_stranger() -> None:
    link = on_the_internet()
    kept: list[int] = []
    for number, seconds in enumerate((0, 20, 1750, 40), start=1):
        wait(link, seconds)
        knock(link, number)
        [(_, proven)] = link.a.journal.storage.scan(b"proven")
        kept.append(int.from_bytes(proven, "big") - link.now.wall_ms)
    assert kept[:1] == kept[3:] == [0]
    assert kept[1:3] == [-20_000, -1_770_000]


def test_a_life_that_ended_long_ago_has_left_no_holes() -> None:
    link = on_the_internet()
    ended = link.a.journal.storage
    link.replace("a", make_peer(3))
    link.advance(NAT_OPEN_S + STAMP_BLOCK // 1000)
    link.replace("a", make_peer(1, storage=ended, life=1))
    link.feed("a", link.a.handle_network, (Interface(GLOBAL_A.ip, 32),))
    assert knock(link, 1) == "full"


def test_nobody_is_asked_to_dial_while_nothing_that_comes_in_counts() -> None:
    link = on_the_internet()
    restart(link)
    friends = crowd(link, "a")
    before = len(link.sent)
    link.command("a", "ping", {"peer": str(GLOBAL_B)})
    wait(link, NAT_OPEN_S - 60)
    assert not [one for one in messages(link.sent_by("a", since=before)) if isinstance(one, m.DialBack)]
    wait(link, 120)
    assert [one for one in messages(link.sent_by("a", since=before)) if isinstance(one, m.DialBack)]
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
