"""Settings of `p2pnode run`: one definition each, from which come checks, errors, sample and environment names.

attrs and 60 lines of checks instead of msgspec: all faults are told at once with their paths, ranges in words,
and the import costs 10 ms beside click (msgspec: 18).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from p2pnode.paths import HomeError

_PREFIX = "P2PNODE_"
#: The applications that run unless somebody says no; entry points of p2pnode.apps.
FILES, CHAIN = "files", "chain"
#: Blocks that a chain keeps at least (apps.chain.core.limits).
MIN_KEPT = 288
_BLOCK = re.compile(r"[1-9][0-9]{0,14}:[0-9a-f]{64}", re.ASCII)


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


SECTIONS: dict[str, type[NetworkConfig] | type[LogConfig]] = {"network": NetworkConfig, "log": LogConfig}


def _options_of(cls: type[Any], prefix: str) -> dict[str, Option]:
    fields = cast("tuple[attrs.Attribute[Any], ...]", attrs.fields(cls))
    return {prefix + field.name: field.metadata["option"] for field in fields if "option" in field.metadata}


#: Every setting by its path, "network.puzzle_bits", in the order of the sample.
OPTIONS: dict[str, Option] = _options_of(Config, "")
for _name, _cls in SECTIONS.items():
    OPTIONS |= _options_of(_cls, f"{_name}.")


def variable_of(path: str) -> str:
    """`network.puzzle_bits` -> `P2PNODE_NETWORK_PUZZLE_BITS`."""
    return _PREFIX + path.upper().replace(".", "_")


def value_at(config: Config, path: str) -> Any:
    """`value_at(config, "network.name")`."""
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value
