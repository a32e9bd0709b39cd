"""Reads scenario files: TOML in, checked values out, every error with its path.

scenario colluding.toml: workload[0].rate: expected a number, found 'fast'
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from simulations.plugins import Registry, UnknownPlugin
from simulations.scenario import ACTIONS, ADVERSARIES, CHURN, WORKLOADS, Part, Scenario
from simulations.scenario import BadScenario as BadScenario
from simulations.schedule import late

_REGISTRIES: dict[str, Registry[Part]] = {
    "churn": CHURN,
    "timeline": ACTIONS,
    "workload": WORKLOADS,
    "adversaries": ADVERSARIES,
}
#: A whole part in the path of the time at which it begins.
_PART = re.compile(r"(\w+)(?:\[(\d+)\])?\.(?:at_s|from_s)$")
#: Keys that hold lists of tables, as paths begin.
_LISTS = ("timeline.", "workload.", "adversaries.", "claims.")
#: A scenario is text that a person wrote.
MAX_FILE = 1 << 20


def shipped() -> list[str]:
    """Names of the scenarios that come with this package."""
    folder = resources.files("simulations") / "scenarios"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def text_of(name: str) -> str:
    """The TOML of a shipped scenario, or of a file. BadScenario if there is none."""
    if name in shipped():
        return (resources.files("simulations") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
    file = Path(name)
    if file.is_dir():
        raise BadScenario("", "this is a folder; expected a file of it, or the name of a shipped scenario")
    if not file.is_file():
        close = difflib.get_close_matches(name, shipped(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"shipped: {', '.join(shipped())}"
        raise BadScenario("", f"no scenario and no file of the name {name!r}; {hint}")
    if file.stat().st_size > MAX_FILE:
        raise BadScenario("", f"{name} is larger than {MAX_FILE} bytes")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadScenario("", f"{name} is not UTF-8 text") from None


def read(name: str) -> tuple[str, dict[str, Any]]:
    """(name without folder and suffix, table). BadScenario if there is none or it is no TOML."""
    try:
        return Path(name).stem, tomllib.loads(text_of(name))
    except tomllib.TOMLDecodeError as error:
        raise BadScenario("", f"not TOML: {error}") from None


def duration_of(table: Mapping[str, Any]) -> float:
    """Of a table that is not checked yet; 0 if it has none that is a number."""
    found = table.get("duration_s", attrs.fields(Scenario).duration_s.default)
    return float(found) if isinstance(found, int | float) else 0.0


def override(table: dict[str, Any], setting: str) -> None:
    """`population.nodes=500`, as typed after --set: the value is TOML, or else text. A list without an
    index means every entry of it."""
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise BadScenario(setting, "expected key=value, as in population.nodes=500")
    if path.strip() == "name":
        raise BadScenario("name", "a scenario has the name of its file, which is not to be set")
    try:
        value = tomllib.loads(f"x = {text.strip()}")["x"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    _put(table, path.strip().split("."), value, path.strip())


def scenario_of(name: str, table: Mapping[str, Any]) -> Scenario:
    """The scenario that a table describes, BadScenario with the path of every key that is wrong."""
    return _build(Scenario, {"name": name, **table}, "")  # type: ignore[no-any-return]


def refuse_late(scenario: Scenario) -> None:
    """BadScenario if a part begins when all is over: what is claimed of it would be worth nothing."""
    if found := [(part.path, part.why) for part in late(scenario, scenario.duration_s) if part.path]:
        raise BadScenario(*found[0], *found[1:])


def without_late(table: dict[str, Any]) -> dict[str, Any]:
    """The table without the parts that begin when all is over. BadScenario if it describes none."""
    scenario = scenario_of(str(table.get("name", "")), table)
    dead = [_PART.match(part.path) for part in late(scenario, scenario.duration_s) if part.path]
    gone = {(found[1], found[2]) for found in dead if found is not None}
    kept = {key: value for key, value in table.items() if (key, None) not in gone}
    for key in ("timeline", "workload", "adversaries"):
        if key in table:
            kept[key] = [entry for i, entry in enumerate(table[key]) if (key, str(i)) not in gone]
    return kept


def load(name: str, settings: tuple[str, ...] = ()) -> Scenario:
    """A shipped scenario or a file, with what --set says put in."""
    name, table = read(name)
    for setting in settings:
        override(table, setting)
    return scenario_of(name, table)


# --- inside -------------------------------------------------------------------------------


def _put(table: Any, keys: list[str], value: Any, path: str) -> None:
    key, *rest = keys
    if isinstance(table, list):
        if key.isdecimal():
            if int(key) >= len(table):
                raise BadScenario(path, f"there is no entry {key}, only {len(table)}")
            _put(table[int(key)], rest, value, path)
            return
        if not table:
            raise BadScenario(path, "the list is empty")
        for entry in table:
            _put(entry, keys, value, path)
    elif not isinstance(table, dict):
        raise BadScenario(path, "goes below a value that is no table")
    elif rest and key not in table and (rest[0].isdecimal() or path.startswith(_LISTS)):
        raise BadScenario(path, f"there is no entry {rest[0]}: this scenario has no {key}" if rest[0].isdecimal()
                          else f"this scenario has no {key}")  # fmt: skip
    elif rest:
        _put(table.setdefault(key, {}), rest, value, path)
    else:
        table[key] = value


def _build(cls: type, table: Any, path: str) -> Any:
    """An attrs class from a table whose keys are its fields."""
    if not isinstance(table, dict):
        raise BadScenario(path, f"expected a table, found {table!r}")
    fields = {field.name: field for field in attrs.fields(cls) if field.init}
    wrong: list[tuple[str, str]] = []
    for key in table:
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(fields)}"
            wrong.append((_below(path, key), f"unknown key; {hint}"))
    for field in fields.values():
        if field.default is attrs.NOTHING and field.name not in table:
            wrong.append((_below(path, field.name), "is missing"))
    hints = get_type_hints(cls)
    values = {}
    for key in table:
        if key in fields:
            with _gathered(wrong):
                values[key] = _value(key, hints[key], table[key], _below(path, key))
    made = _made(cls, values, path, wrong) if all(f.name in values or f.default is not attrs.NOTHING
                                                  for f in fields.values()) else None  # fmt: skip
    if wrong:
        raise BadScenario(*wrong[0], *wrong[1:])
    return made


def _made(cls: type, values: dict[str, Any], path: str, wrong: list[tuple[str, str]]) -> Any:
    """An instance; what its bounds refuse is added to `wrong`. They stop at the first, so that key is left out then
    and the rest tried again; what comes of leaving it out is not told."""
    left_out: list[str] = []
    while True:
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            [key] = [argument.name for argument in error.args[1:] if isinstance(argument, attrs.Attribute)] or [""]
            message = str(error.args[0]) if error.args else str(error)
            if not any(name in message for name in left_out):
                wrong.append((_below(path, key) if key else path, message))
            if key not in values:
                return None
            del values[key]
            left_out.append(key)


@contextmanager
def _gathered(wrong: list[tuple[str, str]]) -> Iterator[None]:
    try:
        yield
    except BadScenario as error:
        wrong += error.problems


def _value(key: str, hint: Any, value: Any, path: str) -> Any:
    registry = _REGISTRIES.get(key) if "." not in path else None
    if registry is not None:
        if key == "churn":
            return _part(registry, value, path)
        if not isinstance(value, list):
            raise BadScenario(path, f"expected a list of tables ([[{path}]]), found {value!r}")
        wrong: list[tuple[str, str]] = []
        parts = []
        for i, entry in enumerate(value):
            with _gathered(wrong):
                parts.append(_part(registry, entry, f"{path}[{i}]"))
        if wrong:
            raise BadScenario(*wrong[0], *wrong[1:])
        return tuple(parts)
    return _typed(hint, value, path)


def _part(registry: Registry[Part], table: Any, path: str) -> Part:
    if not isinstance(table, dict):
        raise BadScenario(path, f"expected a table, found {table!r}")
    name = table.get(registry.key)
    if not isinstance(name, str):
        raise BadScenario(f"{path}.{registry.key}", f"is missing: the name of {registry.noun}")
    try:
        cls = registry.find(name)
    except UnknownPlugin as error:
        raise BadScenario(f"{path}.{registry.key}", str(error)) from None
    return _build(cls, {key: value for key, value in table.items() if key != registry.key}, path)  # type: ignore[no-any-return]


def _typed(hint: Any, value: Any, path: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        [kind] = [arg for arg in args if arg is not type(None)]
        return _typed(kind, value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise BadScenario(path, f"expected a list, found {value!r}")
        if args[-1] is Ellipsis:
            wrong: list[tuple[str, str]] = []
            items = []
            for i, item in enumerate(value):
                with _gathered(wrong):
                    items.append(_typed(args[0], item, f"{path}[{i}]"))
            if wrong:
                raise BadScenario(*wrong[0], *wrong[1:])
            return tuple(items)
        if len(value) != len(args):
            raise BadScenario(path, f"expected {len(args)} values, found {len(value)}")
        return tuple(_typed(arg, item, f"{path}[{i}]") for i, (arg, item) in enumerate(zip(args, value, strict=True)))
    if origin is dict:
        if not isinstance(value, dict):
            raise BadScenario(path, f"expected a table, found {value!r}")
        return {key: _typed(args[1], item, _below(path, key)) for key, item in value.items()}
    if attrs.has(hint):
        return _build(hint, value, path)
    if hint is Any:
        return value
    if hint is float and type(value) in (int, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise BadScenario(path, f"expected a number, found {value}")
        return float(value)
    if type(value) is not hint:
        raise BadScenario(path, f"expected {_NOUNS.get(hint, hint.__name__)}, found {value!r}")
    return value


_NOUNS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
