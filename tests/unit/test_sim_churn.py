"""Sessions are drawn from the distributions that they claim, and nodes return on the disk that they should."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import partial

import pytest

from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from simulations.draws import exponential_ns, gamma, pareto_ns, weibull_ns
from simulations.storage import MemoryStorage

DRAWS = 20_000


@pytest.mark.parametrize(
    ("draw", "mean_s", "median_s"),
    [
        (partial(exponential_ns, mean_s=100), 100, 100 * math.log(2)),
        (partial(weibull_ns, mean_s=100, shape=0.5), 100, 50 * math.log(2) ** 2),
        (partial(weibull_ns, mean_s=100, shape=2), 100, 100 / math.gamma(1.5) * math.log(2) ** 0.5),
        (partial(pareto_ns, mean_s=100, shape=3), 100, 200 * (2 ** (1 / 3) - 1)),
    ],
)
def test_mean_and_median_are_those_of_the_distribution(draw: partial[int], mean_s: float, median_s: float) -> None:
    rng = Rng(11)
    drawn = sorted(draw(rng) / SECOND for _ in range(DRAWS))
    assert sum(drawn) / DRAWS == pytest.approx(mean_s, rel=0.08)
    assert drawn[DRAWS // 2] == pytest.approx(median_s, rel=0.08)
    assert drawn[0] > 0


def test_shape_one_is_exponential() -> None:
    assert weibull_ns(Rng(3), 100, 1) == pytest.approx(exponential_ns(Rng(3), 100), abs=100)


@pytest.mark.parametrize("x", ["0.1", "0.5", "1", "2.5", "3", "11", "40"])
def test_gamma(x: str) -> None:
    assert float(gamma(Decimal(x))) == pytest.approx(math.gamma(float(x)), rel=1e-13)


def test_a_heavy_tail_has_an_end() -> None:
    """An int64 of ns holds it."""
    rng = Rng(5)
    assert max(pareto_ns(rng, 1e7, 1.05) for _ in range(2000)) <= 10**17


def test_a_backup_holds_what_was_committed_and_stays_as_it_was() -> None:
    storage = MemoryStorage()
    storage.put(b"a", b"1")
    storage.commit(storage.mark())
    storage.put(b"b", b"2")
    backup = storage.backup()
    storage.put(b"a", b"3")
    assert list(backup.scan(b"")) == [(b"a", b"1")]
    assert storage.get(b"b") == b"2"
    storage.crash()
    assert list(storage.scan(b"")) == [(b"a", b"1")]
