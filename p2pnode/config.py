"""Settings of `p2pnode run`: one definition each, from which come checks, errors, sample and environment names.

Later wins: defaults, node.toml, environment (P2PNODE_NETWORK_PUZZLE_BITS), command line.
attrs and 60 lines of checks instead of msgspec: all faults are told at once with their paths, ranges in words,
and the import costs 10 ms beside click (msgspec: 18).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from p2pnode.paths import HOME_VARIABLE, Home, HomeError

#: A settings file is typed by a person.
MAX_FILE = 1024 * 1024
_PREFIX = "P2PNODE_"
#: The applications that run unless somebody says no; entry points of p2pnode.apps.
FILES, CHAIN = "files", "chain"
#: Blocks that a chain keeps at least (apps.chain.core.limits).
MIN_KEPT = 288
_BLOCK = re.compile(r"[1-9][0-9]{0,14}:[0-9a-f]{64}", re.ASCII)
_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
#: What a person calls the types of TOML.
_NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", tuple: "list", dict: "table"}
#: What a variable of the environment holds of them.
_WORDS: dict[type, str] = {bool: "true or false", int: "a whole number"}


class ConfigError(HomeError):
    """Settings that cannot be used; `problems` has one line each: where, what was expected, what was found."""

    code = "usage"

    def __init__(self, problems: list[str]) -> None:
        one = len(problems) == 1
        what = problems[0] if one else f"{len(problems)} settings are wrong"
        facts = {} if one else {str(n): problem for n, problem in enumerate(problems, 1)}
        super().__init__(what, facts=facts | {"all settings": "p2pnode config show --defaults"})
        self.problems = problems


@attrs.frozen(slots=True)
class Option:
    """One setting: its default has its type; `help` becomes the comment in the sample."""

    default: bool | int | str | tuple[str, ...]
    help: str
    #: "" means none; text, resolved against the folder of the file that names it.
    is_path: bool = False
    #: Returns what was expected, None if the value will do.
    check: Callable[[Any], str | None] | None = None


def _within(low: int, high: int) -> Callable[[int], str | None]:
    return lambda value: None if low <= value <= high else f"{low} to {high}"


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda value: None if value in words else "one of " + ", ".join(words)


def is_port(text: str) -> bool:
    """Whether this is a number from 0 to 65535; not more digits, int() raises for 4,301."""
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535


def _endpoints(values: tuple[str, ...]) -> str | None:
    families: list[bool] = []
    for value in values:
        host, colon, port = value.rpartition(":")
        bare_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not (host and colon and is_port(port)) or bare_v6:
            return f"HOST:PORT or [IPV6]:PORT, not {value!r}"
        if ":" in host or host.replace(".", "").isdecimal():  # of a name, only resolving tells the family
            families.append(":" in host)
    if len(set(families)) < len(families) or not 1 <= len(values) <= 2:
        return f"one IPv4 address, one IPv6 address or both, not {', '.join(values) or 'none'}"
    return None


def _bridge(value: str) -> str | None:
    good = not value or is_port(value) or _endpoints((value,)) is None
    return None if good else "PORT or HOST:PORT"


def _block(value: str) -> str | None:
    good = not value or _BLOCK.fullmatch(value)
    return None if good else "HEIGHT:ID, a height above 0 and an id of 64 hex digits"


def _network_name(value: str) -> str | None:
    return None if 1 <= len(value.encode()) <= 64 and value.isprintable() else "1 to 64 bytes of printable text"


def _option(default: Any, help: str, *, check: Callable[[Any], str | None] | None = None) -> Any:
    return attrs.field(default=default, metadata={"option": Option(default, help, check=check)})


def _path_option(help: str) -> Any:
    return attrs.field(default=None, metadata={"option": Option("", help, is_path=True)})


@attrs.frozen(slots=True, kw_only=True)
class NetworkConfig:
    name: str = _option("p2pnode", "Peers of another name are another network.", check=_network_name)
    puzzle_bits: int = _option(
        12,
        "Work in an identity (S/Kademlia 3.1): 12 for a LAN, 16 for the internet.\nAnother value is another network.",
        check=_within(0, 32),
    )
    key_file: Path | None = _path_option(  # noqa: RUF009 - an attrs field, as the others
        'File with the key of a private network (made by "p2pnode network new"); "" for a public one.'
    )


@attrs.frozen(slots=True, kw_only=True)
class LogConfig:
    level: str = _option(
        "warning", "error, warning, info or debug; -v on the command line says more.",
        check=_one_of("error", "warning", "info", "debug"),
    )  # fmt: skip
    file: Path | None = _path_option('Write the log here too, at least at level info; "" for none.')  # noqa: RUF009


@attrs.frozen(slots=True, kw_only=True)
class Config:
    listen: tuple[str, ...] = _option(
        ("0.0.0.0:4433", "[::]:4433"), "Addresses to serve at, UDP and TCP. Port 0 picks a free one.", check=_endpoints
    )
    join: tuple[str, ...] = _option((), "Where to enter the network: tickets, HOST:PORT or ID@HOST:PORT.")
    lan: bool = _option(True, "Find peers on the local network, and be found (DNS-SD over mDNS).")
    bridge: str = _option(
        "", 'Serve peers of the Python package "kademlia" at [HOST:]PORT (loopback by default); "" for none.',
        check=_bridge,
    )  # fmt: skip
    files: bool = _option(True, "Share files and fetch them (p2pnode files).")
    bittorrent: bool = _option(
        True, "Give shares to programs of BitTorrent, and take from them. Never on a private network."
    )
    chain: bool = _option(True, "Keep the chain of this network: time, names, credits (p2pnode chain, chain-explorer).")
    light: bool = _option(
        False, "Of the chain keep headers alone, and ask others for proofs. Such a node neither mines nor pays."
    )
    prune: int = _option(
        0, "Of the chain keep so many blocks, the newest, 288 at least, and what all of them made; 0: every block.",
        check=lambda value: None if value == 0 or value >= MIN_KEPT else f"0, or {MIN_KEPT} and more",
    )  # fmt: skip
    assume_valid: str = _option(
        "", "HEIGHT:ID of a block of the chain that is known to be good: signatures up to it are not checked.",
        check=_block,
    )  # fmt: skip
    apps: tuple[str, ...] = _option((), "Further overlay applications to run: a name, or package.module:Class.")
    network: NetworkConfig = attrs.field(factory=NetworkConfig)
    log: LogConfig = attrs.field(factory=LogConfig)
    #: Where each setting that was given came from, by path; the others are defaults.
    sources: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)

    @property
    def assumed_block(self) -> tuple[int, bytes] | None:
        """Height and id of `assume_valid`."""
        height, _, block = self.assume_valid.partition(":")
        return (int(height), bytes.fromhex(block)) if block else None

    @property
    def all_apps(self) -> tuple[str, ...]:
        """Names of applications in the order in which they start."""
        always = [name for name, wanted in ((FILES, self.files), (CHAIN, self.chain)) if wanted]
        return (*(name for name in always if name not in self.apps), *self.apps)


_SECTIONS: dict[str, type[NetworkConfig] | type[LogConfig]] = {"network": NetworkConfig, "log": LogConfig}


def _options_of(cls: type[Any], prefix: str) -> dict[str, Option]:
    fields = cast("tuple[attrs.Attribute[Any], ...]", attrs.fields(cls))
    return {prefix + field.name: field.metadata["option"] for field in fields if "option" in field.metadata}


#: Every setting by its path, "network.puzzle_bits", in the order of the sample.
OPTIONS: dict[str, Option] = _options_of(Config, "")
for _name, _cls in _SECTIONS.items():
    OPTIONS |= _options_of(_cls, f"{_name}.")


def variable_of(path: str) -> str:
    """`network.puzzle_bits` -> `P2PNODE_NETWORK_PUZZLE_BITS`."""
    return _PREFIX + path.upper().replace(".", "_")


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
        if key not in _SECTIONS:
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
        for name, cls in _SECTIONS.items()
    }
    top: dict[str, Any] = {path: v for path, v in values.items() if "." not in path}
    return Config(**top, **cast("dict[str, Any]", sections), sources=sources)


def value_at(config: Config, path: str) -> Any:
    """`value_at(config, "network.name")`."""
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def defaults_text() -> str:
    """node.toml with every setting at its default, each commented out and explained."""
    head = f"# Settings of p2pnode run. What is commented out is the default. {HOME_VARIABLE} names the home."
    return f"{head}\n\n" + _render(Config(), help=True)


def as_toml(config: Config) -> str:
    """The settings in force as TOML; defaults are commented out, the rest names its source."""
    return _render(config, help=False)


def _render(config: Config, *, help: bool) -> str:
    lines: list[str] = []
    section = ""
    for path, option in OPTIONS.items():
        table, _, name = path.rpartition(".")
        if table != section:
            section = table
            lines += ["", f"[{section}]"]
        if help:
            lines += ["", *(f"# {line}" for line in option.help.splitlines()), f"# Environment: {variable_of(path)}"]
        setting = f"{name} = {_toml(value_at(config, path))}"
        lines.append(f"{setting}  # {config.sources[path]}" if path in config.sources else f"#{setting}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _toml(value: bool | int | str | tuple[str, ...] | Path | None) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
    # TOML 1.0 basic string: escape quote, backslash and the control characters.
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
