from __future__ import annotations

import pytest

from overlay.dht.diversity import Diversity
from overlay.runtime.address import parse_address
from overlay.runtime.ports import Interface

A = parse_address


@pytest.mark.parametrize(
    ("one", "other", "same", "same_wide"),
    [
        ("50.1.2.3:1", "50.1.2.4:2", True, True),
        ("50.1.2.3:1", "50.1.3.3:1", False, True),
        ("50.1.2.3:1", "50.2.2.3:1", False, False),
        ("[2a01:1:2::1]:1", "[2a01:1:2:ffff::9]:2", True, True),
        ("[2a01:1:2::1]:1", "[2a01:1:3::1]:1", False, True),
        ("[2a01:1:2::1]:1", "[2a01:2:2::1]:1", False, False),
        ("10.0.0.1:1", "10.0.0.2:1", False, False),
        ("10.0.0.1:1", "10.0.0.1:2", False, False),
        ("10.0.0.1:1", "10.0.0.1:1", True, True),
        ("[fe80::1%2]:1", "[fe80::1%3]:1", False, False),
        ("127.0.0.1:1", "127.0.0.1:2", False, False),
    ],
)
def test_groups(one: str, other: str, same: bool, same_wide: bool) -> None:
    diversity = Diversity()
    assert (diversity.group(A(one)) == diversity.group(A(other))) is same
    assert (diversity.wide_group(A(one)) == diversity.wide_group(A(other))) is same_wide


@pytest.mark.parametrize(
    "local", ["10.0.0.1:1", "192.168.1.1:1", "100.64.0.1:1", "[fe80::1%2]:1", "[fd00::1]:1", "127.0.0.1:1"]
)
def test_local_scopes_are_not_capped(local: str) -> None:
    assert not Diversity().capped(A(local))


def test_a_subnet_of_our_own_is_a_lan_even_with_global_addresses() -> None:
    diversity = Diversity([Interface(A("50.1.2.9:0").ip, 24), Interface(A("[2a01:1:2:3::9]:0").ip, 64)])
    assert diversity.attached(A("50.1.2.3:1"))
    assert not diversity.capped(A("50.1.2.3:1"))
    assert diversity.group(A("50.1.2.3:1")) != diversity.group(A("50.1.2.4:1"))
    assert not diversity.capped(A("[2a01:1:2:3::1]:1"))
    assert diversity.capped(A("[2a01:1:2:4::1]:1"))
    assert diversity.capped(A("50.1.3.3:1"))
    diversity.attach([])
    assert diversity.capped(A("50.1.2.3:1"))


def test_a_prefix_that_holds_half_the_internet_is_no_lan() -> None:
    diversity = Diversity([Interface(A("50.1.2.9:0").ip, 0), Interface(A("[2a01:1:2:3::9]:0").ip, 0)])
    assert diversity.capped(A("50.1.2.3:1"))
    assert diversity.capped(A("[2a01:1:2:3::1]:1"))


def test_a_host_prefix_attaches_itself_alone() -> None:
    diversity = Diversity([Interface(A("50.1.2.9:0").ip, 32)])
    assert not diversity.capped(A("50.1.2.9:1"))
    assert diversity.capped(A("50.1.2.8:1"))
