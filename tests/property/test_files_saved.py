"""What is kept of a share is read back as it was, whatever a folder or a pattern is called."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from apps.files.core.links import Hint, hint_text, parse_hint
from apps.files.core.saved import Saved, decode_saved
from overlay.runtime.address import Address
from overlay.wire import cbor

#: As a command line gives them: bytes that are no UTF-8 are lone surrogates.
texts = st.one_of(st.text(), st.binary(max_size=40).map(os.fsdecode))
addresses = st.builds(Address, st.binary(min_size=4, max_size=4).filter(lambda ip: 1 <= ip[0] < 127), st.just(4433))
hints = st.builds(Hint, st.binary(min_size=32, max_size=32), st.none() | addresses)


@given(texts, st.lists(texts).map(tuple), st.booleans(), st.lists(hints, max_size=8).map(tuple))
def test_it_is_read_back(folder: str, only: tuple[str, ...], paused: bool, told: tuple[Hint, ...]) -> None:
    saved = Saved(folder, only=only, paused=paused, hints=told)
    assert decode_saved(saved.encode()) == saved


@given(hints)
def test_a_hint_is_read_back(hint: Hint) -> None:
    assert parse_hint(hint_text(hint)) == hint


def test_what_an_older_version_had_not_is_at_its_default() -> None:
    assert decode_saved(cbor.encode({"folder": b"/x"})) == Saved("/x")
