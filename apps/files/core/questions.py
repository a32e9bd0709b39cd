"""Datagrams of search, asked of another peer's copy of file sharing (`ctx.call`), and their answers."""

from __future__ import annotations

from apps.files.core.limits import MAX_ASKED_TERMS, MAX_HOLDS, MAX_POSTING, MAX_POSTINGS_PER_PEER, MAX_TERM_BYTES
from apps.files.core.wire import ID_BYTES
from overlay.errors import BadMessage
from overlay.typed import message


@message("find", 1)
class Find:
    """Which of your shares have all of these words? From number `first` of them on."""

    words: tuple[str, ...]
    first: int

    def __attrs_post_init__(self) -> None:
        if not 1 <= len(self.words) <= MAX_ASKED_TERMS or not 0 <= self.first <= MAX_POSTINGS_PER_PEER:
            raise BadMessage("no words, too many of them, or answers that nobody has")
        if not all(0 < len(word.encode()) <= MAX_TERM_BYTES for word in self.words):
            raise BadMessage(f"a word has at most {MAX_TERM_BYTES} bytes")


@message("found", 1)
class Found:
    """Postings, as many as fit; `more`: there are others behind them."""

    postings: tuple[bytes, ...]
    more: bool

    def __attrs_post_init__(self) -> None:
        if len(self.postings) > MAX_POSTINGS_PER_PEER or any(len(raw) > MAX_POSTING for raw in self.postings):
            raise BadMessage("more postings than were asked for, or longer ones")
        if self.more and not self.postings:
            raise BadMessage("an answer with nothing in it that goes on")


@message("holds", 1)
class Holds:
    """Have you all of these shares, each?"""

    shares: tuple[bytes, ...]

    def __attrs_post_init__(self) -> None:
        if not 1 <= len(self.shares) <= MAX_HOLDS or any(len(share) != ID_BYTES for share in self.shares):
            raise BadMessage(f"1 to {MAX_HOLDS} ids of shares")


@message("holding", 1)
class Holding:
    """In the order of the question."""

    whole: tuple[bool, ...]
