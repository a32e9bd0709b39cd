"""An onlooker reads the kind of every golden datagram, and of nothing else."""

from __future__ import annotations

import pytest

from overlay.wire.registry import Kind
from simulations.datagrams import kind_of
from tests.vectors.text import FOLDER, names, read_vector

_FIRST_LINES = {name: (FOLDER / f"{name}.txt").read_text().partition("\n")[0] for name in names()}
#: Those whose first line says, as in "# PING, kind 1: 167 bytes".
KINDS = {name: int(line.split("kind ")[1].split(":")[0]) for name, line in _FIRST_LINES.items() if ", kind " in line}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_a_golden_datagram_is_read(name: str) -> None:
    assert kind_of(read_vector(name)) == KINDS[name]


def test_numbers_of_two_bytes_are_among_them() -> None:
    assert max(KINDS.values()) > 23
    assert set(KINDS.values()) <= {kind.value for kind in Kind}


@pytest.mark.parametrize("data", [b"", bytes(40), bytes(200)])
def test_other_bytes_have_no_kind(data: bytes) -> None:
    assert kind_of(data) == -1
