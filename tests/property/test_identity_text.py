"""Texts of ids and network keys: read back, and never anything but LocalError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError
from overlay.identity import base32
from overlay.identity.network import format_psk, parse_psk
from overlay.identity.node_id import format_id, id_prefix_matches, is_id_prefix, parse_id

IDS = st.binary(min_size=32, max_size=32)


@given(st.binary(max_size=100))
def test_base32_is_read_back(data: bytes) -> None:
    assert base32.decode(base32.encode(data)) == data


@given(st.text(alphabet=base32.ALPHABET, max_size=60))
def test_no_two_texts_stand_for_the_same_bytes(text: str) -> None:
    try:
        data = base32.decode(text)
    except LocalError:
        return
    assert base32.encode(data) == text


@given(IDS)
def test_an_id_is_read_back(node_id: bytes) -> None:
    assert parse_id(format_id(node_id)) == node_id


@given(IDS, st.integers(4, 69))
def test_every_beginning_of_an_id_matches_it(node_id: bytes, length: int) -> None:
    prefix = format_id(node_id)[:length]

    if len(prefix.replace("-", "")) >= 4:
        assert is_id_prefix(prefix)
        assert id_prefix_matches(prefix, node_id)


@given(IDS, st.integers(0, 55), st.sampled_from(base32.ALPHABET))
def test_one_wrong_letter_is_noticed(node_id: bytes, at: int, letter: str) -> None:
    letters = format_id(node_id).replace("-", "")
    wrong = letters[:at] + letter + letters[at + 1 :]

    if wrong != letters:
        with pytest.raises(LocalError, match="not an id"):
            parse_id(wrong)


@given(st.text(max_size=100))
def test_any_text_is_an_id_or_a_local_error(text: str) -> None:
    try:
        node_id = parse_id(text)
    except LocalError:
        return
    assert format_id(node_id).replace("-", "") == base32.normalise(text)


@given(st.binary(min_size=32, max_size=32))
def test_a_network_key_is_read_back(psk: bytes) -> None:
    assert parse_psk(format_psk(psk)) == psk


@given(st.text(max_size=80))
def test_any_text_is_a_network_key_or_a_local_error(text: str) -> None:
    with pytest.raises(LocalError):
        parse_psk(f"p2pnode-key1:{text}")
