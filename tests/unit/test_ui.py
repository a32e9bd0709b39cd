"""Failures, tables and values as people and scripts see them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.runtime.ports import CODES
from p2pnode import status
from p2pnode.cli.arguments import Seconds
from p2pnode.ui.fail import EXITS, Exit, Fail, as_json, as_text, fail
from p2pnode.ui.render import columns_of, cut, duration, short_id, table
from p2pnode.ui.values import from_json, readable, to_json


@given(st.binary(max_size=64) | st.text(max_size=32).map(lambda text: text.encode(errors="surrogatepass")))
def test_value_survives_json(data: bytes) -> None:
    assert from_json(json.loads(json.dumps(to_json(data)))) == data


@given(st.binary(max_size=64))
def test_readable_text_has_no_control_characters(data: bytes) -> None:
    text = readable(data)
    if text is not None:
        assert text.encode() == data
        assert not any((ord(c) < 32 and c not in "\t\n\r") or 127 <= ord(c) < 160 for c in text)


@pytest.mark.parametrize("wrong", [1, None, [], {}, {"base64": 1}, {"base64": "AA==", "more": 1}, {"base64": "A"}])
def test_other_forms_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError):
        from_json(wrong)


def test_codes_of_the_core_have_the_same_exit() -> None:
    assert {code: EXITS[code].value for code in CODES} == CODES


def test_exit_codes_are_a_contract() -> None:
    assert [code.value for code in Exit] == [0, 1, 2, 3, 4, 5, 6, 130]


def test_failure_as_text_and_as_json() -> None:
    with pytest.raises(Fail) as caught:
        fail("no such thing", code="not_found", looked_for="here\nand there", try_="that")
    assert as_text(caught.value) == (
        "error: no such thing\n  looked for  here\n              and there\n  try         that"
    )
    assert json.loads(as_json(caught.value)) == {
        "v": 1,
        "error": {
            "code": "not_found",
            "message": "no such thing",
            "facts": {"looked for": "here\nand there", "try": "that"},
        },
    }
    assert caught.value.exit is Exit.NOT_FOUND


def test_code_of_a_newer_node_is_a_failure() -> None:
    assert Fail("x", code="from the future").exit is Exit.FAILED


@given(st.lists(st.tuples(st.text(max_size=12), st.integers() | st.none()), max_size=5))
def test_table_is_aligned_and_one_line_a_row(rows: list[tuple[str, int | None]]) -> None:
    text = table(("NAME", "COUNT"), rows, right=("COUNT",))
    lines = text.split("\n")
    assert len(lines) == len(rows) + 1
    ends = {columns_of(line) for line in lines}
    assert len(ends) == 1  # right-aligned figures end in one column
    assert all(c.isprintable() for line in lines for c in line)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("写真", 4), ("u\u0308", 1), ("ｈ", 2), ("", 0)])
def test_columns_of_a_terminal(text: str, columns: int) -> None:
    assert columns_of(text) == columns
    assert cut(text, columns) == text


@given(st.text(max_size=20), st.integers(1, 12))
def test_what_is_cut_fits(text: str, width: int) -> None:
    short = cut(text, width)
    assert columns_of(short) <= width
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]) and columns_of(text) > width)


def test_short_id() -> None:
    assert short_id("n7xk-4qfa-0000-1111") == "n7xk-4qfa"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min"), (3660, "1 h 01 min"), (93600, "1 d 2 h")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("90s", 90), ("15m", 900), ("12h", 43200), ("1d", 86400)])
def test_seconds(text: str, seconds: int) -> None:
    assert Seconds(most=86400).convert(text, None, None) == seconds


def test_status_keeps_the_order_of_the_contract() -> None:
    core = {"counters": {}, "role": "full", "id": "i", "records": 0, "table": 0, "peers": 0, "key": "k"}
    composed = status.compose(core, network="n", listen=("udp 127.0.0.1:1",), ticket="t", uptime_s=1.23456, version="0")
    assert tuple(composed)[: len(status.KEYS)] == status.KEYS
    assert composed["uptime_s"] == 1.235
    assert status.sentence(composed).startswith("alone")
