"""Whatever bytes or text arrive, a reader says BadMessage (of bytes) or LocalError (of text), and nothing else.

The same targets run with coverage guidance in tests/soak/test_atheris.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage
from overlay.wire import cbor
from overlay.wire.decode import decode_body
from overlay.wire.registry import Kind
from tests.support.fuzz_targets import OTHERS, TARGETS, readers

#: Numbers and lengths at which something begins or ends.
EDGES = st.sampled_from([0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -(2**64)])
LENGTHS = st.sampled_from([0, 1, 6, 7, 8, 9, 18, 31, 32, 33, 38, 50, 64, 255, 256, 833, 1000, 1001])
LEAVES = EDGES | st.none() | st.booleans() | st.binary(max_size=70) | st.builds(bytes, LENGTHS) | st.text(max_size=40)
ITEMS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
#: What replaces, removes, doubles or splices in a piece of a good input.
EDIT = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "double", "end"]), st.integers(0, 2000), st.binary(max_size=12)
)


def edited(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for how, at, piece in edits:
        at %= len(data) + 1
        end = at + len(piece)
        match how:
            case "flip":
                data = data[:at] + bytes(a ^ b for a, b in zip(data[at:end], piece, strict=False)) + data[end:]
            case "cut":
                data = data[:at] + data[end:]
            case "insert":
                data = data[:at] + piece + data[at:]
            case "double":
                data = data[:end] + data[at:]
            case _:
                data = data[:at]
    return data


def test_every_reader_of_what_strangers_send_is_a_target() -> None:
    found = readers()
    covered = {name for target in TARGETS.values() for name in target.covers}
    assert sorted(found.keys() - covered - OTHERS.keys()) == []
    assert sorted(OTHERS.keys() - found.keys()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_good_inputs_are_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_a_reader_raises_nothing_else(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    good = data.draw(st.sampled_from(target.seeds))
    changed = st.lists(EDIT, min_size=1, max_size=8).map(lambda edits: edited(good, edits))
    target.run(data.draw(changed | st.binary(max_size=300)))


def mutated(body: list[Any], index: int, item: Any, shorter: bool) -> list[Any]:
    at = index % (len(body) + 1)
    return body[:at] + ([] if shorter else [item]) + body[at + 1 :]


GOOD_BODIES = {tuple(Kind)[seed[0]]: cbor.decode(seed[1:]) for seed in TARGETS["body"].seeds}


def test_there_is_a_good_body_of_every_kind_in_use() -> None:
    assert {kind for kind in Kind if kind.min_items} <= GOOD_BODIES.keys()


@pytest.mark.parametrize("kind", Kind)
@given(index=st.integers(0, 8), item=ITEMS, shorter=st.booleans())
def test_a_good_body_with_one_item_replaced_is_a_message_or_bad(
    kind: Kind, index: int, item: Any, shorter: bool
) -> None:
    try:
        message = decode_body(kind, mutated(GOOD_BODIES.get(kind, []), index, item, shorter))
    except BadMessage:
        return
    assert message.KIND is kind
    cbor.encode(message.encode_body())
