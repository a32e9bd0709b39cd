"""A recorded node among real ones on loopback: what came to it in real time is replayed to the byte."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import attrs
import pytest
import trio

from overlay.runtime.chance import Rng
from p2pnode.config import Config, NetworkConfig
from p2pnode.driver import CommandFailed
from p2pnode.node import Node, open_node
from p2pnode.paths import Home
from p2pnode.record import RecordingError, Wanted, replay
from tests.support.nodes import Nodes

CONFIG = Config(listen=("127.0.0.1:0",), lan=False, network=NetworkConfig(puzzle_bits=0), sources={"listen": "test"})


async def busy(recorded: Node, other: Node, *, rounds: int) -> None:
    """Puts and gets of both at once, some of them cancelled."""
    async with trio.open_nursery() as nursery:
        for number in range(rounds):
            nursery.start_soon(put_and_get, recorded, other, number)
            nursery.start_soon(put_and_get, other, recorded, number)
    with trio.CancelScope() as gone:
        gone.cancel()
        await recorded.command("ping", peer="192.0.2.1:9")  # nobody answers there: there is something to cancel


async def put_and_get(here: Node, there: Node, number: int) -> None:
    with contextlib.suppress(CommandFailed):  # an answer that is late on a busy machine is worth a recording too
        put = await here.command("put", value=b"%d" % number * 50, name=f"name-{number}")
        await there.command("get", key=put["key"])


async def test_a_node_under_work_replays_to_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    for life in range(2):  # in the second it begins with what is in its store
        file = tmp_path / f"{life}.rec"
        async with (
            open_node(Home(tmp_path / "b"), CONFIG) as b,
            open_node(Home(tmp_path / "a"), attrs.evolve(CONFIG, join=(b.ticket,)), record=Wanted(file)) as a,
        ):
            with trio.fail_after(60):
                with a.subscribe() as events:
                    while not (await a.command("status"))["table"]:
                        await anext(events)
                await busy(a, b, rounds=20)
                with pytest.raises(CommandFailed):
                    await a.command("get", key="ab" * 32)
                came = (await a.command("status"))["counters"]["udp_received"]
        verdict = replay(file)
        assert verdict.difference is None, verdict.difference
        assert (verdict.ended, verdict.damage) == ("the node ended", None)
        assert verdict.inputs["datagram"] >= came > 0
        assert verdict.inputs["cancel"] >= 1  # the node itself may have one under way as it ends


async def test_a_choice_that_a_replay_makes_otherwise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.rec"
    async with (
        open_node(Home(tmp_path / "b"), CONFIG) as b,
        open_node(Home(tmp_path / "a"), attrs.evolve(CONFIG, join=(b.ticket,)), record=Wanted(file)) as a,
    ):
        with trio.fail_after(60):
            await busy(a, b, rounds=3)
    total = replay(file).fed
    u64 = Rng.u64
    monkeypatch.setattr(Rng, "u64", lambda self: u64(self) ^ 1 << 63)
    found = replay(file).difference
    assert found is not None
    assert found.input < total
    assert found.recorded != found.replayed


async def test_a_file_that_is_there_is_refused_and_the_home_is_free_again(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    file.write_text("mine")
    with pytest.raises(RecordingError):
        async with open_node(Home(tmp_path / "a"), CONFIG, record=Wanted(file)):
            pass
    assert file.read_text() == "mine"
    async with open_node(Home(tmp_path / "a"), CONFIG, record=Wanted(tmp_path / "b.rec")):
        pass
    assert replay(tmp_path / "b.rec").difference is None


async def test_at_its_limit_a_recording_ends_and_the_node_serves_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = tmp_path / "a.rec"
    async with open_node(Home(tmp_path / "a"), CONFIG, record=Wanted(file, 6000)) as node:
        for number in range(100):
            await node.command("put", value=b"%d" % number)
    assert file.stat().st_size <= 6000
    assert caplog.text.count("the node goes on") == 1
    assert replay(file).difference is None


def test_a_node_whose_peers_are_killed_and_come_back_and_that_is_killed_itself(tmp_path: Path) -> None:
    """kill -9: of others, which it sees, and of itself, which leaves a recording without an end."""
    file = tmp_path / "a.rec"
    with Nodes(tmp_path, count=3) as nodes:
        nodes[0].options = (*nodes[0].options, "--record", str(file))
        nodes.start_all()
        keys = [nodes[n % 3].call("POST", "/v1/dht/put", {"value": f"{n}"})["key"] for n in range(12)]
        nodes[2].kill()
        for key in keys:
            nodes[0].call("POST", "/v1/dht/get", {"key": key})
        nodes[2].start("--join", nodes[0].ticket)
        nodes[2].wait_ready()
        for key in keys:
            nodes[2].call("POST", "/v1/dht/get", {"key": key})
        nodes[0].kill()
    verdict = replay(file)
    assert verdict.difference is None, verdict.difference
    assert (verdict.ended, verdict.damage) == (None, None)
    assert verdict.inputs["command"] >= 16
