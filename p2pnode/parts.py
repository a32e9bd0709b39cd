"""What settings name, made and checked before anything is touched: the network, where to join it, applications.

For `run`, and for `config check`, which promises that `run` can read every setting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

import attrs

from overlay.app import App, check_apps
from overlay.identity.network import Network, parse_psk
from p2pnode.config import Config
from p2pnode.keyfile import KeyFileError, read_secret
from p2pnode.paths import HomeError
from p2pnode.transport.seeds import Seed, parse_seed

#: Entry points of applications.
APPS = "p2pnode.apps"


class SettingError(HomeError):
    """A setting is well-formed, and what it names cannot be used."""

    code = "usage"


@attrs.frozen(slots=True)
class Parts:
    network: Network
    seeds: list[Seed]
    apps: list[App]


def make_parts(config: Config) -> Parts:
    """SettingError or LocalError if a setting names something that cannot be used."""
    network = network_of(config)
    return Parts(network, [parse_seed(text, network) for text in config.join], load_apps(config.apps))


def network_of(config: Config) -> Network:
    """SettingError or LocalError if the settings make no network."""
    settings = config.network
    if settings.key_file is None:
        return Network(settings.name, puzzle_bits=settings.puzzle_bits)
    try:
        secret = read_secret(settings.key_file)
    except KeyFileError as error:
        raise SettingError(f"network key: {error.what}", facts=error.facts) from None
    return Network(settings.name, puzzle_bits=settings.puzzle_bits, psk=parse_psk(secret.decode(errors="replace")))


def load_apps(names: Sequence[str]) -> list[App]:
    """Each a name of the entry-point group p2pnode.apps or `package.module:Class`.

    SettingError if one cannot be had, LocalError if it has no name of its own.
    """
    known = {entry.name: entry for entry in entry_points(group=APPS)} if names else {}
    apps: list[App] = []
    for name in names:
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # for the module that a person has just written; what is installed comes first
        entry = known.get(name) or EntryPoint(name, name, APPS)
        try:
            made = entry.load()()
        except Exception as error:
            raise SettingError(
                "an application cannot be loaded",
                facts={"app": name, "reason": f"{type(error).__name__}: {error}", "known": ", ".join(known) or "none"},
            ) from error
        if not isinstance(made, App):
            facts = {"app": name, "expected": "a subclass of overlay.App"}
            raise SettingError("this is not an application", facts=facts)
        apps.append(made)
    check_apps(apps)
    return apps
