"""Names from the network made into names on disk: safe on every file system, different ones kept apart.

A harmless name stays as it is, byte for byte, so that a tree that was shared and fetched is the same tree. No name
is refused: whatever cannot be is replaced, and the original stays in the info dictionary, so what was fetched can be
shared again. The same names give the same result on every machine, whichever of the files are fetched.

What is dangerous where: `/`, NUL, `.`, `..` and the length anywhere; `<>:"\\|?*`, a dot or space at the end, device
names, streams after a colon and short names (LONGFI~1) on Windows; letters that differ by case, composition or
invisible characters on macOS, Windows and case-folding ext4; controls and directions for whoever reads a listing.
"""

from __future__ import annotations

import enum
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from apps.files.core.limits import MAX_NAME


class Target(enum.Enum):
    #: Any file system there is, so that a folder can be copied from one to another.
    ANYWHERE = "anywhere"
    #: One that takes every byte but `/` and NUL and tells upper from lower case, as of Linux.
    POSIX = "posix"


# C0, DEL, C1, surrogates (of bytes that are no UTF-8), line and paragraph separators, marks of direction (which make
# "exe.txt" out of "txt.exe": Unicode TR 36, 3.1.1), noncharacters, and the separator itself.
_NEVER = "/\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff"
_BAD = {
    Target.POSIX: re.compile(f"[{_NEVER}]"),
    Target.ANYWHERE: re.compile(f'[{_NEVER}<>:"\\\\|?*]'),
}
#: "Naming Files, Paths, and Namespaces" of Windows: the part before the first dot, spaces behind it do not count.
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\.|$)", re.IGNORECASE | re.DOTALL)
#: What NTFS and FAT call a long name beside it: "LONGFI~1.TXT" opens "longfilename.txt" (CVE-2014-9390).
_SHORT_NAME = re.compile(r"[^.~]{0,7}~[0-9][^.]{0,6}(\.[^.]{0,3})?", re.DOTALL)
#: Default_Ignorable_Code_Point (Unicode 15): file systems that fold names skip them.
IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
#: Bytes of an extension that is kept when a name is cut.
_MAX_EXTENSION = 16
#: Digits of SHA-256 that are added to a mark while it is taken, and how often: then all 64 are in it.
_PART_DIGITS, _MAX_PARTS = 8, 8


def shown(raw: bytes) -> str:
    """A name for people to read: nothing in it moves a cursor or turns the direction."""
    return _BAD[Target.POSIX].sub("_", raw.replace(b"/", b"_").decode(errors="surrogateescape"))


def readable(raw: bytes) -> str:
    """A name as it came, with escapes for what nobody could see: `a\\nb`, `\\xff`, `\\u202e`."""
    text = raw.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def safe_name(raw: bytes, *, target: Target = Target.ANYWHERE) -> str:
    """What a name becomes if nothing beside it has the same; `safe_paths` sees to the rest. Not longer than 255 bytes
    of UTF-8, never empty; a name that came out of this stays what it is."""
    name = _BAD[target].sub("_", raw.decode(errors="surrogateescape"))
    if name in ("", ".", ".."):
        return "_" * max(1, len(name))
    if target is Target.ANYWHERE:
        if name[-1] in ". ":
            name = name[:-1] + "_"
        if _DEVICE.match(name):
            name = "_" + name
        if _SHORT_NAME.fullmatch(name):
            name = name.replace("~", "_")
    return name if len(name.encode()) <= MAX_NAME else _marked(name, raw, 1)


def safe_paths(paths: Sequence[tuple[bytes, ...]], *, target: Target = Target.ANYWHERE) -> list[tuple[str, ...]]:
    """A path on disk for each of all files and empty folders of a share, in their order.

    Paths that differ stay different, also for a file system that folds case or composition. Of two names of one
    folder that do not go together, one that is harmless comes before one that was changed, then the smaller one by
    its bytes; the other gets `~` and some digits of its SHA-256 before its extension. 100,000 take a second: a pure
    function for `ctx.compute`."""
    entries: dict[tuple[bytes, ...], dict[bytes, str]] = {}
    for path in paths:
        for depth in range(len(path) - 1, -1, -1):
            folder = entries.get(path[:depth])
            if folder is not None:
                folder[path[depth]] = ""
                break
            entries[path[:depth]] = {path[depth]: ""}
    for folder in entries.values():
        folder |= _apart(sorted(folder), target)
    done: dict[tuple[bytes, ...], tuple[str, ...]] = {(): ()}
    return [(*_folder(path[:-1], entries, done), entries[path[:-1]][path[-1]]) if path else () for path in paths]


def _folder(
    path: tuple[bytes, ...], entries: dict[tuple[bytes, ...], dict[bytes, str]],
    done: dict[tuple[bytes, ...], tuple[str, ...]],
) -> tuple[str, ...]:  # fmt: skip
    known = done.get(path)
    if known is None:
        known = done[path] = (*_folder(path[:-1], entries, done), entries[path[:-1]][path[-1]])
    return known


def _apart(raws: Iterable[bytes], target: Target) -> dict[bytes, str]:
    """Names of one folder, given in order of their bytes."""
    out: dict[bytes, str] = {}
    taken: dict[str, bytes] = {}
    changed: list[tuple[bytes, str]] = []
    for raw in raws:
        name = safe_name(raw, target=target)
        if name.encode() == raw and taken.setdefault(_folded(name, target), raw) == raw:
            out[raw] = name
        else:
            changed.append((raw, name))
    for raw, plain in changed:
        name, tries = plain, 0
        # No two tries of a name are alike and all marks end differently, so each name that is taken stops one of
        # them: as many are made as there are names, however they were chosen.
        while taken.setdefault(_folded(name, target), raw) != raw:
            tries += 1
            name = _marked(plain, raw, tries)
        out[raw] = name
    return out


def _mark(raw: bytes, tries: int) -> str:
    """8 digits of the SHA-256 of the original, 16 and so on; once all 64 were tried those of another one each time."""
    if tries <= _MAX_PARTS:
        return hashlib.sha256(raw).hexdigest()[: _PART_DIGITS * tries]
    return hashlib.sha256(b"%s/%d" % (raw, tries)).hexdigest()


def _marked(name: str, raw: bytes, tries: int) -> str:
    """The name with `~` and its mark before its extension, cut to 255 bytes."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > _MAX_EXTENSION:
        stem, dot, extension = name, "", ""
    tail = f"~{_mark(raw, tries)}{dot}{extension}"
    return stem.encode()[: MAX_NAME - len(tail.encode())].decode(errors="ignore") + tail


def _folded(name: str, target: Target) -> str:
    """What a file system may take the name for: Unicode 3.13, D145 (canonical caseless matching), without what is
    ignored, and by way of upper case, in which NTFS compares."""
    if target is Target.POSIX or (name.isascii() and name.islower()):
        return name
    if name.isascii():
        return name.lower()
    name = unicodedata.normalize("NFD", IGNORED.sub("", name)).casefold().upper().casefold()
    return unicodedata.normalize("NFD", name)
