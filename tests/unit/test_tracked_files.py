"""The repository speaks of the project alone: no path of a machine, no host of a registry.

Such a thing gets in by pasting what a tool printed, and works on one machine only.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: What is forbidden and an example that must be found. Written with [] or + so that this file passes itself.
#: Ada's home may stand in examples.
FORBIDDEN = {
    "home folder": (r"/(?:home|Users)/(?!ada/|you/)[a-z][\w.-]*/|/roo[t]/[\w.]", "/ro" + "ot/.pyenv/bin"),
    "work folder": (r"(?<![\w.])/wor[k]/", "see /wo" + "rk/main/x"),
    "registry": (
        r"(?i)\bpypi\.or[g]|pythonhosted\.or[g]|npmjs\.(?:or[g]|co[m])|deb\.debian\.or[g]|registry\.\w+\.\w+/"
        r"|--(?:extra-)?index-ur[l]",
        "https://files.python" + "hosted.org/x",
    ),
}
#: No text; everything else is read.
BINARY = {".png", ".ico", ".woff2", ".whl", ".db"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name]


def _found(pattern: str, text: str) -> list[str]:
    return [match.group() for match in re.finditer(pattern, text)]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_contains(what: str) -> None:
    pattern, _ = FORBIDDEN[what]
    hits = {
        str(path.relative_to(ROOT)): found
        for path in _tracked()
        if path.is_file() and path.suffix not in BINARY and (found := _found(pattern, path.read_text("utf-8")))
    }
    assert hits == {}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_pattern_finds_its_example(what: str) -> None:
    pattern, example = FORBIDDEN[what]
    assert _found(pattern, example)
