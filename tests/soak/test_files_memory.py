"""1 GiB of real data goes from node to node, and neither holds much of it."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.kill_files import ask
from tests.support.memory import Memory
from tests.support.nodes import Nodes, wait_until

MIB = 1 << 20
SIZE = 1 << 30
MORE_MB = 64


def test_1_gib_keeps_both_below_64_mb_more_than_idle(tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target"
    chance = random.Random(1)
    with source.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(chance.randbytes(MIB))
    with Nodes(tmp_path, 2) as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=1)
        memory = [Memory.of(node.pid) for node in nodes]
        giver, taker = nodes
        share = giver.call("POST", "/v1/apps/files/share", {"path": str(source)}, timeout_s=600)["answer"]
        ask(taker, "get", link=share["link"], folder=str(target))

        def is_there() -> bool:
            return bool(ask(taker, "list")[0]["state"] == "complete")

        wait_until(is_there, within_s=1_200, what=lambda: str(ask(taker, "list")), poll_s=0.2)
        more = [one.more_mb for one in memory]
        print(f"MB above idle: gives {more[0]}, takes {more[1]}")
        assert max(more) <= MORE_MB
        assert ask(taker, "list")[0]["zeros"] == 0
        nodes.stop_all()
    with source.open("rb") as one, (target / "source.bin").open("rb") as other:
        while data := one.read(MIB):
            assert other.read(MIB) == data
        assert not other.read(1)
