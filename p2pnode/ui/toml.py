"""Keys and values as TOML, as Python's tomllib reads them back.

The standard library only reads TOML; what there is to write it (tomli-w) puts `[[workload]]` into one line, which
nobody writes and to which nobody can add a part below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

#: A key that needs no quotes (TOML 1.0, "Keys").
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def key(text: str) -> str:
    return text if _BARE.fullmatch(text) else value(text)


def value(of: object) -> str:
    """On one line: tables are inline ones. Numbers and times are written by TOML as by Python."""
    match of:
        case bool():
            return "true" if of else "false"
        case str():
            # A string of JSON is a basic string of TOML 1.0, but for DEL, which has to be escaped here.
            return json.dumps(of, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            inner = ", ".join(f"{key(name)} = {value(item)}" for name, item in of.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return f"[{', '.join(map(value, of))}]"
    return str(of)
