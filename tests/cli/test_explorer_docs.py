"""docs/chain-explorer.md shows what people see: its commands are run, and what they print is what stands there.

UPDATE_GOLDEN=1 writes the outputs anew."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Explore
from tests.cli.explorer import Place, live, running

PAGE = Path(__file__).parents[2] / "docs" / "chain-explorer.md"
_BLOCK = re.compile(r"```\n(\$ .*?)```\n", re.DOTALL)
#: What differs from run to run.
_TOOK = re.compile(r"\d+\.\d s$", re.MULTILINE)


def _commands(page: str) -> list[str]:
    return [line[2:] for block in _BLOCK.findall(page) for line in block.splitlines() if line.startswith("$ ")]


def _shown(explore: Explore, line: str, place: Place) -> str:
    """What a terminal shows: data, then talk. Of a pipe the last command's; `sed s/A/B/` is done here."""
    data = b""
    for part in line.split(" | "):
        words = shlex.split(part)
        if words[0] == "sed":
            _, old, new, _ = words[1].split("/")
            data = data.replace(old.encode(), new.encode())
            continue
        ran = explore(*words[1:], stdin=data)
        data = ran.out.encode()
    text = (ran.out + ran.err).replace(str(place.folder), "/home/ada")
    return _TOOK.sub("0.1 s", text).rstrip("\n")


def test_every_output_on_the_page_is_a_real_one(explore: Explore, place: Place) -> None:
    text = PAGE.read_text()
    shown: dict[str, str] = {}
    with running(place) as (node, token):
        commands = _commands(text)
        # The chain grows while it is watched, so that comes last.
        for line in sorted(commands, key=lambda line: "watch" in line):
            thread = live(place, node, token) if "watch" in line else None
            shown[line] = _shown(explore, line, place)
            if thread is not None:
                thread.join()

    def block(found: re.Match[str]) -> str:
        lines = [line for line in found[1].splitlines() if line.startswith("$ ")]
        return "```\n" + "\n".join(f"{line}\n{shown[line[2:]]}" for line in lines) + "\n```\n"

    real = _BLOCK.sub(block, text)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(real)
    assert real == text, "the page is not what the commands print; if that is meant: UPDATE_GOLDEN=1"


def test_screens_fit_into_80_columns() -> None:
    """JSON and CSV, which are for programs, apart."""
    for block in _BLOCK.findall(PAGE.read_text()):
        command = ""
        for line in block.splitlines():
            command = line if line.startswith("$ ") else command
            if line != command and not re.search("--json|--csv|export", command):
                assert len(line) <= 80, line


@pytest.mark.parametrize("name", ["status", "blocks", "block", "tx", "address", "mempool", "search", "anchor", "name",
                                  "names", "evidence", "forks", "supply", "stats", "watch", "verify", "proof", "export",
                                  "decode"])  # fmt: skip
def test_every_command_is_on_the_page(name: str) -> None:
    assert any(name in line.split() for line in _commands(PAGE.read_text()))
