"""What copies of the chain say to each other: what is encoded is read back, and nothing else is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core import wire
from apps.chain.core.limits import (
    HEADERS_PER_MESSAGE,
    MAX_BLOCK_TXS,
    MAX_BODIES_PER_PEER,
    MAX_LOCATOR,
    MAX_PUBLISHED_TXS,
    MAX_TX_BYTES,
)
from apps.chain.core.relay import bundled
from overlay.errors import BadMessage
from overlay.wire import cbor

ids = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, (1 << 53) - 1)
txs = st.lists(st.binary(min_size=1, max_size=300), max_size=20).map(tuple)

questions = st.one_of(
    st.builds(wire.AskHeaders, st.lists(ids, max_size=MAX_LOCATOR).map(tuple)),
    st.builds(wire.AskBodies, st.lists(ids, max_size=MAX_BODIES_PER_PEER).map(tuple)),
    st.builds(
        wire.AskTxs, ids, st.lists(st.integers(0, MAX_BLOCK_TXS - 1), min_size=1, max_size=50).map(tuple)
    ),
    st.just(wire.AskPool()),
    st.builds(wire.AskProof, ids),
    st.builds(wire.AskAccount, ids),
)
answers = st.one_of(
    st.builds(wire.Headers, st.lists(st.binary(min_size=1, max_size=200), max_size=20).map(tuple), st.booleans()),
    st.builds(wire.Part, st.booleans(), st.binary(min_size=1, max_size=300)),
    st.just(wire.Part(False, b"")),
    st.builds(wire.Txs, txs),
    st.builds(wire.AccountIs, numbers, numbers, numbers),
)
standings = st.builds(
    wire.Standing, numbers, ids, st.integers(0, (1 << 256) - 1), numbers, ids, ids | st.just(b""), st.booleans(),
    numbers,
)  # fmt: skip
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "question": wire.decode_question, "answer": wire.decode_answer, "standing": wire.decode_standing,
    "txs": wire.decode_txs, "where": wire.decode_where,
}  # fmt: skip


@given(questions)
def test_questions_are_read_back(question: wire.Question) -> None:
    assert wire.decode_question(wire.encode_question(question)) == question


@given(answers)
def test_answers_are_read_back(answer: wire.Answer) -> None:
    assert wire.decode_answer(wire.encode_answer(answer)) == answer


@given(standings)
def test_standings_are_read_back(standing: wire.Standing) -> None:
    assert wire.decode_standing(wire.encode_standing(standing)) == standing
    assert wire.decode_where(wire.encode_where(standing)) == standing


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=300))
def test_other_bytes_are_bad_messages(name: str, data: bytes) -> None:
    try:
        DECODERS[name](data)
    except BadMessage:
        pass


@pytest.mark.parametrize("name", DECODERS)
@given(
    items=st.recursive(
        st.integers(-5, 1 << 60) | st.booleans() | st.none() | ids | st.binary(max_size=5) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=5),
    )
)
def test_other_arrays_are_bad_messages(name: str, items: Any) -> None:
    data = cbor.encode(items)
    try:
        found = DECODERS[name](data)
    except BadMessage:
        return
    encode: dict[str, Callable[[Any], bytes]] = {
        "question": wire.encode_question, "answer": wire.encode_answer, "standing": wire.encode_standing,
        "txs": wire.encode_txs, "where": wire.encode_where,
    }  # fmt: skip
    assert encode[name](found) == data


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("question", [True, []]),
        ("question", [1, [bytes(32)] * (MAX_LOCATOR + 1)]),
        ("question", [2, [bytes(32)] * (MAX_BODIES_PER_PEER + 1)]),
        ("question", [3, bytes(32), [MAX_BLOCK_TXS]]),
        ("question", [3, bytes(32), []]),
        ("question", [3, bytes(32), [True]]),
        ("question", [5, bytes(31)]),
        ("answer", [1, [bytes(150)] * (HEADERS_PER_MESSAGE + 1), True]),
        ("answer", [1, [bytes(201)], True]),
        ("answer", [2, True, b""]),
        ("answer", [4, 1 << 53, 0, 0]),
        ("answer", [4, True, 0, 0]),
        ("txs", [bytes(MAX_TX_BYTES + 1)]),
        ("txs", [b""]),
        ("txs", [b"x"] * (MAX_PUBLISHED_TXS + 1)),
        ("standing", [0, bytes(32), bytes(31), 0, bytes(32), b"", False]),
        ("standing", [0, bytes(32), bytes(32), 0, bytes(32), b"", 0]),
    ],
)
def test_what_is_too_much_is_refused(name: str, items: Any) -> None:
    with pytest.raises(BadMessage):
        DECODERS[name](cbor.encode(items))


@given(st.lists(st.binary(min_size=100, max_size=400), max_size=40), st.integers(450, 900))
def test_bundles_hold_all_and_fit_into_datagrams(raws: list[bytes], room: int) -> None:
    bodies = bundled(raws, room)
    assert [raw for body in bodies for raw in wire.decode_txs(body)] == raws
    assert len(bodies) <= 8
    if len(bodies) > 1:
        assert all(len(body) <= room for body in bodies)
