"""Names on disk: safe, different ones apart, harmless ones untouched; whatever a stranger calls his files."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.files.core import names as names_module
from apps.files.core.names import Target, safe_name, safe_paths, shown

#: Of which hostile names are made.
PARTS = st.sampled_from(
    [b".", b"..", b"/", b"\\", b"\0", b"\n", b"\x1b[2J", b" ", b"CON", b"nul", b"com1", "COM²".encode(), b"LPT9", b":",
     b"a", b"A", b"~1", b"~", b"LONGFI", b".txt", b".TXT", b"\xff", b"\xed\xa0\x80", "é".encode(), "e\u0301".encode(),
     "É".encode(), "ß".encode(), b"SS", "ſ".encode(), "ı".encode(), "İ".encode(), "\u212a".encode(), "\u200d".encode(),
     "\u202e".encode(), "\ufeff".encode(), "名".encode(), "😀".encode(), "ﬁ".encode(), b"_", b"*", b"x" * 100,
     "ü".encode() * 60, b"-", b"?"]
)  # fmt: skip
NAMES = st.lists(PARTS, max_size=5).map(b"".join) | st.binary(max_size=12) | st.text(max_size=8).map(
    lambda text: text.encode(errors="surrogatepass")
)  # fmt: skip
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map(tuple), max_size=12, unique=True)
TARGETS = st.sampled_from(Target)
WINDOWS_DEVICES = {"CON", "PRN", "AUX", "NUL"} | {f"{a}{b}" for a in ("COM", "LPT") for b in "0123456789¹²³"}


def files_only(paths: list[tuple[bytes, ...]]) -> list[tuple[bytes, ...]]:
    """Without those that are folders of others, as in every info dictionary."""
    return [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]


@given(NAMES, TARGETS)
def test_every_name_becomes_a_safe_one(raw: bytes, target: Target) -> None:
    name = safe_name(raw, target=target)
    assert 1 <= len(name.encode()) <= 255  # and UTF-8 at all
    assert name not in (".", "..")
    assert "/" not in name
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
    assert not any(unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                   for c in name)  # fmt: skip
    if target is Target.ANYWHERE:
        assert not set(name) & set('<>:"\\|?*')
        assert name[-1] not in ". "
        assert name.partition(".")[0].rstrip(" ").upper() not in WINDOWS_DEVICES
        assert not (len(name.partition(".")[0]) <= 8 and name.partition("~")[2][:1].isdecimal() and name.isascii())


@given(NAMES, TARGETS)
def test_a_safe_name_stays_what_it_is(raw: bytes, target: Target) -> None:
    name = safe_name(raw, target=target)
    assert safe_name(name.encode(), target=target) == name


def folded(path: tuple[str, ...]) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", "/".join(path)).casefold())


@given(PATHS, TARGETS)
def test_paths_that_differ_stay_different(paths: list[tuple[bytes, ...]], target: Target) -> None:
    paths = files_only(paths)
    safe = safe_paths(paths, target=target)
    assert [len(path) for path in safe] == [len(path) for path in paths]
    assert len(set(safe)) == len(paths)
    # No file is called like a folder.
    folders = {path[:i] for path in safe for i in range(1, len(path))}
    assert not folders & set(safe)
    # Each folder is one folder.
    pairs = {(raw[:i], made[:i]) for raw, made in zip(paths, safe, strict=True) for i in range(1, len(raw) + 1)}
    assert len({raw for raw, _ in pairs}) == len({made for _, made in pairs}) == len(pairs)
    if target is Target.ANYWHERE:
        every = {made for _, made in pairs}
        assert len({folded(path) for path in every}) == len(every)
        assert len({"/".join(path).upper() for path in every}) == len(every)


@given(PATHS, TARGETS, st.randoms())
def test_the_order_does_not_matter_and_a_second_time_changes_nothing(
    paths: list[tuple[bytes, ...]], target: Target, random: object
) -> None:
    paths = files_only(paths)
    safe = dict(zip(paths, safe_paths(paths, target=target), strict=True))
    shuffled = list(paths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert dict(zip(shuffled, safe_paths(shuffled, target=target), strict=True)) == safe
    again = [tuple(name.encode() for name in path) for path in safe.values()]
    assert safe_paths(again, target=target) == list(safe.values())


@given(PATHS)
def test_they_can_be_made_on_this_disk(
    tmp_path_factory: pytest.TempPathFactory, paths: list[tuple[bytes, ...]]
) -> None:
    base = tmp_path_factory.mktemp("names")
    for target in Target:
        root = base / target.value
        safe = safe_paths(files_only(paths), target=target)
        for path in safe:
            place = root.joinpath(*path)
            assert Path(os.path.normpath(place)).is_relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("x"):
                pass
        assert sorted(p.relative_to(root).parts for p in root.rglob("*") if p.is_file()) == sorted(safe)


@pytest.mark.parametrize(
    "name",
    ["..foo", "foo..bar", ".hidden", "-rf", "a b", "it's", "a&b;c", "名前.txt", "ÄÖÜ", "e\u0301", "😀 👩\u200d👩", "#1",
     "x~1", "file~backup.txt", "CONSOLE", "com10", "aux2.c", "%2e%2e", "a,b+c=d", "[x]{y}", "$HOME", "`id`", "~user",
     "x" * 255, "שלום"],
)  # fmt: skip
def test_a_harmless_name_is_left_alone(name: str) -> None:
    expected = "x_1" if name == "x~1" else name  # might be the short name of another
    assert safe_name(name.encode()) == expected
    assert safe_name(name.encode(), target=Target.POSIX) == name


@pytest.mark.parametrize(
    ("raw", "anywhere", "posix"),
    [
        (b"", "_", "_"),
        (b".", "_", "_"),
        (b"..", "__", "__"),
        (b"...", ".._", "..."),
        (b"../../etc/passwd", ".._.._etc_passwd", ".._.._etc_passwd"),
        (b"/etc/passwd", "_etc_passwd", "_etc_passwd"),
        (b"C:\\x", "C__x", "C:\\x"),
        (b"a\0b", "a_b", "a_b"),
        (b"a\nb\x7f\x1b", "a_b__", "a_b__"),
        (b"a:stream", "a_stream", "a:stream"),
        (b"end. ", "end._", "end. "),
        (b"CON", "_CON", "CON"),
        (b"nul.tar.gz", "_nul.tar.gz", "nul.tar.gz"),
        (b"Aux .c", "_Aux .c", "Aux .c"),
        (b"com1.", "com1_", "com1."),
        ("LPT¹".encode(), "_LPT¹", "LPT¹"),
        (b"LONGFI~1.TXT", "LONGFI_1.TXT", "LONGFI~1.TXT"),
        (b"GIT~1", "GIT_1", "GIT~1"),
        (b"bad\xff\xfe", "bad__", "bad__"),
        (b"\xed\xa0\x80", "___", "___"),
        ("txt\u202eexe".encode(), "txt_exe", "txt_exe"),
    ],
)
def test_what_is_dangerous_is_replaced(raw: bytes, anywhere: str, posix: str) -> None:
    assert (safe_name(raw), safe_name(raw, target=Target.POSIX)) == (anywhere, posix)


def test_a_long_name_keeps_its_extension_and_no_letter_is_cut_in_two() -> None:
    name = safe_name("ü".encode() * 200 + b".tar.gz")
    assert name.endswith(".gz")
    assert name.startswith("üüü")
    assert 250 <= len(name.encode()) <= 255
    other = safe_name("ü".encode() * 200 + b"x.tar.gz")
    assert other != name


def test_a_harmless_name_wins_over_one_that_was_changed() -> None:
    safe = safe_paths([(b"a:b",), (b"a_b",), (b"a?b",)])
    assert safe[1] == ("a_b",)
    assert all(name.startswith("a_b~") and len(name) == 12 for (name,) in (safe[0], safe[2]))


@pytest.mark.parametrize(
    "pair",
    [("Readme", "README"), ("é", "e\u0301"), ("ß", "SS"), ("\u212a", "k"), ("ﬁle", "FILE"), ("a\u00adb", "ab"),
     ("ı", "i"), ("\u200dx", "x"), ("Σ", "ς")],
    ids=ascii,
)  # fmt: skip
def test_names_that_some_file_system_takes_for_one_are_kept_apart(pair: tuple[str, str]) -> None:
    paths = [(name.encode(), b"x") for name in pair]
    (first, _), (second, _) = safe_paths(paths)
    kept = min(pair, key=str.encode)
    assert {first, second} - {kept} != {first, second}
    assert sum("~" in name for name in (first, second)) == 1
    assert safe_paths(paths, target=Target.POSIX) == [(name, "x") for name in pair]


def test_a_name_made_to_collide_with_a_marked_one_does_not() -> None:
    first = safe_paths([(b"A",), (b"a",)])
    assert first[0] == ("A",)
    third = first[1][0].encode()
    safe = safe_paths([(b"A",), (b"a",), (third,)])
    assert len({name.lower() for (name,) in safe}) == 3
    assert safe[2] == (third.decode(),)


def marks(raw: bytes, count: int) -> list[bytes]:
    """The first names that `raw` gets while they are taken."""
    taken: list[bytes] = []
    for _ in range(count):
        safe = safe_paths([(raw,), *((name,) for name in taken)])
        taken.append(safe[0][0].encode())
    return taken


@given(st.sampled_from([b"a\x01", b"A?.txt", b"x" * 300 + b".mkv"]), st.integers(0, 25), TARGETS, st.data())
@settings(max_examples=30)
def test_every_name_that_one_could_get_may_be_taken(
    raw: bytes, count: int, target: Target, data: st.DataObject
) -> None:
    """Also by names that were made from its hash, more of them than the hash has digits."""
    names = [raw, *marks(raw, count)]
    more = data.draw(st.lists(st.sampled_from([name.upper() for name in names]), unique=True))
    paths = [(name,) for name in dict.fromkeys([*names, *more])]
    with pytest.MonkeyPatch.context() as patch:
        tries: list[int] = []
        mark = names_module._mark
        patch.setattr(names_module, "_mark", lambda raw, number: (tries.append(number), mark(raw, number))[1])
        safe = safe_paths(paths, target=target)
    assert len({folded(path) if target is Target.ANYWHERE else path[0] for path in safe}) == len(paths)
    assert all(len(name.encode()) <= 255 for (name,) in safe)
    assert len(tries) <= 10 * len(paths)
    assert max(tries, default=0) <= len(paths) + 1


def test_listings_show_no_controls() -> None:
    assert shown(b"a\x1b[2J/\xff\xe2\x80\xaeb") == "a_[2J___b"
