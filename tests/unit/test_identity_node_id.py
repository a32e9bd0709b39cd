"""Ids as people read and type them."""

from __future__ import annotations

import hashlib

import pytest

from overlay.errors import LocalError
from overlay.identity.node_id import format_id, id_prefix_matches, is_id_prefix, node_id_of, parse_id, short_id

NODE_ID = node_id_of(bytes(range(32)))
TEXT = format_id(NODE_ID)


def test_an_id_is_a_labelled_hash_of_the_key() -> None:
    assert hashlib.sha256(b"p2pnode/id/1" + bytes(range(32))).digest() == NODE_ID


def test_the_text_has_fourteen_groups_of_four_letters() -> None:
    groups = TEXT.split("-")

    assert [len(group) for group in groups] == [4] * 14
    assert not set(TEXT) & set("ilou")
    assert short_id(NODE_ID) == "-".join(groups[:2])


def test_typing_is_forgiven() -> None:
    typed = TEXT.upper().replace("0", "O").replace("1", "l").replace("-", "")

    assert parse_id(typed) == NODE_ID
    assert parse_id(f"  {TEXT}\n") == NODE_ID


@pytest.mark.parametrize("group", range(14))
def test_the_mistyped_group_is_named(group: int) -> None:
    at = 5 * group + 2
    wrong = TEXT[:at] + ("7" if TEXT[at] != "7" else "8") + TEXT[at + 1 :]

    with pytest.raises(LocalError, match=rf"group {group + 1} \({wrong[5 * group : 5 * group + 4]}\)"):
        parse_id(wrong)


def test_two_swapped_letters_are_found() -> None:
    assert TEXT[0] != TEXT[1]

    with pytest.raises(LocalError, match="group 1 "):
        parse_id(TEXT[1] + TEXT[0] + TEXT[2:])


def test_of_several_errors_none_is_blamed() -> None:
    with pytest.raises(LocalError, match="more than one letter is wrong"):
        parse_id(TEXT[::-1])


def test_what_is_wrong_with_a_text_that_is_no_id() -> None:
    with pytest.raises(LocalError, match="'u' is not one of its letters"):
        parse_id("u" + TEXT[1:])
    with pytest.raises(LocalError, match="it has 55 letters, a whole id has 56"):
        parse_id(TEXT[:-1])
    with pytest.raises(LocalError, match="it has 0 letters"):
        parse_id("")


@pytest.mark.parametrize("length", [4, 8, 52, 56])
def test_a_prefix_matches(length: int) -> None:
    prefix = TEXT.replace("-", "")[:length]

    assert is_id_prefix(prefix)
    assert id_prefix_matches(prefix.upper(), NODE_ID)
    assert not id_prefix_matches(prefix, node_id_of(b"other"))


@pytest.mark.parametrize("text", ["", "abc", "a-b-c", "192.0.2.7:4433", "hello, world", "u" * 8, "0" * 57])
def test_what_is_no_prefix(text: str) -> None:
    assert not is_id_prefix(text)
    assert not id_prefix_matches(text, bytes(32))


def test_three_letters_match_nothing() -> None:
    assert not id_prefix_matches(TEXT[:3], NODE_ID)


def test_an_id_has_32_bytes() -> None:
    with pytest.raises(LocalError, match="32 bytes"):
        format_id(bytes(31))
