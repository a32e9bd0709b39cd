"""Words by which shares are found: cut the same way whoever cuts them, and however often."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.files.core.limits import MAX_TERM_BYTES
from apps.files.core.terms import term_key, terms

PARTS = [
    "ubuntu", "ßtraße", "ﬁlm", "中華人民共和国", "東京Tower", "กรุงเทพ", "हिन्दी", "か゚き", "서울",
    "\u0301", "\u00ad", "I\u0307", "ǰ", "\u0345",
]  # fmt: skip
texts = st.text(max_size=80) | st.lists(st.sampled_from(PARTS), max_size=8).map("".join)


@given(texts)
@example("\u0345\u0301a\u0345")
@example("x" * 47 + "é" + "x")
def test_words_that_are_cut_again_stay_as_they_are(text: str) -> None:
    found = terms(text)
    assert terms(" ".join(found)) == found
    for term in found:
        assert terms(term) == (term,)


@given(texts)
def test_a_word_has_a_letter_or_a_number_and_is_short(text: str) -> None:
    found = terms(text)
    assert len(set(found)) == len(found)
    for term in found:
        assert 0 < len(term.encode()) <= MAX_TERM_BYTES
        assert any(letter.isalnum() for letter in term)


@given(texts)
def test_composition_and_width_do_not_matter(text: str) -> None:
    found = set(terms(text))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert set(terms(unicodedata.normalize(form, text))) == found


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_case_does_not_matter(text: str) -> None:
    assert terms(text.upper()) == terms(text.lower()) == terms(text)


@given(texts, texts)
def test_the_words_of_two_texts_are_those_of_each(one: str, other: str) -> None:
    assert set(terms(f"{one} {other}")) == set(terms(one)) | set(terms(other))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ubuntu-24.04_desktop (amd64).ISO", ("ubuntu", "24", "04", "desktop", "amd64", "iso")),
        ("STRASSE straße Ｓｔｒａｓｓｅ", ("strasse",)),
        ("cafe\u0301 Café", ("café",)),
        ("中華人民", ("中華", "華人", "人民")),
        ("人", ("人",)),
        ("東京タワーtower2024", ("東京", "京タ", "タワ", "ワー", "tower2024")),
        ("हिन्दी फ़िल्म", ("हिन्दी", "फ़िल्म")),
        ("soft\u00adhyphen zero\u200bwidth", ("softhyphen", "zerowidth")),
        ("... --- \u0301", ()),
        ("a" * 100, ("a" * MAX_TERM_BYTES,)),
    ],
)
def test_examples(text: str, expected: tuple[str, ...]) -> None:
    assert terms(text) == expected


def test_each_word_has_a_place_of_its_own() -> None:
    assert term_key("moon").hex() == "5bbda5db31f0fdef0571f1fddb7a1583cf94f38cd8f3f5db1404fad682bb94fc"
