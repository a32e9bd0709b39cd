"""The scenarios of the chain as they are shipped, with more than one seed; a selfish miner, by night for longer."""

from __future__ import annotations

import pytest

from tests.sim.test_planted_bugs import failed, run


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "name", ["chain-lossy", "chain-partition", "chain-sleep", "chain-skew", "chain-eclipse", "chain-flood"]
)
def test_what_is_claimed_holds(name: str, seed: int) -> None:
    assert failed(run(name, seed=seed)) == set()


@pytest.mark.parametrize("alpha", [0.3, 0.4])
def test_a_selfish_miner_earns_what_is_claimed(alpha: float) -> None:
    end = run("chain-selfish-miner", f"adversaries.alpha={alpha}")
    assert end.measures["selfish_blocks"] >= 8_000
    assert failed(end) == set()


@pytest.mark.nightly
@pytest.mark.parametrize("alpha", [0.3, 0.4])
def test_a_selfish_miner_earns_what_eyal_and_sirer_say(alpha: float) -> None:
    """20 minutes of a core each."""
    # Two seconds to a block, and what is not stale are four fifths or fewer of them.
    end = run("chain-selfish-miner", f"adversaries.alpha={alpha}", "duration_s=152100")
    assert end.measures["selfish_blocks"] >= 50_000
    print({name: value for name, value in end.measures.items() if name.startswith("selfish")})
    assert end.measures["selfish_off"] <= 0.01
    assert failed(end) == set()
