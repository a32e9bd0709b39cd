"""Settings as TOML: the sample with every default explained, and what is in force with its sources."""

from __future__ import annotations

from pathlib import Path

from p2pnode.config import OPTIONS, Config, value_at, variable_of
from p2pnode.paths import HOME_VARIABLE
from p2pnode.ui import toml


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
    return toml.value("" if value is None else str(value) if isinstance(value, Path) else value)
