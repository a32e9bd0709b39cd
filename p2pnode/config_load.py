"""Settings in force: read from where they may be given, checked, and every fault told at once.

Later wins: defaults, node.toml, environment (P2PNODE_NETWORK_PUZZLE_BITS), command line.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from p2pnode.config import OPTIONS, SECTIONS, Config, ConfigError, Option, variable_of
from p2pnode.paths import Home

#: A settings file is typed by a person.
MAX_FILE = 1024 * 1024
_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
#: What a person calls the types of TOML.
_NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", tuple: "list", dict: "table"}
#: What a variable of the environment holds of them.
_WORDS: dict[type, str] = {bool: "true or false", int: "a whole number"}


def load(
    home: Home,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    options: Mapping[str, Any] | None = None,
) -> Config:
    """The settings in force. `file` (--config) must exist, the home's node.toml need not.

    `options`: the command line by path; None and () mean "not given". ConfigError names every fault.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    toml = file or home.config
    if file is not None or toml.exists():
        for path, raw in _flat(_read(toml), toml.name, problems).items():
            _take(path, raw, f"{toml.name}: {path}", toml.absolute().parent, values, sources, problems)
    for path, option in OPTIONS.items():
        if (text := environ.get(variable_of(path))) is not None:
            raw = _from_text(text, option)
            _take(path, raw, variable_of(path), Path.cwd(), values, sources, problems)
    for path, raw in (options or {}).items():
        if raw is not None and raw != ():
            raw = list(raw) if isinstance(raw, tuple) else raw
            _take(path, raw, f"command line: {path}", Path.cwd(), values, sources, problems)
    if problems:
        raise ConfigError(problems)
    return _build(values, sources)


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.is_fifo():
            raise ConfigError([f"{file}: a pipe, not a file: reading it would wait for a writer"])
        with file.open("rb") as stream:
            text = stream.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise ConfigError([f"{file}: larger than {MAX_FILE} bytes: not a settings file"])
        return tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror or error}"]) from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, an integer of 5,000 digits
        raise ConfigError([f"{file}: not TOML: {error}"]) from None


def _flat(table: dict[str, Any], name: str, problems: list[str]) -> dict[str, Any]:
    """Paths and raw values of a parsed file; unknown keys become problems."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if key not in SECTIONS:
            flat[key] = value
        elif isinstance(value, dict):
            flat |= {f"{key}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            problems.append(f"{name}: {key}: expected table, got {_name_of(value)}")
    for path in [path for path in flat if path not in OPTIONS]:
        problems.append(f"{name}: {path}: unknown key{_did_you_mean(path)}")
        del flat[path]
    return flat


def _did_you_mean(path: str) -> str:
    import difflib  # only where something is wrong

    last = {option.rpartition(".")[2]: option for option in OPTIONS}
    close = difflib.get_close_matches(path, OPTIONS, n=1) or [
        last[word] for word in difflib.get_close_matches(path.rpartition(".")[2], last, n=1)
    ]
    return f"; did you mean {close[0]}?" if close else ""


def _from_text(text: str, option: Option) -> Any:
    """The raw value that a variable stands for; text that does not fit stays text and fails the check."""
    match option.default:
        case bool():
            return _BOOLS.get(text.lower(), text)
        case int():
            # 19 digits are 64 bits; more would only slow int() down.
            return int(text) if text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 20 else text
        case tuple():
            return text.replace(",", " ").split()
    return text


def _name_of(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _take(
    path: str, raw: Any, where: str, folder: Path, values: dict[str, Any], sources: dict[str, str], problems: list[str]
) -> None:
    option = OPTIONS[path]
    raw = str(raw) if option.is_path and isinstance(raw, Path) else raw
    expected = _NAMES[type(option.default)]
    if expected != _name_of(raw):
        if where == variable_of(path):  # text that says nothing of this type: the text itself tells more than "str"
            problems.append(f"{where}: expected {_WORDS[type(option.default)]}, got {raw[:40]!r}")
        else:
            problems.append(f"{where}: expected {expected}, got {_name_of(raw)}")
        return
    if isinstance(raw, list):
        for n, item in enumerate(raw):
            if not isinstance(item, str):
                problems.append(f"{where}[{n}]: expected str, got {_name_of(item)}")
                return
        raw = tuple(raw)
    if option.check is not None and (wanted := option.check(raw)) is not None:
        shown = "" if isinstance(raw, tuple) else f", got {raw!r}"
        problems.append(f"{where}: expected {wanted}{shown}")
        return
    if option.is_path:
        raw = folder / Path(raw).expanduser() if raw else None
    values[path] = raw
    sources[path] = where.partition(": ")[0]


def _build(values: Mapping[str, Any], sources: Mapping[str, str]) -> Config:
    sections = {
        name: cls(**{path.partition(".")[2]: v for path, v in values.items() if path.startswith(f"{name}.")})
        for name, cls in SECTIONS.items()
    }
    top: dict[str, Any] = {path: v for path, v in values.items() if "." not in path}
    return Config(**top, **cast("dict[str, Any]", sections), sources=sources)
