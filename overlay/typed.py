"""Typed messages of applications: a class with annotations becomes a frozen value with one encoding.

    @message("chat/1", 1)
    class Say:
        text: str

    Say(text="hello")                      a value
    encode_message(Say(text="hello"))      b"..."  deterministic CBOR [name, version, [field, ...]]
    decode_message(body, Say, Leave)       one of these, or BadMessage, also where a validator of the class refuses it

Fields are str, bytes, int, bool, other messages, lists and tuples of them, and each of these `| None`. The order of
the fields is the format: append new ones, with a default, and both sides go on understanding each other (a reader
ignores trailing fields that it does not know). Raise the version for any other change: it is another message then.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

import attrs

from overlay.errors import BadMessage, LocalError
from overlay.limits import MAX_APP_NAME, MAX_CBOR_DEPTH, MAX_CBOR_ITEMS
from overlay.wire import cbor

M = TypeVar("M")

#: Around the fields: the array of the message and the array of its fields.
_ENVELOPE_DEPTH = 2
_SCHEMA = "__message__"


@attrs.frozen(slots=True)
class _Shape:
    """One annotation: how deep its CBOR is nested, and the two ways. `pack` raises LocalError, `unpack` BadMessage."""

    depth: int
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


@attrs.frozen(slots=True)
class _Schema:
    name: str
    version: int
    fields: tuple[tuple[str, _Shape], ...]
    #: Fields that have no default, which stand before those that have one.
    required: int

    @property
    def depth(self) -> int:
        return 1 + max((shape.depth for _, shape in self.fields), default=0)

    def pack(self, value: Any) -> list[Any]:
        packed = []
        for name, shape in self.fields:
            try:
                packed.append(shape.pack(getattr(value, name)))
            except LocalError as error:
                raise LocalError(f"{type(value).__name__}.{name}: {error}") from None
        return packed

    def unpack(self, cls: type[M], items: Any) -> M:
        if type(items) is not list or len(items) < self.required:
            raise BadMessage(f"{cls.__name__} has at least {self.required} fields")
        values = {}
        for (name, shape), item in zip(self.fields, items, strict=False):
            try:
                values[name] = shape.unpack(item)
            except BadMessage as error:
                raise BadMessage(f"{cls.__name__}.{name}: {error.reason}") from None
        try:
            return cls(**values)
        except BadMessage:
            raise
        except Exception as error:  # a validator or converter of the class: what it refuses came from the network
            raise BadMessage(f"{cls.__name__}: {error}") from error


@dataclass_transform(frozen_default=True)
def message(name: str, version: int) -> Callable[[type[M]], type[M]]:
    """Make a message of a class. Name (1 to 32 printable bytes) and version tell it apart from all others.

    LocalError, at once, if the name or an annotation will not do, or a default is mutable or of another type.
    """
    if type(name) is not str or not name.isprintable() or not 1 <= len(name.encode()) <= MAX_APP_NAME:
        raise LocalError(f"the name of a message has 1 to {MAX_APP_NAME} printable bytes, not {name!r}")
    if type(version) is not int or not 1 <= version < 1 << 32:
        raise LocalError(f"message {name}: a version is a whole number from 1 on, not {version!r}")

    def decorate(cls: type[M]) -> type[M]:
        if cls.__bases__ != (object,):
            raise LocalError(f"message {cls.__name__} has base classes: name every field in the class itself")
        try:
            hints = get_type_hints(cls)
        except NameError as error:
            raise LocalError(f"message {cls.__name__}: {error}; its types stand before it in the module") from None
        try:
            made = attrs.frozen(slots=True)(cls)
        except ValueError as error:  # a field without a default after one that has one
            raise LocalError(f"message {cls.__name__}: {error}") from None
        fields = []
        for field in attrs.fields(made):  # type: ignore[arg-type]
            if field.name.startswith("_"):
                raise LocalError(f"{cls.__name__}.{field.name}: a field that is sent has no name that begins with _")
            shape = _shape(hints[field.name], f"{cls.__name__}.{field.name}")
            _check_default(field, shape, cls.__name__)
            fields.append((field.name, shape))
        required = sum(field.default is attrs.NOTHING for field in attrs.fields(made))  # type: ignore[arg-type]
        schema = _Schema(name, version, tuple(fields), required)
        if _ENVELOPE_DEPTH - 1 + schema.depth > MAX_CBOR_DEPTH:
            raise LocalError(f"message {cls.__name__} is nested too deeply: at most {MAX_CBOR_DEPTH} lists in lists")
        setattr(made, _SCHEMA, schema)
        return made

    return decorate


def encode_message(value: object) -> bytes:
    """LocalError if it is no message, a field holds something else than its annotation says, or a long message holds
    more values than one in 16 bytes: nobody would decode that, for it takes a second a megabyte."""
    schema = _schema_of(type(value))
    packed = [schema.name, schema.version, schema.pack(value)]
    body = cbor.encode(packed)
    if len(body) > MAX_CBOR_ITEMS and (count := _items(packed)) > _most_items(body):
        raise LocalError(
            f"{type(value).__name__} has {count} values in {len(body)} bytes, at most {_most_items(body)} are read: "
            "pack small values into bytes"
        )
    return body


def decode_message(body: bytes, *types: type[M]) -> M:
    """The message in `body`, of one of these types; BadMessage if it is none of them."""
    match cbor.decode(body, max_items=_most_items(body)):
        case [str(name), int(version), items, *_] if type(version) is int:
            for cls in types:
                schema = _schema_of(cls)
                if schema.name == name and schema.version == version:
                    return schema.unpack(cls, items)
            raise BadMessage(f"version {version} of message {name!r} is not expected here")
    raise BadMessage("a message is a name, a version and fields")


def is_message(cls: object) -> bool:
    return isinstance(getattr(cls, _SCHEMA, None), _Schema)


# --- inside -------------------------------------------------------------------------------


def _most_items(body: bytes) -> int:
    return max(MAX_CBOR_ITEMS, len(body) // 16)


def _items(packed: Any) -> int:
    """As the decoder counts them."""
    return len(packed) + sum(map(_items, packed)) if isinstance(packed, list | tuple) else 0


def _schema_of(cls: type) -> _Schema:
    schema = getattr(cls, _SCHEMA, None)
    if not isinstance(schema, _Schema):
        raise LocalError(f"{cls.__name__} is no message: put @message(name, version) before it")
    return schema


def _check_default(field: attrs.Attribute[Any], shape: _Shape, owner: str) -> None:
    if field.default is attrs.NOTHING:
        return
    what = f"{owner}.{field.name}"
    if isinstance(field.default, list | dict | set | bytearray) or (
        not attrs.has(type(field.default)) and (type(field.default).__hash__ is None)
    ):
        raise LocalError(f"{what}: a mutable default would be shared by all messages; use a tuple")
    try:
        shape.pack(field.default)
    except LocalError as error:
        raise LocalError(f"{what}: its default does not fit: {error}") from None


def _shape(hint: Any, what: str) -> _Shape:
    """LocalError, naming the field, for an annotation that has no encoding."""
    plain = _PLAIN.get(hint) if isinstance(hint, type) else None
    if plain is not None:
        return plain
    if is_message(hint):
        return _nested(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        [inner] = [_shape(argument, what) for argument in arguments if argument is not NoneType]
        return _Shape(
            inner.depth,
            lambda value: None if value is None else inner.pack(value),
            lambda item: None if item is None else inner.unpack(item),
        )
    if origin is list and len(arguments) == 1:
        return _many(_shape(arguments[0], what), list)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _many(_shape(arguments[0], what), tuple)
    if origin is tuple and arguments and Ellipsis not in arguments:
        return _row(tuple(_shape(argument, what) for argument in arguments))
    raise LocalError(
        f"{what}: {hint!r} cannot be sent; a field is str, bytes, int, bool, another message, a list or tuple of "
        "them (list[int], tuple[str, ...]), or one of these | None"
    )


def _exact(kind: type, noun: str) -> _Shape:
    def pack(value: Any) -> Any:
        if type(value) is not kind:
            raise LocalError(f"expected {noun}, got {type(value).__name__}")
        return value

    def unpack(item: Any) -> Any:
        if type(item) is not kind:
            raise BadMessage(f"expected {noun}")
        return item

    return _Shape(0, pack, unpack)


_PLAIN = {
    str: _exact(str, "text"),
    bytes: _exact(bytes, "bytes"),
    int: _exact(int, "a whole number"),
    bool: _exact(bool, "true or false"),
}


def _nested(cls: type) -> _Shape:
    """Without name and version: the field says what it is."""
    schema = _schema_of(cls)

    def pack(value: Any) -> list[Any]:
        if type(value) is not cls:
            raise LocalError(f"expected {cls.__name__}, got {type(value).__name__}")
        return schema.pack(value)

    return _Shape(schema.depth, pack, lambda items: schema.unpack(cls, items))


def _many(inner: _Shape, kind: type[list[Any]] | type[tuple[Any, ...]]) -> _Shape:
    def pack(value: Any) -> list[Any]:
        if type(value) is not kind:
            raise LocalError(f"expected a {kind.__name__}, got {type(value).__name__}")
        return [inner.pack(item) for item in value]

    def unpack(items: Any) -> Any:
        if type(items) is not list:
            raise BadMessage("expected a list")
        return kind(inner.unpack(item) for item in items)

    return _Shape(1 + inner.depth, pack, unpack)


def _row(inner: tuple[_Shape, ...]) -> _Shape:
    def pack(value: Any) -> list[Any]:
        if type(value) is not tuple or len(value) != len(inner):
            raise LocalError(f"expected a tuple of {len(inner)}")
        return [shape.pack(item) for shape, item in zip(inner, value, strict=True)]

    def unpack(items: Any) -> tuple[Any, ...]:
        if type(items) is not list or len(items) != len(inner):
            raise BadMessage(f"expected {len(inner)} items")
        return tuple(shape.unpack(item) for shape, item in zip(inner, items, strict=True))

    return _Shape(1 + max(shape.depth for shape in inner), pack, unpack)
