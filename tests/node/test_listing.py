"""What a node says of itself on the LAN, and what it makes of what others say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import Interface
from p2pnode.transport.listing import MAX_ADDRESSES, Found, Listings, announced, reachable, usable

PUBLIC = Network("office")
PRIVATE = Network("office", psk=bytes(range(32)))
A, B = KeyPair.from_seed(bytes(32)), KeyPair.from_seed(bytes([1]) * 32)
THERE = (parse_address("192.168.1.2:4433"),)
EVERYWHERE = (parse_address("0.0.0.0:4433"), parse_address("[::]:4433"))


def counting() -> Callable[[int], bytes]:
    """An entropy that never repeats."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(size, "big")

    return entropy


def listings(network: Network, pair: KeyPair, *, entropy: Callable[[int], bytes] | None = None) -> Listings:
    return Listings(network, pair.key, entropy or counting())


def as_heard(txt: dict[str, str]) -> dict[bytes, bytes | None]:
    return {name.encode(): value.encode() for name, value in txt.items()}


def interface(text: str, prefix: int, zone: int = 2) -> Interface:
    return Interface(parse_address(f"{text}:0" if "." in text else f"[{text}]:0").ip, prefix, zone)


LAN = (
    interface("127.0.0.1", 8, 1),
    interface("192.168.1.7", 24),
    interface("203.0.113.200", 24, 3),
    interface("fe80::1", 64),
    interface("::1", 128, 1),
)


def test_members_of_a_public_network_read_each_other() -> None:
    txt = as_heard(listings(PUBLIC, A).own().txt)
    assert listings(PUBLIC, B).read(txt, THERE) == Found(A.key, THERE)


def test_a_public_listing_is_named_after_the_id() -> None:
    label = listings(PUBLIC, A).own().label
    assert label.removeprefix("p2pnode-") == format_id(node_id_of(A.key))[:19]
    assert len(label) <= 63  # RFC 1035 2.3.4


@pytest.mark.parametrize("network", [Network("home"), Network("office", puzzle_bits=1), PRIVATE])
def test_another_network_is_not_read(network: Network) -> None:
    txt = as_heard(listings(network, A).own().txt)
    assert listings(PUBLIC, B).read(txt, THERE) is None


@pytest.mark.parametrize("network", [PUBLIC, PRIVATE])
def test_ones_own_listing_is_not_read(network: Network) -> None:
    own = listings(network, A)
    first, second = own.own(), own.own()
    assert own.read(as_heard(first.txt), THERE) is None
    assert own.read(as_heard(second.txt), THERE) is None


def test_members_of_a_private_network_read_each_other_and_strangers_do_not() -> None:
    txt = as_heard(listings(PRIVATE, A, entropy=lambda n: b"\x11" * n).own().txt)
    assert listings(PRIVATE, B).read(txt, THERE) == Found(None, THERE)
    assert listings(Network("office", psk=bytes(32)), B).read(txt, THERE) is None
    assert listings(PUBLIC, B).read(txt, THERE) is None


def test_a_private_listing_tells_nothing_and_never_the_same() -> None:
    own = listings(PRIVATE, A)
    first, second = own.own(), own.own()
    said = first.label + "".join(f"{name}={value}" for name, value in first.txt.items())
    id = format_id(node_id_of(A.key))
    for secret in (A.key.hex(), PRIVATE.network_id.hex()[:16], id[:9], id.replace("-", "")[:8], "p2pnode", "office"):
        assert secret not in said
    assert set(first.txt) == {"n", "m"}
    assert first.label != second.label
    assert not set(first.txt.values()) & set(second.txt.values())


@given(
    st.dictionaries(
        st.sampled_from([b"v", b"nid", b"key", b"n", b"m"]) | st.binary(max_size=8),
        st.none()
        | st.binary(max_size=80)
        | st.sampled_from([PUBLIC.network_id.hex()[:16].encode(), b"00" * 32, b"\xff"]),
    )
)
def test_whatever_is_listed_is_read_without_an_exception(txt: dict[bytes, bytes | None]) -> None:
    for network in (PUBLIC, PRIVATE):
        found = listings(network, A).read(txt, THERE)
        assert found is None or network is PUBLIC


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"short", A.key + b"\0"])
def test_a_key_that_is_none_is_not_read(key: bytes) -> None:
    txt = as_heard({"v": "1", "nid": PUBLIC.network_id.hex()[:16], "key": key.hex()})
    assert listings(PUBLIC, B).read(txt, THERE) is None


def texts(interfaces: tuple[Interface, ...]) -> list[str]:
    return [str(Address(i.ip, 0)).rpartition(":")[0] for i in interfaces]


def test_what_is_announced_can_be_reached_from_other_machines() -> None:
    assert texts(announced(LAN, EVERYWHERE)) == ["192.168.1.7", "203.0.113.200", "[fe80::1]"]
    assert texts(announced(LAN, EVERYWHERE[:1])) == ["192.168.1.7", "203.0.113.200"]
    assert texts(announced(LAN, (parse_address("192.168.1.7:1"),))) == ["192.168.1.7"]
    assert texts(announced(LAN, (parse_address("127.0.0.1:1"),))) == []
    assert texts(reachable(LAN, (parse_address("127.0.0.1:1"),))) == ["127.0.0.1"]


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8:4433",  # global and not attached: a listing must not aim us there
        "[2606:4700::1]:4433",
        "127.0.0.1:4433",
        "224.0.0.251:5353",
        "255.255.255.255:4433",
        "0.0.0.0:4433",
        "192.168.1.2:53",  # DNS answers are longer than questions
        "192.168.1.7:4433",  # ourselves
        "[fe80::2]:4433",  # link-local without its link
    ],
)
def test_addresses_that_are_not_tried(address: str) -> None:
    assert usable((parse_address(address),), LAN, EVERYWHERE) == ()


def test_attached_subnets_are_tried_first_link_local_addresses_last_and_few_in_all() -> None:
    listed = ["10.9.9.9:4433", "[fe80::2%2]:4433", "192.168.1.2:4433", "203.0.113.9:4433", "192.168.1.2:4433"]
    addresses = tuple(map(parse_address, listed))
    expected = ["192.168.1.2:4433", "203.0.113.9:4433", "10.9.9.9:4433", "[fe80::2%2]:4433"]
    assert list(map(str, usable(addresses, LAN, EVERYWHERE))) == expected
    many = tuple(parse_address(f"192.168.1.{n}:4433") for n in range(20, 60))
    assert len(usable(many, LAN, EVERYWHERE)) == MAX_ADDRESSES


def test_a_family_without_a_socket_is_not_tried() -> None:
    addresses = (parse_address("[fe80::2%2]:4433"), parse_address("192.168.1.2:4433"))
    assert usable(addresses, LAN, EVERYWHERE[:1]) == addresses[1:]


def test_a_second_node_on_this_machine_is_tried() -> None:
    assert usable((parse_address("192.168.1.7:5000"),), LAN, EVERYWHERE) == (parse_address("192.168.1.7:5000"),)
