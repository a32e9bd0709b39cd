"""What two hosts recorded of themselves on a LAN, replayed: the same to the byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from p2pnode.ui.fail import Fail
from tests.support.netns import PROGRAM, HostNode, Lan, until

pytestmark = [pytest.mark.needs("root", "ip")]

MET_S = 10.0


def one_more(nodes: list[HostNode], number: int) -> None:
    """A value from one to the other, and whatever else a user asks; half-way the cable is out, so it may fail."""
    here, there = nodes[number % 2], nodes[1 - number % 2]
    try:
        put = here.call("POST", "/v1/dht/put", {"value": f"value {number}", "name": f"name-{number % 5}"})
        there.call("POST", "/v1/dht/get", {"key": put["key"]})
        there.call("POST", "/v1/peers/ping", {"peer": here.id})
    except Fail:
        pass


def replayed(file: Path) -> dict[str, Any]:
    done = subprocess.run([*PROGRAM, "replay", str(file), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)
    return verdict


@pytest.mark.parametrize(
    "seconds",
    [12, pytest.param(120, marks=pytest.mark.nightly), pytest.param(600, marks=pytest.mark.nightly)],
)
async def test_a_recording_of_each_host_replays_to_the_byte(tmp_path: Path, seconds: int) -> None:
    files = [tmp_path / f"{host}.rec" for host in range(2)]
    with Lan(hosts=2, folder=tmp_path) as lan:
        async with lan.node(0, "--record", str(files[0])) as a, lan.node(1, "--record", str(files[1])) as b:
            await until(lambda: b.id in a.peers() and a.id in b.peers(), within_s=MET_S, what="they list each other")
            end = trio.current_time() + seconds
            unplugged = False
            for number in range(seconds):
                if number == seconds // 2:
                    lan.unplug(1)
                    unplugged = True
                elif unplugged:
                    lan.plug(1)
                    unplugged = False
                await trio.to_thread.run_sync(one_more, [a, b], number)
                await trio.sleep_until(end - seconds + number + 1)  # users are slow: it is time that is recorded
    for file in files:
        verdict = await trio.to_thread.run_sync(replayed, file)
        print(file.stat().st_size, verdict, file=sys.stderr)
        assert verdict["identical"], verdict["difference"]
        assert (verdict["ended"], verdict["damage"]) == ("the node ended", None)
        assert verdict["duration_s"] >= seconds
        assert verdict["inputs"]["datagram"] > seconds
