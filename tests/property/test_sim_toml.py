"""The file that `swarm shrink` writes says the same as the table it is made of."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from p2pnode.ui import toml
from simulations.cli.shrunk import toml_of

#: What TOML can hold; surrogates are no text there.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["k.k", "a b", "", '"', "\x7f"])
PLAIN = (
    TEXT
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.datetimes().map(lambda at: at.replace(fold=0))
    | st.dates()
    | st.times().map(lambda at: at.replace(fold=0))
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
TABLES = st.dictionaries(TEXT, VALUES | st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=3), max_size=5)


@given(TABLES)
def test_a_scenario_survives_the_way_into_a_file_and_back(table: dict[str, Any]) -> None:
    table = tomllib.loads(f"t = {toml.value(table)}")["t"]  # as one is that was read from a file
    assert tomllib.loads(toml_of({"name": "small", **table})) == {k: v for k, v in table.items() if k != "name"}


@given(VALUES)
def test_a_value_is_read_back_with_its_type(value: Any) -> None:
    line = toml.value(value)
    assert "\n" not in line
    read = tomllib.loads(f"x = {line}")["x"]
    assert repr(read) == repr(value)
