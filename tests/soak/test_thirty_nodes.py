"""Thirty processes on loopback: every value from every node, nine deaths without notice, restarts from disk."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from tests.support.network_life import Life
from tests.support.nodes import Nodes, wait_until

NODES, VALUES, KILLED = 30, 200, 9
#: From the first second after the deaths (design: goals).
TARGETS = {"get_after_kill_p50_ms": 100.0, "get_after_kill_p99_ms": 1000.0, "put_after_kill_p50_ms": 500.0}
#: Where figures are written; without it next to the homes of the nodes.
RESULTS = "P2PNODE_TEST_RESULTS"


def test_thirty_nodes_keep_200_values(tmp_path: Path) -> None:
    with Nodes(tmp_path, NODES, network="thirty") as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=NODES - 1 - 5)
        life = Life(nodes, random.Random(30))
        try:
            life.write(VALUES)
            assert life.unreadable_anywhere() == []
            assert life.figures["reads"] == NODES * VALUES

            # Without the first one, the others' entrance, there is no main node either.
            life.kill_and_measure([nodes[0], *life.chance.sample(nodes.all[1:], KILLED - 1)])
            assert life.figures["readable_after_kill"] >= 0.99

            life.restart_all(same_ports=True, join=False)
            life.figures["missing_after_restart_by_anchors"] = life.unreadable(3)
            assert life.figures["missing_after_restart_by_anchors"] == []

            life.restart_all(same_ports=False, join=True)
            life.figures["missing_after_restart_on_new_ports"] = life.unreadable(3)
            assert life.figures["missing_after_restart_on_new_ports"] == []
        finally:
            _keep(life, Path(os.environ.get(RESULTS, tmp_path)))
        assert life.misses(TARGETS) == []


def test_a_node_that_was_killed_comes_back_through_its_anchors(tmp_path: Path) -> None:
    """No --join, no discovery: the contacts that a node wrote down before it was killed are the only way in."""
    with Nodes(tmp_path, 4, network="anchors") as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=3)
        written = nodes[3].put("still here")
        nodes[3].stop()  # writes its anchors
        nodes[3].start("--listen", nodes[3].address)
        nodes[3].wait_ready()
        wait_until(lambda: nodes[3].status()["table"] == 3, within_s=60, what="anchors were not asked")
        nodes[3].kill()
        nodes[3].start("--listen", nodes[3].address)
        nodes[3].wait_ready()
        wait_until(lambda: nodes[3].status()["table"] == 3, within_s=60, what="anchors were lost by the kill")
        assert nodes[3].get(written["key"])["value"] == "still here"


def _keep(life: Life, folder: Path) -> None:
    text = json.dumps({"nodes": NODES, "values": VALUES, **life.figures, "targets": TARGETS}, indent=1)
    print(text)
    (folder / "thirty-nodes.json").write_text(text + "\n")
