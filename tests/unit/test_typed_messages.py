"""Messages of applications: what may be declared, and what is said of what may not."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from overlay import message
from overlay.errors import BadMessage, LocalError
from overlay.typed import decode_message, encode_message
from overlay.wire import cbor


@message("point/1", 1)
class Point:
    x: int
    y: int


@message("shape/1", 1)
class Shape:
    name: str
    corners: list[Point]
    #: (red, green, blue), or none.
    colour: tuple[int, int, int] | None = None
    tags: tuple[str, ...] = ()


@message("shape/1", 2)
class LaterShape:
    name: str


@message("point/1", 1)
class LaterPoint:
    x: int
    y: int
    label: str | None = None


SQUARE = Shape(name="square", corners=[Point(0, 0), Point(x=1, y=1)], colour=(1, 2, 3), tags=("a", "b"))


def test_a_message_is_a_value() -> None:
    assert Point(x=1, y=2) == Point(1, 2)
    assert hash(Point(x=1, y=2)) == hash(Point(1, 2))
    with pytest.raises(AttributeError):
        Point(1, 2).x = 3  # type: ignore[misc]


def test_its_encoding_is_name_version_and_fields() -> None:
    assert encode_message(Point(1, 2)) == cbor.encode(["point/1", 1, [1, 2]])
    shape = ["square", [[0, 0], [1, 1]], [1, 2, 3], ["a", "b"]]
    assert encode_message(SQUARE) == cbor.encode(["shape/1", 1, shape])


def test_it_is_read_back() -> None:
    assert decode_message(encode_message(SQUARE), Point, Shape) == SQUARE


def test_versions_are_different_messages() -> None:
    assert decode_message(encode_message(LaterShape("x")), Shape, LaterShape) == LaterShape("x")
    with pytest.raises(BadMessage, match="version 2 of message 'shape/1' is not expected"):
        decode_message(encode_message(LaterShape("x")), Shape)


def test_fields_may_be_appended() -> None:
    later = encode_message(LaterPoint(1, 2, "here"))
    assert decode_message(later, Point) == Point(1, 2)
    assert decode_message(encode_message(Point(1, 2)), LaterPoint) == LaterPoint(1, 2, None)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([1], "at least 2 fields"),
        ([1, "2"], "Point.y: expected a whole number"),
        ([1, True], "Point.y: expected a whole number"),
        ({}, "at least 2 fields"),
    ],
)
def test_wrong_fields_are_named(fields: Any, told: str) -> None:
    with pytest.raises(BadMessage, match=told):
        decode_message(cbor.encode(["point/1", 1, fields]), Point)


def test_a_fault_deep_inside_is_named() -> None:
    body = cbor.encode(["shape/1", 1, ["s", [[0, 0], [0, b"1"]]]])
    with pytest.raises(BadMessage, match=r"Shape\.corners: Point\.y: expected a whole number"):
        decode_message(body, Shape)


def _positive(_message: Any, _field: Any, value: int) -> None:
    if value < 0:
        raise ValueError("below zero")


def _halved(value: int) -> int:
    return 100 // value


@message("count/1", 1)
class Count:
    of: int = attrs.field(validator=_positive)
    part: int = attrs.field(default=1, converter=_halved)


@message("count/1", 1)
class Claim:
    of: int
    part: int = 1


@message("counts/1", 1)
class Counts:
    all: tuple[Count, ...]


@message("counts/1", 1)
class Claims:
    all: tuple[Claim, ...]


@pytest.mark.parametrize("claim", [Claim(-1), Claim(1, 0)])
def test_what_the_class_itself_refuses_is_no_message_either(claim: Claim) -> None:
    with pytest.raises(BadMessage, match="Count: "):
        decode_message(encode_message(claim), Count)
    with pytest.raises(BadMessage, match="Count: "):
        decode_message(encode_message(Claims((claim,))), Counts)
    assert decode_message(encode_message(Claim(2, 50)), Count).part == 2


@pytest.mark.parametrize("body", [[], ["point/1"], ["point/1", True, [1, 2]], [1, 1, []], "point/1", None])
def test_what_is_no_message(body: Any) -> None:
    with pytest.raises(BadMessage, match="a message is"):
        decode_message(cbor.encode(body), Point)


def test_a_value_of_another_type_is_not_encoded() -> None:
    with pytest.raises(LocalError, match=r"Shape\.corners: Point\.x: expected a whole number, got str"):
        encode_message(Shape("s", [Point("1", 2)]))  # type: ignore[arg-type]
    with pytest.raises(LocalError, match=r"Shape\.colour: expected a tuple of 3"):
        encode_message(Shape("s", [], (1, 2)))  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="int is no message: put @message"):
        encode_message(3)


class _Float:
    share: float


class _Anything:
    what: Any


class _Bare:
    items: list  # type: ignore[type-arg]


class _Two:
    either: int | str


class _Unknown:
    what: Missing  # type: ignore[name-defined]  # noqa: F821


class _Mutable:
    items: list[int] = []  # noqa: RUF012


class _WrongDefault:
    text: str = 3  # type: ignore[assignment]


class _Order:
    text: str = ""
    number: int


class _Child(Point):
    z: int


class _Private:
    _x: int


class _Deep:
    x: list[list[list[list[list[list[list[int]]]]]]]


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (_Float, r"_Float\.share: <class 'float'> cannot be sent; a field is str, bytes"),
        (_Anything, r"_Anything\.what: .* cannot be sent"),
        (_Bare, r"_Bare\.items: .* cannot be sent"),
        (_Two, r"_Two\.either: .* cannot be sent"),
        (_Unknown, "_Unknown: name 'Missing' is not defined; its types stand before it"),
        (_Mutable, r"_Mutable\.items: a mutable default"),
        (_WrongDefault, r"_WrongDefault\.text: its default does not fit: expected text, got int"),
        (_Order, "_Order: No mandatory attributes allowed after"),
        (_Child, "_Child has base classes"),
        (_Private, r"_Private\._x: a field that is sent"),
        (_Deep, "_Deep is nested too deeply"),
    ],
)
def test_what_cannot_be_declared(cls: type, told: str) -> None:
    with pytest.raises(LocalError, match=told):
        message("bad", 1)(cls)


@pytest.mark.parametrize(
    ("name", "version"), [("", 1), ("n" * 33, 1), ("a\n", 1), (3, 1), ("a", 0), ("a", True), ("a", "1")]
)
def test_bad_names_and_versions(name: Any, version: Any) -> None:
    with pytest.raises(LocalError, match="message"):
        message(name, version)


def test_what_is_deepest_can_be_read() -> None:
    assert decode_message(encode_message(Deepest([[[[[[]]]]]])), Deepest) == Deepest([[[[[[]]]]]])


@message("deepest", 1)
class Deepest:
    x: list[list[list[list[list[list[int]]]]]]


@message("many/1", 1)
class Many:
    numbers: list[int]
    rest: bytes = b""


def test_a_long_message_has_a_value_in_sixteen_bytes_at_most() -> None:
    """Else a megabyte of hostile ones would take a second to read."""
    many = Many(list(range(3000)), bytes(60_000))
    assert decode_message(encode_message(many), Many) == many
    with pytest.raises(LocalError, match=r"Many has 3005 values in 8\d\d\d bytes, at most 1200 are read: pack"):
        encode_message(Many(list(range(3000))))
    with pytest.raises(BadMessage, match="too many"):
        decode_message(cbor.encode(["many/1", 1, [list(range(3000)), b""]]), Many)
    # What fits into a datagram may hold whatever it likes.
    few = Many([0] * 880)
    assert decode_message(encode_message(few), Many) == few
