"""What careless users and programs do to a running node: it answers in words, and goes on."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pnode.ui.fail import Fail
from tests.support.nodes import ROOT, NodeProcess, in_parallel

OPTIONS = ("--network", "rough", "--puzzle-bits", "0")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    running = NodeProcess(tmp_path_factory.mktemp("rough") / "home", OPTIONS)
    running.start()
    running.wait_ready()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log


def p2pnode(home: Path, *words: str | bytes) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "p2pnode.cli.main", "--home", str(home), *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("body", [{"value": "v", "name": "a\udcffb"}, {"value": "v\ud800"}])
def test_text_that_is_not_unicode_is_a_usage_error(node: NodeProcess, body: dict[str, str]) -> None:
    with pytest.raises(Fail) as caught:
        node.call("POST", "/v1/dht/put", body)
    assert caught.value.code == "usage"


def test_a_name_in_another_encoding_does_not_end_the_node(node: NodeProcess) -> None:
    done = p2pnode(node.home, "dht", "put", "v", "--name", b"caf\xe9")
    assert done.returncode == 2
    assert "not Unicode" in done.stderr
    assert node.status()["role"] == "full"


def test_more_requests_than_connections_in_a_row(node: NodeProcess) -> None:
    """Each on a connection of its own, as fast as one client can."""
    for _ in range(600):
        node.status()


def test_200_clients_at_once(node: NodeProcess) -> None:
    assert len(in_parallel(lambda _: node.status()["id"], range(400), workers=200)) == 400


def test_half_requests_hold_up_nobody(node: NodeProcess) -> None:
    halves = []
    try:
        put = b"POST /v1/dht/put HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        for beginning in (b"GET /v1/st", put, b""):
            for _ in range(60):
                half = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                halves.append(half)
                half.settimeout(10)
                half.connect(str(node.home / "control.sock"))
                half.sendall(beginning)
        assert node.status()["role"] == "full"
    finally:
        for half in halves:
            half.close()
    assert node.status()["role"] == "full"


def test_a_key_that_is_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "home" / "node.key").mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    done = p2pnode(tmp_path / "home", "run", "--listen", "127.0.0.1:0", "--no-lan")
    assert done.returncode == 1
    assert "not a file" in done.stderr


def test_sigterm_while_it_starts_ends_it_cleanly(tmp_path: Path) -> None:
    """At the moment of each line that it says, the search for a key among them."""
    line = [sys.executable, "-m", "p2pnode.cli.main", "--home", str(tmp_path / "home"), "run"]
    line += ["--listen", "127.0.0.1:0", "--no-lan", "--puzzle-bits", "26"]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "looking for a key" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 0, rest
    assert "Traceback" not in rest
    assert not (tmp_path / "home" / "node.key").exists()


def test_a_second_process_on_one_home_is_told(node: NodeProcess) -> None:
    done = p2pnode(node.home, "run", "--listen", "127.0.0.1:0", "--no-lan")
    assert done.returncode == 1
    assert "already running" in done.stderr
    assert str(node.pid) in done.stderr
