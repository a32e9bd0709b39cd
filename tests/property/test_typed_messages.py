"""Messages of applications: every value that can be declared is read back, and nothing else comes out of bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage
from overlay.typed import decode_message, encode_message
from overlay.wire import cbor
from tests.property.test_fuzz_decode import ITEMS
from tests.support.fuzz_targets import Inner, Outer

INTS = st.integers(-(2**64), 2**64 - 1)
INNER = st.builds(Inner, number=INTS, maybe=st.none() | st.binary(max_size=20))
OUTER = st.builds(
    Outer, text=st.text(max_size=20), flag=st.booleans(), inner=INNER, many=st.lists(INNER, max_size=4),
    row=st.none() | st.tuples(INTS, st.text(max_size=5)), tags=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)  # fmt: skip


@given(value=INNER | OUTER)
def test_a_value_is_read_back(value: Inner | Outer) -> None:
    assert decode_message(encode_message(value), Inner, Outer) == value


@given(value=OUTER, at=st.integers(0, 5), item=ITEMS)
def test_one_item_replaced_gives_the_type_that_was_declared_or_bad_message(value: Outer, at: int, item: Any) -> None:
    _, _, fields = cbor.decode(encode_message(value))
    fields[at] = item
    try:
        read = decode_message(cbor.encode(["outer/1", 1, fields]), Outer)
    except BadMessage:
        return
    assert encode_message(read)  # it checks the type of every field


@given(value=OUTER, more=st.lists(ITEMS, max_size=3))
def test_items_of_later_versions_are_ignored(value: Outer, more: list[Any]) -> None:
    name, version, fields = cbor.decode(encode_message(value))
    assert decode_message(cbor.encode([name, version, [*fields, *more], *more]), Outer) == value
