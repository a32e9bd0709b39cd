"""What settings name, made and checked before anything is touched: the network, where to join it, applications.

For `run`, and for `config check`, which promises that `run` can read every setting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import cast

import attrs

from overlay.app import App, check_apps
from overlay.errors import OverlayError
from overlay.identity.network import Network, parse_psk
from p2pnode.api import Opened, Shell, Terms
from p2pnode.config import Config
from p2pnode.keyfile import KeyFileError, read_secret
from p2pnode.paths import Home, HomeError
from p2pnode.transport.seeds import Seed, parse_seed

#: Entry points of applications.
APPS = "p2pnode.apps"


class SettingError(HomeError):
    """A setting is well-formed, and what it names cannot be used."""

    code = "usage"


@attrs.frozen(slots=True)
class Loaded:
    """An application that can be had; nothing is open yet."""

    #: As somebody named it.
    named: str
    #: Without its shell, if it has one.
    app: App
    shell: Shell | None


@attrs.frozen(slots=True)
class Parts:
    network: Network
    seeds: list[Seed]
    terms: Terms
    apps: list[Loaded]


def make_parts(config: Config) -> Parts:
    """SettingError or LocalError if a setting names something that cannot be used."""
    network = network_of(config)
    terms = terms_of(
        network, bittorrent=config.bittorrent, light=config.light, prune=config.prune,
        assume_valid=config.assumed_block,
    )  # fmt: skip
    return Parts(network, [parse_seed(text, network) for text in config.join], terms, load_apps(config.all_apps, terms))


def terms_of(
    network: Network, *, bittorrent: bool, light: bool, prune: int = 0, assume_valid: tuple[int, bytes] | None = None
) -> Terms:
    return Terms(
        private=network.psk is not None, bittorrent=bittorrent, network_id=network.network_id,
        puzzle_bits=network.puzzle_bits, light=light, prune=prune, assume_valid=assume_valid,
    )  # fmt: skip


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


def load_apps(names: Sequence[str], terms: Terms) -> list[Loaded]:
    """Each a name of the entry-point group p2pnode.apps or `package.module:Class`.

    SettingError if one cannot be had, LocalError if it has no name of its own.
    """
    known = {entry.name: entry for entry in entry_points(group=APPS)} if names else {}
    loaded: list[Loaded] = []
    for name in names:
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # for the module that a person has just written; what is installed comes first
        entry = known.get(name) or EntryPoint(name, name, APPS)
        try:
            made = entry.load()()
            shell = None if isinstance(made, App) or not _is_shell(made) else cast("Shell", made)
            app = made if shell is None else shell.bare(terms)
        except Exception as error:
            raise SettingError(
                "an application cannot be loaded",
                facts={"app": name, "reason": f"{type(error).__name__}: {error}", "known": ", ".join(known) or "none"},
            ) from error
        if not isinstance(app, App):
            facts = {"app": name, "expected": "a subclass of overlay.App, or a p2pnode.api.Shell"}
            raise SettingError("this is not an application", facts=facts)
        loaded.append(Loaded(name, app, shell))
    check_apps([one.app for one in loaded])
    return loaded


def _is_shell(made: object) -> bool:
    return callable(getattr(made, "bare", None)) and callable(getattr(made, "open", None))


def _facts_of(error: OSError | OverlayError) -> dict[str, str]:
    """One a line, where the error has some (p2pnode.ui.fail)."""
    facts = getattr(error, "facts", None)
    return {"reason": str(error)} if facts is None else {"what": str(getattr(error, "what", error)), **facts}


@asynccontextmanager
async def shells_of(apps: Sequence[Loaded], terms: Terms, home: Home) -> AsyncIterator[list[Opened]]:
    """All of them with their shells, which are closed in reverse. SettingError names the one that cannot be opened."""
    async with AsyncExitStack() as stack:
        opened: list[Opened] = []
        for one in apps:
            if one.shell is None:
                opened.append(Opened(one.app))
                continue
            folder = home.app_folder(one.app.name)
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                opened.append(await stack.enter_async_context(one.shell.open(folder, terms)))
            except (OSError, OverlayError) as error:
                raise SettingError(
                    "an application cannot be started",
                    facts={"app": one.named, "folder": str(folder), **_facts_of(error)},
                ) from error
        yield opened
