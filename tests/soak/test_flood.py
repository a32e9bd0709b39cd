"""200,000 hostile datagrams from several sockets: every ping of a good peer is answered, memory stays flat."""

from __future__ import annotations

from pathlib import Path

from overlay.identity.network import Network
from tests.support.flood import blast, check, flood, started
from tests.support.recorder import Recorder

NETWORK = Network("flood", puzzle_bits=0)
#: A ping behind 3 bursts of 40, each datagram 0.1 ms, on a machine that is shared.
PING_P99_MS = 250


def test_200000_hostile_datagrams(tmp_path: Path) -> None:
    node = started(tmp_path, NETWORK)
    try:
        report = flood(node, NETWORK, 200_000, seed=2)
        print(report.figures())
        check(report, growth_mb=15)
        assert report.figures()["ping_p99_ms"] <= 1.5 * PING_P99_MS

        print(f"{blast(node, NETWORK, 10, seed=4)} datagrams in 10 s without a pause")
        with Recorder(NETWORK) as good:
            print(f"answered {1000 * good.ping(node.address, within_s=2):.0f} ms later")
        assert node.put("after the flood")["stored"] == 1
    finally:
        node.stop()
    assert "Traceback" not in node.log
