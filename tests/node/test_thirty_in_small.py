"""Six processes: all read everything, some die without notice, all come back. Thirty: tests/soak/."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.network_life import Life
from tests.support.nodes import Nodes


@pytest.mark.slow
def test_a_network_of_processes_keeps_every_value(tmp_path: Path) -> None:
    with Nodes(tmp_path, 6, network="six") as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=5)
        life = Life(nodes, random.Random(1))
        life.write(16)
        assert life.unreadable_anywhere() == []

        life.kill_and_measure(life.chance.sample(nodes.all[1:], 2))
        print(life.figures)
        assert life.figures["readable_after_kill"] == 1
        assert life.figures["get_after_kill_p99_ms"] <= 5000
        assert life.figures["put_after_kill_p50_ms"] <= 2000

        life.restart_all(same_ports=True, join=False)
        assert life.unreadable(2) == []
