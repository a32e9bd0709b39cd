"""The repository speaks of the project alone, and what its texts name is there.

A path of a machine or the host of a registry gets in by pasting what a tool printed, and works on one machine only.
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


#: A link of Markdown to a file, or a test that a text names. `(planned)` after it says that it is not there yet.
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_NAMED_TEST = re.compile(r"(?<![\w/])(tests/[\w/]+\.py)( \(planned\))?")


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("[dt]*s/**/*.md")), ids=lambda p: p.name)
def test_what_a_text_names_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    missing = [link for link in _LINK.findall(text) if not (path.parent / link).exists()]
    missing += [name for name, planned in _NAMED_TEST.findall(text) if (ROOT / name).exists() == bool(planned)]
    # tests/README.md shows how a test is named.
    assert [name for name in missing if name != "tests/unit/test_x.py"] == []
