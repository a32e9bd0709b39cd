"""A real node as a process: `p2pnode run` in a home of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil

from tests.benchmarks.ours import NETWORK

P2PNODE = [sys.executable, "-m", "p2pnode.cli.main"]


@attrs.frozen
class NodeProcess:
    home: Path
    usage: psutil.Process

    def command(self, *line: str) -> list[str]:
        return [*P2PNODE, "--home", str(self.home), *line]

    def status(self) -> Any:
        done = subprocess.run(self.command("status", "--json"), capture_output=True, text=True, check=True, timeout=20)
        return json.loads(done.stdout)


@contextlib.contextmanager
def node_process(*options: str) -> Iterator[NodeProcess]:
    """Yields once it is ready, ends it after."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        network = ["--network", NETWORK.name, "--puzzle-bits", str(NETWORK.puzzle_bits)]
        line = [*P2PNODE, "--home", folder, "run", "--listen", "127.0.0.1:0", "--no-lan", *network, *options]
        process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = []
        try:
            for text in process.stderr:
                said.append(text)
                if "ready" in text:
                    break
            else:
                raise RuntimeError("the node did not start:\n" + "".join(said))
            yield NodeProcess(Path(folder), psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(20)
            process.stderr.close()
