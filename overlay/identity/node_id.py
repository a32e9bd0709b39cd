"""NodeIds: what they are made of and how people read and type them.

An id in text is 52 letters of base32 for its 32 bytes and 4 check letters, in 14 groups of four.
"""

from __future__ import annotations

import hashlib

from overlay.errors import LocalError
from overlay.identity import base32

ID_BYTES = 32
#: Letters of the text form without hyphens.
ID_LETTERS = 56
#: Fewer letters name too many ids: four tell 2**20 apart.
MIN_PREFIX = 4

_ID_LABEL = b"p2pnode/id/1"
_CHECK_LABEL = b"p2pnode/check/1"
_DATA_LETTERS = ID_LETTERS - base32.CHECK_CHARS


def node_id_of(key: bytes) -> bytes:
    """32 bytes: SHA-256("p2pnode/id/1" || public key)."""
    return hashlib.sha256(_ID_LABEL + key).digest()


def format_id(node_id: bytes) -> str:
    """`n7xk-4qfa-...`: 14 groups of four letters, the last of them check letters."""
    return base32.grouped(_letters(node_id))


def short_id(node_id: bytes) -> str:
    """The first eight letters, for lists: `n7xk-4qfa`. Anybody can grind a key to match them."""
    return base32.grouped(base32.encode(node_id)[:8])


def parse_id(text: str) -> bytes:
    """The 32 bytes of a whole id; LocalError says what is wrong with it and where."""
    letters = base32.normalise(text)
    bad = base32.first_bad(letters)
    if bad is not None:
        raise LocalError(f"not an id: {bad!r} is not one of its letters ({base32.ALPHABET}): {text!r}")
    if len(letters) != ID_LETTERS:
        raise LocalError(f"not an id: it has {len(letters)} letters, a whole id has {ID_LETTERS}: {text!r}")
    node_id = _checked(letters)
    if node_id is None:
        raise LocalError(f"not an id: its check letters do not fit, {_where(letters)}: {text!r}")
    return node_id


def is_id_prefix(text: str) -> bool:
    """Whether this may be the beginning of an id, or a whole one (whose check letters may be wrong)."""
    letters = base32.normalise(text)
    return MIN_PREFIX <= len(letters) <= ID_LETTERS and base32.first_bad(letters) is None


def id_prefix_matches(prefix: str, node_id: bytes) -> bool:
    """Whether the text form of the id begins with this prefix of at least four letters."""
    letters = base32.normalise(prefix)
    return len(letters) >= MIN_PREFIX and _letters(node_id).startswith(letters)


def _letters(node_id: bytes) -> str:
    if len(node_id) != ID_BYTES:
        raise LocalError(f"an id has {ID_BYTES} bytes, not {len(node_id)}")
    return base32.encode(node_id) + base32.check_of(_CHECK_LABEL, node_id)


def _checked(letters: str) -> bytes | None:
    try:
        node_id = base32.decode(letters[:_DATA_LETTERS])
    except LocalError:
        return None
    return node_id if base32.check_of(_CHECK_LABEL, node_id) == letters[_DATA_LETTERS:] else None


def _where(letters: str) -> str:
    """Names the group where one changed letter, or two swapped ones, would make the id valid.

    1,612 + 55 candidates against 20 check bits: the wrong group is named once in 600 times, and
    the text says "probably".
    """
    positions = {i for i, candidate in _repairs(letters) if _checked(candidate) is not None}
    groups = sorted({i // 4 for i in positions})
    if len(groups) != 1:
        return "more than one letter is wrong"
    group = groups[0]
    return f"group {group + 1} ({letters[4 * group : 4 * group + 4]}) is probably mistyped"


def _repairs(letters: str) -> list[tuple[int, str]]:
    changed = [
        (i, letters[:i] + letter + letters[i + 1 :])
        for i in range(ID_LETTERS)
        for letter in base32.ALPHABET
        if letter != letters[i]
    ]
    swapped = [
        (i, letters[:i] + letters[i + 1] + letters[i] + letters[i + 2 :])
        for i in range(ID_LETTERS - 1)
        if letters[i] != letters[i + 1]
    ]
    return changed + swapped
