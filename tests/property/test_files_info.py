"""Info dictionaries, .torrent files and links: read back as made, and nothing else is let in."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import bencode, info, links, metainfo
from apps.files.core.limits import MAX_DEPTH, MAX_PIECE_BYTES, UNIT_BYTES
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.identity.node_id import format_id
from overlay.runtime.address import Address, parse_address
from overlay.wire.ticket import make_ticket, parse_ticket
from tests.support.shares import content, layers_of, share_of

PIECE = 32768
names = st.binary(min_size=1, max_size=6)
trees: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 100_000), lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def paths_of(tree: dict[bytes, Any], at: tuple[bytes, ...] = ()) -> tuple[dict[Any, bytes], list[Any]]:
    """(contents by path, empty folders)."""
    files: dict[Any, bytes] = {}
    folders: list[Any] = []
    for name, node in tree.items():
        if isinstance(node, int):
            files[(*at, name)] = content(name, node)
        elif not node:
            folders.append((*at, name))
        else:
            below, empty = paths_of(node, (*at, name))
            files |= below
            folders += empty
    return files, folders


@given(st.dictionaries(names, trees, min_size=1, max_size=4), names, st.booleans(), st.booleans())
def test_a_share_is_read_back_as_it_was_made(tree: Any, name: bytes, hybrid: bool, private: bool) -> None:
    contents, folders = paths_of(tree)
    hybrid = hybrid and any(contents.values())
    made = share_of(name, contents, PIECE, hybrid=hybrid, folders=tuple(folders))
    assert {file.path: file.length for file in made.files} == {path: len(data) for path, data in contents.items()}
    assert sorted(made.folders) == sorted(folders)
    assert made.id == hashlib.sha256(made.raw).digest()
    assert made.short_id == made.id[:20]
    assert made.v1_id == (hashlib.sha1(made.raw).digest() if hybrid else None)
    assert info.decode_info(made.raw) == made
    assert list(made.files) == info.in_tree_order(made.files)

    layers = layers_of(contents, PIECE)
    exported = metainfo.encode_torrent(made, layers)
    read = metainfo.decode_torrent(exported)
    assert (read.info, read.layers) == (made, layers)


GOOD = share_of(b"N", {(b"a",): content(b"a", 70_000), (b"d", b"b"): b"x", (b"e",): b""}, PIECE, hybrid=True)
LAYERS = layers_of({(b"a",): content(b"a", 70_000)}, PIECE)
FIELDS = bencode.decode(GOOD.raw)


@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4))
def test_what_is_torn_is_a_bad_message_or_another_share(edits: list[tuple[int, bytes, int]]) -> None:
    for good, read in ((GOOD.raw, info.decode_info), (metainfo.encode_torrent(GOOD, LAYERS), metainfo.decode_torrent)):
        data = good
        for at, piece, gone in edits:
            at %= len(data) + 1
            data = data[:at] + piece + data[at + gone :]
        try:
            found = read(data)
        except BadMessage:
            continue
        if isinstance(found, info.Info):
            assert (found.raw, found.id) == (data, hashlib.sha256(data).digest())
            assert found.id == GOOD.id or data != good
        else:
            assert isinstance(found, metainfo.Torrent)
            assert found.info.id == GOOD.id or data != good


def changed(**fields: Any) -> bytes:
    new = FIELDS | {name.replace("_", " ").encode(): value for name, value in fields.items()}
    return bencode.encode({name: value for name, value in new.items() if value is not None})


def leaf(**entry: Any) -> dict[bytes, Any]:
    named = {name.replace("_", " ").encode(): value for name, value in entry.items()}
    return {b"": {b"length": 1, b"pieces root": b"r" * 32} | named}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"le",
        b"de",
        changed(meta_version=None),  # v1 only
        changed(meta_version=1),
        changed(meta_version=3),
        changed(meta_version=b"2"),
        changed(file_tree=None),
        changed(file_tree=[]),
        changed(piece_length=None),
        changed(piece_length=0),
        changed(piece_length=-16384),
        changed(piece_length=16385),
        changed(piece_length=8192),
        changed(piece_length=2 * MAX_PIECE_BYTES),
        changed(piece_length=b"16384"),
        changed(name=1),
        changed(name=b"n" * 5000),
        # The halves of a hybrid share do not say the same.
        changed(files=None),
        changed(files=None, length=70_000),
        changed(files={}),
        changed(files=[]),
        changed(files=FIELDS[b"files"][1:]),
        changed(files=FIELDS[b"files"] + [{b"length": 1, b"path": [b"more"]}]),
        changed(files=[FIELDS[b"files"][0] | {b"length": 69_999}, *FIELDS[b"files"][1:]]),
        changed(files=[FIELDS[b"files"][0] | {b"path": [b"b"]}, *FIELDS[b"files"][1:]]),
        changed(files=[FIELDS[b"files"][0] | {b"path": b"a"}, *FIELDS[b"files"][1:]]),
        changed(files=[FIELDS[b"files"][0] | {b"attr": 1}, *FIELDS[b"files"][1:]]),
        changed(files=FIELDS[b"files"][:1] + FIELDS[b"files"][2:]),  # no pad
        changed(files=[*FIELDS[b"files"][:1], *FIELDS[b"files"]]),
        changed(pieces=FIELDS[b"pieces"][:-20]),
        changed(pieces=FIELDS[b"pieces"][:-1]),
        changed(pieces=1),
    ],
)
def test_what_is_no_share_is_a_bad_message(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        info.decode_info(raw)


def nested(depth: int) -> dict[bytes, Any]:
    tree: dict[bytes, Any] = leaf()
    for _ in range(depth):
        tree = {b"d": tree}
    return tree


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {b"a": 1},
        {b"a": {b"": 1}},
        {b"": {b"length": 0}},
        {b"a": leaf() | {b"b": leaf()}},  # a file that is a folder
        {b"a": {b"": {b"": {}}}},
        {b"a": leaf(length=-1)},
        {b"a": leaf(length=2**63)},
        {b"a": leaf(), b"b": leaf(length=2**63 - 1)},
        {b"a": leaf(length=b"1")},
        {b"a": leaf(pieces_root=b"r" * 31)},
        {b"a": leaf(pieces_root=1)},
        {b"a": {b"": {b"length": 1}}},
        {b"a": leaf(attr=1)},
        {b"a" * 5000: leaf()},
        {b"a" * 4000: {b"b" * 96: leaf()}},
        nested(MAX_DEPTH + 2),
        nested(300),
    ],
)
def test_what_is_no_tree_of_files_is_a_bad_message(tree: Any) -> None:
    with pytest.raises(BadMessage):
        info.decode_info(changed(file_tree=tree, files=None, pieces=None))


def test_the_deepest_tree_is_read() -> None:
    read = info.decode_info(changed(file_tree=nested(MAX_DEPTH + 1), files=None, pieces=None))
    assert read.files[0].path == (b"d",) * (MAX_DEPTH + 1)


def test_an_empty_file_has_no_root_whatever_is_said() -> None:
    read = info.decode_info(changed(file_tree={b"a": leaf(length=0)}, files=None, pieces=None))
    assert read.files[0].root is None


def test_a_link_among_the_files_is_not_there() -> None:
    """BEP 47: attribute l, in both halves. Nobody is made to write through it."""
    linked = {b"": {b"attr": b"l", b"length": 0, b"symlink path": [b"..", b"..", b"etc"]}}
    tree = FIELDS[b"file tree"] | {b"z": linked}
    files = [*FIELDS[b"files"], {b"attr": b"l", b"length": 0, b"path": [b"z"], b"symlink path": [b"..", b"etc"]}]
    read = info.decode_info(changed(file_tree=tree, files=files))
    assert read.files == GOOD.files


def test_a_last_pad_file_may_be_missing() -> None:
    """BEP 47 pads files that follow; libtorrent pads the last one as well."""
    assert FIELDS[b"files"][-1][b"path"] == [b"e"]
    assert FIELDS[b"files"][-2][b"path"] == [b".pad", b"32767"]
    read = info.decode_info(changed(files=FIELDS[b"files"][:-2] + FIELDS[b"files"][-1:]))
    assert read.files == GOOD.files


def test_a_wrong_piece_layer_is_a_bad_message_and_a_missing_one_is_not() -> None:
    ((root, layer),) = LAYERS.items()
    for bad in (bytes(len(layer)), layer[:-32], layer[:-1], layer + bytes(32), b"", 1):
        with pytest.raises(BadMessage):
            metainfo.decode_torrent(bencode.encode({b"info": FIELDS, b"piece layers": {root: bad}}))
        if isinstance(bad, bytes):
            with pytest.raises(LocalError):
                metainfo.encode_torrent(GOOD, {root: bad})
    read = metainfo.decode_torrent(bencode.encode({b"info": FIELDS, b"piece layers": {b"other": 1}}))
    assert (read.info, read.layers) == (GOOD, {})
    with pytest.raises(LocalError):
        metainfo.encode_torrent(GOOD, {})
    for bad in (b"de", b"le", b"d4:info1:xe", bencode.encode({b"info": FIELDS, b"piece layers": []})):
        with pytest.raises(BadMessage):
            metainfo.decode_torrent(bad)


def test_what_cannot_be_shared_is_a_local_error() -> None:
    one = GOOD.files[0]
    for files in ([], [one, one], [one, info.File((*one.path, b"x"), 0, None)], [info.File((b"",), 0, None)]):
        with pytest.raises(LocalError):
            info.make_info(b"N", files, piece_length=PIECE)
    with pytest.raises(LocalError):
        info.make_info(b"N", [one], piece_length=PIECE, v1_pieces=bytes(20))


def test_pieces_grow_with_the_share() -> None:
    assert info.piece_length_for(0) == UNIT_BYTES
    assert info.piece_length_for(4 << 30) == UNIT_BYTES
    assert info.piece_length_for((4 << 30) + 1) == 2 * UNIT_BYTES
    assert info.piece_length_for(1 << 62) == MAX_PIECE_BYTES


# --- links ---------------------------------------------------------------------------------

addresses = st.builds(
    Address,
    st.tuples(st.integers(1, 126), *[st.integers(0, 255)] * 3).map(bytes)
    | st.binary(min_size=14, max_size=14).map(lambda tail: b"\x20\x01" + tail),
    st.integers(1, 65535),
).filter(lambda address: address.scope > 0)
hints = st.builds(links.Hint, st.binary(min_size=32, max_size=32), st.none() | addresses)


@given(
    st.binary(min_size=32, max_size=32),
    st.none() | st.binary(min_size=20, max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(addresses, max_size=4, unique=True),
    st.lists(hints, max_size=4, unique=True),
)
def test_a_link_is_read_back(share: bytes, v1: bytes | None, name: str, peers: Any, known: Any) -> None:
    link = links.make_link(share, v1_id=v1, name=name, peers=peers, hints=known)
    assert link.isascii()
    assert not set(link) & set(" \"'<>\\^`{|}\n")
    assert links.parse_link(f"  {link}\n") == links.Link(share, v1, name, tuple(peers), tuple(known))


@given(st.text(max_size=300), st.booleans())
def test_any_text_is_a_link_or_a_local_error(text: str, scheme: bool) -> None:
    good = "magnet:?xt=urn:btmh:1220" + "ab" * 32 + "&"
    try:
        links.parse_link(good + text if scheme else text)
    except LocalError:
        pass


PIECES_OF_LINKS = (
    *("xt=", "urn:btmh:", "1220", "ab" * 32, "&", "x.pe=", "dn=%ff", "x.p2pnode=", "@", ":1"),
    *("[::1]", "p2pnode1:", "xt.1=", "urn:btih:", "%", "é", "9" * 5000),
)


@given(st.lists(st.sampled_from(PIECES_OF_LINKS), max_size=20))
def test_any_row_of_pieces_is_a_link_or_a_local_error(pieces: list[str]) -> None:
    try:
        links.parse_link("magnet:?" + "".join(pieces))
    except LocalError:
        pass


ID = bytes(range(32))
XT = "xt=urn:btmh:1220" + ID.hex()


def test_forms_that_others_write_are_read() -> None:
    for text in (ID.hex(), ID.hex().upper(), f"magnet:?{XT}", f"MAGNET:?{XT.upper()}", f"magnet:?dn=x&xt.1={XT[3:]}"):
        assert links.parse_link(text).id == ID
    both = links.parse_link(f"magnet:?xt=urn:btih:{'b' * 32}&{XT}&tr=http%3A%2F%2Ft&dn=a+b%20c")
    assert both.v1_id == base64.b32decode("B" * 32)
    assert both.name == "a b c"


def test_hints_of_every_form_are_read() -> None:
    letters = format_id(ID)
    where = parse_address("192.0.2.7:4433")
    link = links.parse_link(f"magnet:?{XT}&x.p2pnode={letters}&x.p2pnode={letters.replace('-', '')}@192.0.2.7:4433")
    assert link.hints == (links.Hint(ID), links.Hint(ID, where))

    ticket = make_ticket(Network("lan"), KeyPair.from_seed(bytes(32)).key, (where,))
    link = links.parse_link(links.make_link(ID, hints=[links.Hint(ID, where)], tickets=[ticket]))
    assert link == links.Link(ID, hints=(links.Hint(ID, where),), tickets=(parse_ticket(ticket),))


def test_what_is_hostile_in_a_link_is_bounded_and_left_out() -> None:
    many = "".join(f"&x.pe=192.0.2.7:{port}" for port in range(1, 500))
    link = links.parse_link(
        f"magnet:?{XT}&dn={'n' * 3000}&x.pe=host:1&x.pe=1.2.3.4:0&x.pe=224.0.0.1:5&x.p2pnode=x{many}"
    )
    assert len(link.peers) == 16
    assert len(link.name) == 255
    assert link.hints == ()
    # A zone is a number of one machine.
    assert links.parse_link(f"magnet:?{XT}&x.pe=[fe80::1%259]:5").peers[0].zone == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither"),
        ("http://example.org", "neither"),
        ("magnet:?dn=x", "names no share"),
        (f"magnet:?xt=urn:btih:{'a' * 40}", "v1 only"),
        ("magnet:?xt=urn:btih:zz", "no SHA-1"),
        ("magnet:?xt=urn:btmh:1220abcd", "no SHA-256"),
        (f"magnet:?xt=urn:btmh:1114{'a' * 40}", "no SHA-256"),
        (f"magnet:?{XT}&xt=urn:btmh:1220{'0' * 64}", "several"),
        ("magnet:?" + "x" * 20_000, "at most"),
    ],
)
def test_what_is_no_link_says_why(text: str, says: str) -> None:
    with pytest.raises(LocalError, match=says):
        links.parse_link(text)


def test_peers_of_this_network_are_no_clients_of_bittorrent() -> None:
    here, there = Address(bytes((192, 0, 2, 7)), 4433), Address(bytes((192, 0, 2, 8)), 6881)
    link = links.parse_link(links.make_link(bytes(32), peers=[here, there], hints=[links.Hint(bytes(32), here)]))
    assert (link.peers, link.foreign) == ((here, there), (there,))
