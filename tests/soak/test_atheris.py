"""Every reader of what strangers send under coverage-guided mutation, from the golden vectors onwards.

P2PNODE_FUZZ_S: seconds of all targets together (600).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fuzz_targets import TARGETS
from tests.support.nodes import ROOT

TOTAL_S = int(os.environ.get("P2PNODE_FUZZ_S", "600"))
#: Targets behind which most code lies get more of the time.
WEIGHTS = {"peer": 6, "body": 3, "payload": 3, "cbor": 3, "record-items": 2}
#: No datagram is longer; a sequence for a peer holds a few.
MAX_BYTES = {"peer": 4000}
_LINES_SHOWN = 40


def seconds_of(name: str) -> int:
    all_shares = sum(WEIGHTS.get(each, 1) for each in TARGETS)
    return max(1, TOTAL_S * WEIGHTS.get(name, 1) // all_shares)


def fuzz(name: str, seeds: tuple[bytes, ...], seconds: int, folder: Path) -> subprocess.CompletedProcess[str]:
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}", f"-max_len={MAX_BYTES.get(name, 1300)}", "-seed=1", "-timeout=10",
        "-rss_limit_mb=1024", f"-artifact_prefix={folder}/", "-print_final_stats=1",
    ]  # fmt: skip
    line = [sys.executable, "-m", "tests.support.atheris_run", name, str(corpus), *options]
    return subprocess.run(
        line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_gets_another_exception_out_of_a_reader(name: str, tmp_path: Path) -> None:
    done = fuzz(name, TARGETS[name].seeds, seconds_of(name), tmp_path)
    crashes = {path.name: path.read_bytes().hex() for path in tmp_path.glob("*-*") if path.is_file()}
    assert done.returncode == 0, f"{crashes}\n" + "\n".join(done.stdout.splitlines()[-_LINES_SHOWN:])
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    assert runs is not None, done.stdout
    kept = len(list((tmp_path / "corpus").iterdir()))
    print(f"{name}: {runs[1]} inputs, {kept} in the corpus, {seconds_of(name)} s")
    assert int(runs[1]) > 100


def test_a_fault_is_found(tmp_path: Path) -> None:
    done = fuzz("planted", TARGETS["cbor"].seeds, 60, tmp_path)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout
    assert [path.read_bytes()[:1] for path in tmp_path.glob("crash-*")] == [b"\xff"]
