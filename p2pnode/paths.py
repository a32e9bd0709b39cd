"""Where a node keeps its files, and the exception of everything that can be wrong with them.

A home is one folder, 0700: node.key, node.lock, node.toml, node.db, control.sock, node.log, apps/NAME.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import attrs

#: Names the home when --home does not.
HOME_VARIABLE = "P2PNODE_HOME"
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class HomeError(Exception):
    """Something about a home is wrong. Same shape as `p2pnode.ui.fail.Fail`, which lies higher."""

    #: Key of `p2pnode.ui.fail.EXITS`.
    code = "failed"

    def __init__(self, what: str, *, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(what)
        self.what = what
        #: Label and text, in order; the last one is the next command to type.
        self.facts = dict(facts or {})

    def __str__(self) -> str:
        facts = "; ".join(f"{label}: {text}" for label, text in self.facts.items())
        return f"{self.what} ({facts})" if facts else self.what


@attrs.frozen(slots=True)
class Home:
    """One folder and the names in it. Making a Home touches no disk; `make` does."""

    #: Absolute.
    dir: Path

    @property
    def key(self) -> Path:
        """The identity: Ed25519, PKCS#8 PEM, 0600."""
        return self.dir / "node.key"

    @property
    def lock(self) -> Path:
        """Held by the process that runs this home."""
        return self.dir / "node.lock"

    @property
    def config(self) -> Path:
        """Settings, TOML; need not exist."""
        return self.dir / "node.toml"

    @property
    def db(self) -> Path:
        """Records and state, sqlite3; node.db-wal and node.db-shm belong to it."""
        return self.dir / "node.db"

    @property
    def socket(self) -> Path:
        """Control API. May be too long for sockaddr_un: open it through `p2pnode.api.addressable`."""
        return self.dir / "control.sock"

    @property
    def log(self) -> Path:
        return self.dir / "node.log"

    def app_folder(self, name: str) -> Path:
        """What an application of this name keeps beside its core, such as notes of a disk. No name leaves the home."""
        return self.dir / "apps" / quote(name, safe="").replace(".", "%2E")

    def files(self) -> dict[str, Path]:
        """Every path by its label, for `config paths`."""
        return {
            "home": self.dir,
            "key": self.key,
            "config": self.config,
            "store": self.db,
            "socket": self.socket,
            "lock": self.lock,
            "log": self.log,
            "apps": self.dir / "apps",
        }

    def make(self) -> Home:
        """Create the folder, 0700. HomeError if it cannot be, or is none to use (`check`)."""
        try:
            self.dir.parent.mkdir(parents=True, exist_ok=True)
            self.dir.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable("the home folder cannot be made", error) from None
        self.check()
        return self

    def check(self) -> None:
        """HomeError if what is there cannot be read, or if others could swap files in it. Makes nothing."""
        try:
            found = self.dir.stat()
            os.close(os.open(self.dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            os.stat(self.dir / ".")  # may be entered, not only listed
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable("the home folder cannot be read", error) from None
        if found.st_uid != os.geteuid():
            raise HomeError(
                "the home folder belongs to somebody else",
                facts={"home": str(self.dir), "owner": f"uid {found.st_uid}", "name another": "p2pnode --home DIR …"},
            )
        if found.st_mode & _OTHERS_MAY_WRITE:
            raise HomeError(
                "others may write to the home folder: they could swap the key in it",
                facts={
                    "home": str(self.dir),
                    "mode": f"{stat.S_IMODE(found.st_mode):04o}",
                    "close it": f"chmod go-w '{self.dir}'",
                },
            )

    def _unusable(self, what: str, error: OSError) -> HomeError:
        facts = {"home": str(self.dir), "reason": error.strerror or str(error), "name another": "p2pnode --home DIR …"}
        return HomeError(what, facts=facts)


def find_home(option: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] = os.environ) -> Home:
    """The home that --home names, else P2PNODE_HOME, else the user's data folder (XDG on Linux)."""
    named = option or environ.get(HOME_VARIABLE)
    if named:
        return Home(Path(named).expanduser().absolute())
    import platformdirs  # 15 ms that the other two ways need not pay

    return Home(platformdirs.user_data_path("p2pnode", appauthor=False))
