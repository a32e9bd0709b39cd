"""A running node under a flood of random, damaged, replayed and signed-but-senseless datagrams goes on answering."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlay.identity.network import Network
from tests.support.flood import check, flood, started

NETWORK = Network("flood", puzzle_bits=0)


def test_5000_hostile_datagrams(tmp_path: Path) -> None:
    node = started(tmp_path, NETWORK)
    try:
        report = flood(node, NETWORK, 5000, seed=1)
        print(report.figures())
        # Caches fill at the beginning; 200,000 datagrams (make soak) show that it ends.
        check(report, growth_mb=25)
        assert node.put("after the flood")["stored"] == 1
    finally:
        node.stop()
    assert "Traceback" not in node.log


@pytest.mark.nightly
def test_a_million_hostile_datagrams(tmp_path: Path) -> None:
    node = started(tmp_path, NETWORK)
    try:
        report = flood(node, NETWORK, 1_000_000, seed=3)
        print(report.figures())
        check(report, growth_mb=10)
    finally:
        node.stop()
    assert "Traceback" not in node.log
