"""The scenarios of file sharing as they are shipped, with more than one seed."""

from __future__ import annotations

import pytest

from tests.sim.test_planted_bugs import failed, run


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["file-liars", "file-free-riders", "file-seed-dies"])
def test_what_is_claimed_holds(name: str, seed: int) -> None:
    end = run(name, seed=seed)
    assert failed(end) == set()


def test_a_crowd_of_two_hundred() -> None:
    end = run("file-flash-crowd")
    assert failed(end) == set()
    assert end.measures["film_count"] == 200
    # No fifty of them have to serve all others.
    assert end.measures["film_fairness"] > 0.6
