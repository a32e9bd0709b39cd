"""The part of JSON Schema that docs/openapi.json uses: enough to catch an answer that is not as described."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_KNOWN = {
    "type", "const", "enum", "pattern", "minimum", "anyOf", "items", "properties", "required",
    "additionalProperties", "description", "contentEncoding",
}  # fmt: skip


def conforms(value: Any, schema: Mapping[str, Any], *, at: str = "$") -> None:
    """AssertionError names the place where `value` is not as described."""
    assert set(schema) <= _KNOWN, f"{at}: this check does not know {set(schema) - _KNOWN}"
    if "anyOf" in schema:
        assert any(_is(value, choice) for choice in schema["anyOf"]), f"{at}: {value!r} fits none of anyOf"
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        # In Python True is an int; in JSON it is not a number.
        names = [
            name for name in names if isinstance(value, _TYPES[name]) and isinstance(value, bool) <= (name == "boolean")
        ]
        assert names, f"{at}: {value!r} is not {schema['type']}"
    assert value == schema.get("const", value), f"{at}: {value!r}"
    assert value in schema.get("enum", [value]), f"{at}: {value!r} is not one of {schema.get('enum')}"
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{at}: {value!r}"
    if isinstance(value, int) and "minimum" in schema:
        assert value >= schema["minimum"], f"{at}: {value!r}"
    if isinstance(value, list):
        for i, item in enumerate(value):
            conforms(item, schema.get("items", {}), at=f"{at}[{i}]")
    if isinstance(value, dict):
        _members(value, schema, at)


def _members(value: dict[str, Any], schema: Mapping[str, Any], at: str) -> None:
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    for name in schema.get("required", []):
        assert name in value, f"{at}.{name}: missing"
    for name, member in value.items():
        if name in properties:
            conforms(member, properties[name], at=f"{at}.{name}")
        elif isinstance(more, dict):
            conforms(member, more, at=f"{at}.{name}")
        else:
            assert more, f"{at}.{name}: not described"


def _is(value: Any, schema: Mapping[str, Any]) -> bool:
    try:
        conforms(value, schema)
    except AssertionError:
        return False
    return True
