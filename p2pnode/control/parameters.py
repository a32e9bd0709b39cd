"""Arguments of the control API: one table checks them before the core sees them and describes them in OpenAPI."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from p2pnode.ui.values import from_json

Schema = dict[str, Any]


class Kind(enum.Enum):
    """How an argument looks in JSON and what the core gets."""

    #: A text.
    TEXT = enum.auto()
    #: A whole number >= 0.
    COUNT = enum.auto()
    #: Bytes: text, or {"base64": "..."} where the bytes are not text.
    VALUE = enum.auto()
    #: 64 hex digits.
    KEY = enum.auto()
    #: [{"address": "ip:port", "id": text or null}, ...]
    ADDRESSES = enum.auto()


VALUE_SCHEMA: Schema = {
    "description": "text where the bytes are printable UTF-8, else base64",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
            "required": ["base64"],
            "additionalProperties": False,
        },
    ],
}
KEY_SCHEMA: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}

_SCHEMAS: dict[Kind, Schema] = {
    Kind.TEXT: {"type": "string"},
    Kind.COUNT: {"type": "integer", "minimum": 0},
    Kind.VALUE: VALUE_SCHEMA,
    Kind.KEY: KEY_SCHEMA,
    Kind.ADDRESSES: {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"address": {"type": "string"}, "id": {"type": ["string", "null"]}},
            "required": ["address"],
            "additionalProperties": False,
        },
    },
}


class BadArgument(Exception):
    """The text says which argument is wrong and what it should be."""


@attrs.frozen(slots=True)
class Parameter:
    name: str
    kind: Kind
    description: str
    required: bool = attrs.field(default=False, kw_only=True)
    #: The only texts that are accepted; empty: any.
    choices: tuple[str, ...] = attrs.field(default=(), kw_only=True)

    @property
    def schema(self) -> Schema:
        schema = dict(_SCHEMAS[self.kind])
        if self.choices:
            schema["enum"] = list(self.choices)
        return {"description": self.description, **schema}

    def check(self, value: object) -> Any:
        """The value as the core takes it; BadArgument."""
        match self.kind, value:
            case Kind.TEXT, str() if not self.choices or value in self.choices:
                return value
            case Kind.COUNT, int() if not isinstance(value, bool) and 0 <= value < 1 << 63:
                return value
            case Kind.KEY, str() if is_key(value):
                return value.lower()
            case Kind.VALUE, _:
                try:
                    return from_json(value)
                except ValueError as error:
                    raise BadArgument(f"{self.name}: {error}") from None
            case Kind.ADDRESSES, list():
                return [self._entry(i, item) for i, item in enumerate(value)]
        raise BadArgument(f"{self.name}: expected {self._expected()}, got {str(value)[:80]!r}")

    def _entry(self, i: int, item: object) -> dict[str, str | None]:
        match item:
            case {"address": str(address), "id": (str() | None) as node_id, **rest} if not rest:
                return {"address": address, "id": node_id}
            case {"address": str(address), **rest} if not rest:
                return {"address": address, "id": None}
        raise BadArgument(f'{self.name}[{i}]: expected {{"address": "ip:port", "id": text or null}}')

    def _expected(self) -> str:
        if self.choices:
            return " or ".join(self.choices)
        match self.kind:
            case Kind.COUNT:
                return "a whole number >= 0"
            case Kind.KEY:
                return "64 hex digits"
            case Kind.ADDRESSES:
                return "a list"
            case _:
                return "a text"


def is_key(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)


def checked(parameters: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """Arguments for the core. null counts as absent; BadArgument names an unknown, missing or wrong one."""
    known = {parameter.name: parameter for parameter in parameters}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise BadArgument(f"{unknown[0]}: no such argument (known: {', '.join(known) or 'none'})")
    present = {name: value for name, value in given.items() if value is not None}
    missing = [parameter.name for parameter in parameters if parameter.required and parameter.name not in present]
    if missing:
        raise BadArgument(f"{missing[0]}: missing")
    return {name: known[name].check(value) for name, value in present.items()}


def from_query(parameters: Sequence[Parameter], query: Mapping[str, str]) -> dict[str, object]:
    """Texts of a query string with whole numbers turned into int, for `checked`."""
    counts = {parameter.name for parameter in parameters if parameter.kind is Kind.COUNT}
    # 19 digits are 63 bits; int() raises for 4,301, and longer texts fail the check as they are.
    return {
        name: int(text) if name in counts and text.isdecimal() and len(text) < 20 else text
        for name, text in query.items()
    }
