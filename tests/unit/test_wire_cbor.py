"""Deterministic CBOR: the one encoding is written, and every other one is refused."""

from __future__ import annotations

import enum

import pytest

from overlay.errors import BadMessage, LocalError
from overlay.wire import cbor

# RFC 8949 appendix A, what this protocol uses of it.
APPENDIX_A = [
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (bytes.fromhex("01020304"), "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
]


@pytest.mark.parametrize(("value", "encoded"), APPENDIX_A, ids=[hexes for _, hexes in APPENDIX_A])
def test_examples_of_rfc_8949(value: object, encoded: str) -> None:
    assert cbor.encode(value).hex() == encoded
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert decoded == value
    assert type(decoded) is type(value)


def test_keys_are_in_bytewise_order_and_not_shorter_first() -> None:
    """RFC 8949 4.2.1 has this very example; RFC 7049 would put -1 before 100 (cbor2 still does)."""
    value = {"aa": 5, 100: 2, -1: 3, "z": 4, 10: 1}

    assert cbor.encode(value).hex() == "a50a0118640220036" + "17a0462616105"
    assert list(cbor.decode(cbor.encode(value))) == [10, 100, -1, "z", "aa"]


def test_enums_and_tuples_are_what_they_stand_for() -> None:
    class Number(enum.IntEnum):
        SEVEN = 7

    class Word(enum.StrEnum):
        HELLO = "hello"

    assert cbor.encode((Number.SEVEN, Word.HELLO)) == cbor.encode([7, "hello"])


REFUSED = {
    "empty": "",
    "number in more bytes than it needs, 1": "1817",
    "number in more bytes than it needs, 2": "1900ff",
    "number in more bytes than it needs, 4": "1a0000ffff",
    "number in more bytes than it needs, 8": "1b00000000ffffffff",
    "negative number in more bytes than it needs": "3817",
    "length in more bytes than it needs": "580101",
    "length of text in more bytes than it needs": "780161",
    "length of an array in more bytes than it needs": "980101",
    "length of a map in more bytes than it needs": "b8010101",
    "reserved argument": "1c",
    "bytes of no length": "5f4101ff",
    "text of no length": "7f6161ff",
    "array of no length": "9f01ff",
    "map of no length": "bf0101ff",
    "break alone": "ff",
    "tag: date": "c074323031332d30332d32315432303a30343a30305a",
    "tag: regular expression": "d823622e2a",
    "tag: big number": "c249010000000000000000",
    "tag: shared": "d81c80",
    "half float": "f93c00",
    "float": "fa47c35000",
    "double": "fb3ff199999999999a",
    "undefined": "f7",
    "simple value": "f0",
    "simple value in a byte": "f818",
    "false in a byte": "f814",
    "keys in the wrong order": "a203040102",
    "keys in the order of RFC 7049": "a22002186401",
    "key twice": "a201020103",
    "key is an array": "a18001",
    "key is null": "a1f601",
    "key is true": "a1f501",
    "text that is not UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "text in an overlong form": "62c080",
    "two items": "0000",
    "bytes end too early": "4201",
    "text ends too early": "6261",
    "array ends too early": "8201",
    "map ends too early": "a101",
    "number ends too early": "19ff",
    "array longer than memory": "9bffffffffffffffff",
    "map longer than memory": "bbffffffffffffffff",
    "bytes longer than memory": "5bffffffffffffffff",
}


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_the_one_encoding_is_refused(encoded: str) -> None:
    with pytest.raises(BadMessage):
        cbor.decode(bytes.fromhex(encoded))


def test_depth_is_limited() -> None:
    assert cbor.decode(b"\x81" * 8 + b"\x00") == [[[[[[[[0]]]]]]]]
    with pytest.raises(BadMessage, match="deep"):
        cbor.decode(b"\x81" * 9 + b"\x00")
    with pytest.raises(BadMessage, match="deep"):
        cbor.decode(b"\x81" * 100_000)


def test_items_are_limited() -> None:
    assert len(cbor.decode(cbor.encode([0] * 1200))) == 1200
    with pytest.raises(BadMessage, match="too many"):
        cbor.decode(cbor.encode([0] * 1201))
    with pytest.raises(BadMessage, match="too many"):
        cbor.decode(cbor.encode([[0] * 600, [0] * 600]))
    assert len(cbor.decode(cbor.encode([0] * 1201), max_items=2000)) == 1201


@pytest.mark.parametrize("value", [1.5, {1, 2}, object(), 1 << 64, -(1 << 64) - 1, "\ud800", {None: 1}, {True: 1}])
def test_what_has_no_encoding_is_a_local_error(value: object) -> None:
    with pytest.raises(LocalError):
        cbor.encode(value)
