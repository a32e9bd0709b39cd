"""The identity on disk: written once, whole, for its owner alone; never overwritten.

Everything that must stay secret in a file (the node's key, the key of a private network) is written and read here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from overlay.errors import LocalError
from overlay.identity.keys import KeyPair
from overlay.identity.pem import from_pem, to_pem
from overlay.identity.puzzle import KeySearch
from p2pnode.paths import HomeError

#: A key in PEM has 119 bytes, an encrypted one about 300.
MAX_SECRET = 64 * 1024
#: Keys tried between two calls of `progress`: about 30 ms.
_TRIES_A_STEP = 1000
_OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO
#: What link(2) says on file systems without hard links (FAT, some FUSE).
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})

#: (keys tried, mean number of tries); may raise to give up.
Progress = Callable[[int, int], None]


class KeyFileError(HomeError):
    """A secret cannot be read or written, or is not safe where it lies."""


def write_secret(path: Path, data: bytes) -> None:
    """Create a file with mode 0600: after a crash it is there as a whole or not at all.

    KeyFileError if anything has this name already, a dangling symbolic link included.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _name(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeyFileError(
            "there is a file already, and a key is never overwritten",
            facts={"file": str(path), "move it away": f"mv '{path}' '{path}.old'"},
        ) from None
    except OSError as error:
        raise KeyFileError(
            "the key cannot be written", facts={"file": str(path), "reason": error.strerror or str(error)}
        ) from None


def _name(temporary: Path, path: Path) -> None:
    """rename(2) would replace what is there; link(2) does not."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Take the name first, then replace our own empty file: a crash between leaves it empty, which reading says.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path) -> bytes:
    """The bytes of a file that nobody else may read. KeyFileError otherwise.

    Checks the file that was opened, not its name, so nothing can be swapped in between; a symbolic link to a safe
    file is fine (that is how containers hand secrets in).
    """
    try:
        # O_NONBLOCK: opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(
            "the key file cannot be read", facts={"file": str(path), "reason": error.strerror or str(error)}
        ) from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):  # before fdopen, which raises for a folder
        os.close(descriptor)
        raise KeyFileError("the key file is not a file", facts={"file": str(path)})
    with os.fdopen(descriptor, "rb") as file:
        if found.st_uid not in (os.geteuid(), 0):
            raise KeyFileError(
                "the key file belongs to somebody else, who could read it",
                facts={"file": str(path), "owner": f"uid {found.st_uid}", "take it": f"sudo chown $USER '{path}'"},
            )
        if found.st_mode & _OTHERS_MAY:
            raise KeyFileError(
                "others can read the key",
                facts={
                    "file": str(path),
                    "mode": f"{stat.S_IMODE(found.st_mode):04o}",
                    "close it": f"chmod 600 '{path}'",
                },
            )
        data = file.read(MAX_SECRET + 1)
    if not data or len(data) > MAX_SECRET:
        raise KeyFileError(
            "the key file is empty" if not data else f"the key file is larger than {MAX_SECRET} bytes",
            facts={"file": str(path), "move it away": f"mv '{path}' '{path}.old'"},
        )
    return data


def needs_passphrase(path: Path) -> bool:
    """True if the key is encrypted: ask, then `load_key`. KeyFileError as `read_secret`."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in read_secret(path)


def load_key(path: Path, *, passphrase: str | None = None) -> KeyPair:
    """KeyFileError if it cannot be read, is not safe there, is not an Ed25519 key or the passphrase is wrong."""
    try:
        return parse_key(read_secret(path), name=str(path), passphrase=passphrase)
    except KeyFileError as error:
        if passphrase is None and len(error.facts) == 1:  # a wrong passphrase is no reason to part with a key
            error.facts["put a copy back, or"] = f"mv '{path}' '{path}.old'"
        raise


def parse_key(pem: bytes, *, name: str, passphrase: str | None = None) -> KeyPair:
    """A key from PEM, for `id import`; `name` says in errors where it came from."""
    try:
        return from_pem(pem, passphrase=passphrase)
    except LocalError as error:
        raise KeyFileError(str(error), facts={"file": name}) from None


def save_key(path: Path, pair: KeyPair, *, passphrase: str | None = None) -> None:
    """PKCS#8 PEM, 0600, never over another: KeyFileError. Also for `id export`."""
    write_secret(path, to_pem(pair, passphrase=passphrase))


def new_key(bits: int, *, progress: Progress | None = None) -> KeyPair:
    """A fresh key that solves the puzzle of its network: 2**bits tries of 30 us in the mean. Blocks meanwhile."""
    search = KeySearch(bits, os.urandom)
    while (pair := search.step(_TRIES_A_STEP)) is None:
        if progress is not None:
            progress(search.tries, search.expected)
    return pair


def load_or_create(
    path: Path, bits: int, *, passphrase: str | None = None, progress: Progress | None = None
) -> tuple[KeyPair, bool]:
    """The key of a home, and whether it is new. An older key is taken as it is, whatever its puzzle says."""
    if os.path.lexists(path):
        return load_key(path, passphrase=passphrase), False
    pair = new_key(bits, progress=progress)
    save_key(path, pair, passphrase=passphrase)
    return pair, True
