"""A program that computes for long begins anew with a heap of huge pages, once, unless somebody chose otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pnode.ui import huge_pages

MODE = "always [madvise] never\n"
APP = """
import os, sys
print(os.getpid(), os.environ.get("PYTHONMALLOC"), os.environ.get("GLIBC_TUNABLES"), file=sys.stderr)
from overlay import App

class Looks(App):
    name = "looks"
"""
BEGIN = [sys.executable, "-c", "from p2pnode.ui.begin import p2pnode; p2pnode()"]


@pytest.mark.parametrize(
    ("environ", "libc", "mode"),
    [
        ({}, "glibc 2.34", MODE),
        ({}, "musl 1.2.5", MODE),
        ({}, "", MODE),
        ({}, "glibc 2.36", "always madvise [never]\n"),
        ({}, "glibc 2.36", ""),
        ({"PYTHONMALLOC": "debug"}, "glibc 2.36", MODE),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=3"}, "glibc 2.36", MODE),
    ],
)
def test_nothing_is_begun_anew_where_there_are_none_or_somebody_chose(
    environ: dict[str, str], libc: str, mode: str
) -> None:
    assert huge_pages.environment(environ, libc=libc, mode=mode) is None


def test_what_there_was_stays_and_once_is_enough() -> None:
    found = huge_pages.environment({"HOME": "/home/ada"}, libc="glibc 2.40", mode=MODE)
    assert found == {"HOME": "/home/ada", "PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    assert huge_pages.environment(found, libc="glibc 2.40", mode=MODE) is None


@pytest.mark.parametrize("chosen", [None, "pymalloc"])
def test_a_swarm_runs_with_them(tmp_path: Path, chosen: str | None) -> None:
    (tmp_path / "looks.py").write_text(APP)
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONMALLOC", "GLIBC_TUNABLES")}
    expected = huge_pages.environment(
        environ, libc=os.confstr("CS_GNU_LIBC_VERSION") or "",
        mode=Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(),
    )  # fmt: skip
    environ |= {"PYTHONMALLOC": chosen} if chosen else {}
    command = ["swarm", "run", "lan-party", "--nodes", "2", "--duration", "2", "--app", "looks:Looks", "--json"]
    process = subprocess.Popen(
        [*BEGIN, *command], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    out, err = process.communicate()
    assert '"trace_hash"' in out, err
    pid, malloc, tunables = err.splitlines()[0].split()
    assert int(pid) == process.pid
    assert (malloc, tunables) == (
        (chosen, "None") if chosen else ("malloc", "glibc.malloc.hugetlb=1") if expected else ("None", "None")
    )
