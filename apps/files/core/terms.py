"""Words by which shares are found: what names and tags are cut into, and where in the DHT a word lives.

Text is folded as for comparing identifiers (NFKC_Casefold of UAX 31: Unicode 3.13, D145 and D147), so that "STRASSE"
finds "Straße" and full-width letters find narrow ones, then cut wherever there is neither letter, mark nor number.
Scripts that put no spaces between words (Han, kana, Hangul, Thai, Lao, Khmer, Burmese) are cut into pairs of
neighbouring letters, since nothing short of a dictionary knows their words; whoever asks has his own words cut the same
way. Words that are cut once more stay as they are.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata

from apps.files.core.limits import MAX_TERM_BYTES
from apps.files.core.names import IGNORED

_SEPARATOR, _WORD, _PAIRS = range(3)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
#: Folding is done again until nothing changes: twice at most for any character that Unicode knows.
_ROUNDS = 4


def terms(text: str) -> tuple[str, ...]:
    """The different words of a text, in its order; each has a letter or a number and at most MAX_TERM_BYTES."""
    found: dict[str, None] = {}
    for kind, letters in itertools.groupby(_folded(text), key=_kind_of):
        run = "".join(letters)
        if kind is _WORD:
            found[run.encode()[:MAX_TERM_BYTES].decode(errors="ignore")] = None
        elif kind is _PAIRS:
            pairs = [run[at : at + 2] for at in range(len(run) - 1)]
            found |= dict.fromkeys(pairs or [run])
    return tuple(term for term in found if any(unicodedata.category(letter)[0] in "LN" for letter in term))


def term_key(term: str) -> bytes:
    """Under which providers of a word are found in the DHT."""
    return hashlib.sha256(b"p2pnode/term/1" + term.encode()).digest()


def _folded(text: str) -> str:
    for _ in range(_ROUNDS):
        decomposed = unicodedata.normalize("NFD", IGNORED.sub("", text))
        folded = unicodedata.normalize("NFKC", decomposed.casefold())
        if folded == text:
            break
        text = folded
    return text


def _kind_of(letter: str) -> int:
    if unicodedata.category(letter)[0] not in "LMN":
        return _SEPARATOR
    return _PAIRS if _UNSPACED.match(letter) else _WORD
