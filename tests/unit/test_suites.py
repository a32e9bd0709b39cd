"""Which cipher a machine begins its streams with."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from overlay.secure.noise import Suite
from p2pnode.transport.suites import faster_suite


def clock_of(aes_ns: list[int], chacha_ns: list[int]) -> Callable[[], int]:
    """By which sealing takes so long: four times with each."""
    ticks = [tick for ns in (*aes_ns, *chacha_ns) for tick in (0, ns)]
    return itertools.accumulate(ticks).__next__


@pytest.mark.parametrize(
    ("aes_ns", "chacha_ns", "suite"),
    [
        ([6, 6, 6, 6], [22, 22, 22, 22], Suite.AESGCM),
        ([270, 270, 270, 270], [60, 60, 60, 60], Suite.CHACHAPOLY),
        ([70, 70, 70, 70], [60, 60, 60, 60], Suite.AESGCM),
        ([5_000, 900, 6, 800], [22, 22, 22, 22], Suite.AESGCM),
        ([270, 270, 270, 270], [9_000, 60, 900, 900], Suite.CHACHAPOLY),
    ],
    ids=["with AES", "without", "no clear difference", "busy while AES was measured", "busy while ChaCha was"],
)
def test_the_faster_one_whatever_else_the_machine_does(aes_ns: list[int], chacha_ns: list[int], suite: Suite) -> None:
    assert faster_suite(clock_ns=clock_of(aes_ns, chacha_ns)) is suite


def test_the_first_time_counts_for_nothing() -> None:
    assert faster_suite(clock_ns=clock_of([1, 90, 90, 90], [9, 9, 9, 9])) is Suite.CHACHAPOLY


def test_it_is_measured_on_this_machine() -> None:
    assert faster_suite() in Suite
