"""How much one client of BitTorrent, or all together, can make a node remember or do: each bound by itself."""

from __future__ import annotations

import attrs
import pytest

from apps.files.core import wire
from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.extension import ExtendedHandshake, PartData, PartReject, PartRequest
from apps.files.core.bittorrent.giving import Giving
from apps.files.core.bittorrent.grain import Grain
from apps.files.core.bittorrent.hash_ranges import HashRanges
from apps.files.core.bittorrent.holdings import Holdings, Pool
from apps.files.core.bittorrent.limits import (
    BLOCK_BYTES,
    MAX_BITFIELD_BYTES,
    MAX_BLOCK_BYTES,
    MAX_BLOCKS_ASKED,
    MAX_EARLY_BYTES,
    MAX_EARLY_POOL,
    MAX_KEPT_UNITS,
    MAX_PAD_BYTES,
    MAX_PARTS_ASKED,
)
from apps.files.core.bittorrent.messages import (
    Block,
    BlockReject,
    BlockRequest,
    Choking,
    Extended,
    HashAnswer,
    HashRange,
    HashReject,
    HashRequest,
    HavePiece,
    Holds,
    Interested,
)
from apps.files.core.bittorrent.metadata import Metadata
from apps.files.core.info import make_info
from apps.files.core.layout import layout_of
from apps.files.core.limits import CHOKES_PER_S, MAX_CHOKES, MAX_HASH_QUESTIONS, MIB, UNIT_BYTES
from apps.files.core.memory_disk import make_share
from overlay.errors import BadMessage, LimitError
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from tests.support.bittorrent_rig import Client, Dialled, gateway_of
from tests.support.files_rig import Node

FILM = make_share(b"film", {(b"film",): 5 * MIB + 777})
ROOT = FILM.info.files[0].root or b""


def at(number: int) -> Address:
    return Address(bytes((10, 1, number >> 8, number & 255)), 6881)


def finding(**given: object) -> tuple[Node, Client]:
    """A node that knows nothing but the id, and a client that it has dialled."""
    node = Node(Loop(), FILM)
    node.pass_time(1)
    return node, Dialled(node, helpful=False, **given).reach()


# --- what one waits for --------------------------------------------------------------------


def test_so_many_blocks_of_one_client_wait_and_the_next_is_rejected() -> None:
    node = Node(Loop(), FILM, seeds=True)
    node.pass_time(1)
    client = Client(node, gateway_of(node))
    client.say(Interested(True))
    node.pass_time(1)
    blocks = [Block(piece, begin, 8) for begin in range(0, 8 * 26, 8) for piece in range(20)][: MAX_BLOCKS_ASKED + 3]
    client.say(*map(BlockRequest, blocks))  # and no time for the disk
    assert client.heard_of(BlockReject) == list(map(BlockReject, blocks[MAX_BLOCKS_ASKED:]))
    node.pass_time(1)
    assert len(client.data) == MAX_BLOCKS_ASKED
    client.ask(0, 8, 8)
    node.pass_time(1)
    assert len(client.heard_of(BlockReject)) == 3  # there is room again


def test_of_a_unit_that_is_kept_no_more_is_given_than_is_left() -> None:
    paid: list[int] = []
    giving, unit, half = Giving(Grain(FILM.layout), paid.append), memoryview(bytes(UNIT_BYTES)), UNIT_BYTES // 2
    ask = Block(0, 0, half)
    assert (giving.ask(ask), giving.ask(ask), giving.ask(ask)) == (0, -1, -1)
    parts, again = giving.came(0, unit)
    assert (sum(map(len, parts)) // half, again) == (2, True)
    parts, again = giving.came(0, unit)
    assert (sum(map(len, parts)) // half, again) == (1, False)
    assert isinstance(giving.ask(Block(0, 0, half - 1)), tuple)
    assert giving.ask(Block(0, 0, 2)) == 0  # one byte is left
    assert paid == []


def test_of_a_long_pad_so_much_is_given_before_its_unit_is_asked_for_again() -> None:
    wide = layout_of(make_info(b"wide", FILM.info.files, piece_length=16 * MIB))
    paid: list[int] = []
    giving, last = Giving(Grain(wide), paid.append), wide.units - 1
    for begin in range(6 * MIB, 8 * MIB, MAX_BLOCK_BYTES):
        giving.ask(Block(0, begin, MAX_BLOCK_BYTES))
    _, again = giving.came(last, memoryview(bytes(777)))
    assert (sum(paid), again) == (MAX_PAD_BYTES, True)


def test_so_many_units_are_kept() -> None:
    giving = Giving(Grain(FILM.layout), lambda _: None)
    for piece in range(MAX_KEPT_UNITS + 1):
        giving.ask(Block(piece, 0, 1))
        giving.came(piece, memoryview(bytes(UNIT_BYTES)))
    assert giving.ask(Block(0, 0, 1)) == 0
    assert isinstance(giving.ask(Block(1, 0, 1)), tuple)


def test_so_many_parts_of_the_info_dictionary_wait_for_one_client() -> None:
    told: list[Extended] = []
    heard: list[wire.Message] = []
    metadata = Metadata(0, told.append, heard.append)
    metadata.theirs, metadata.size = ExtendedHandshake(ut_metadata=7), 16 * MIB
    for part in (*range(MAX_PARTS_ASKED), *range(MAX_PARTS_ASKED), MAX_PARTS_ASKED):
        metadata.on_message(extension.encode_metadata(PartRequest(part)))
    assert [extension.decode_metadata(one.body) for one in told] == [PartReject(MAX_PARTS_ASKED)]
    assert len(heard) == MAX_PARTS_ASKED // 4  # a question of the session is for four of them
    metadata.give(0, bytes(4 * BLOCK_BYTES))
    metadata.on_message(extension.encode_metadata(PartRequest(MAX_PARTS_ASKED)))
    assert len(heard) == MAX_PARTS_ASKED // 4 + 1


def test_a_part_of_the_info_dictionary_that_was_not_asked_for_is_not_heard() -> None:
    """Nor one that belongs to the same part of the session: the last one has fewer."""
    heard: list[wire.Message] = []
    metadata = Metadata(0, lambda _: None, heard.append)
    size = 5 * BLOCK_BYTES + 1
    metadata.theirs = ExtendedHandshake(ut_metadata=7, metadata_size=size)
    metadata.want(1)  # of BitTorrent's parts 4 and 5
    for part in (0, 3, 6, 7, 8):
        metadata.on_message(extension.encode_metadata(PartData(part, size, b"x")))
        metadata.on_message(extension.encode_metadata(PartReject(part)))
    assert heard == []
    for part, data in ((5, b"5"), (4, bytes(BLOCK_BYTES))):
        metadata.on_message(extension.encode_metadata(PartData(part, size, data)))
    assert heard == [wire.InfoPart(0, 1, bytes(BLOCK_BYTES) + b"5")]


def test_so_many_questions_for_hashes_of_one_client_wait() -> None:
    told: list[object] = []
    heard: list[wire.Message] = []
    ranges = HashRanges(0, True, told.append, heard.append)
    questions = [HashRange(ROOT, 0, 2 * number, 2, 0) for number in range(MAX_HASH_QUESTIONS + 1)]
    for asked in (*questions[:-1], questions[0], questions[-1]):
        ranges.on_message(HashRequest(asked))
    assert told == [HashReject(questions[-1])]
    assert len(heard) == MAX_HASH_QUESTIONS


def test_so_many_questions_for_hashes_are_asked_of_one_client() -> None:
    told: list[object] = []
    heard: list[wire.Message] = []
    ranges = HashRanges(0, True, told.append, heard.append)
    for number in range(MAX_HASH_QUESTIONS + 1):
        ranges.want(wire.GetHashes(0, ROOT, 0, 2 * number, 2, 0))
    assert len(told) == MAX_HASH_QUESTIONS
    assert heard == [wire.Hashes(0, ROOT, 0, 2 * MAX_HASH_QUESTIONS, 2, b"")]


@pytest.mark.parametrize(("hashes", "taken"), [(66, True), (67, False), (8_192, False)])
def test_an_answer_with_more_hashes_than_any_tree_has_is_none(hashes: int, taken: bool) -> None:
    heard: list[wire.Message] = []
    ranges = HashRanges(0, True, lambda _: None, heard.append)
    ranges.want(wire.GetHashes(0, ROOT, 0, 0, 2, 0))
    ranges.on_message(HashAnswer(HashRange(ROOT, 0, 0, 2, 0), bytes(32 * hashes)))
    assert heard == [wire.Hashes(0, ROOT, 0, 0, 2, bytes(32 * hashes) if taken else b"")]


# --- what is said too early ----------------------------------------------------------------


@pytest.mark.parametrize("piece", [8 * MAX_BITFIELD_BYTES, 2**32 - 1])
def test_one_have_does_not_take_half_a_gigabyte(piece: int) -> None:
    holdings = Holdings(0, True, lambda _: None, lambda _: None, Pool())
    with pytest.raises(BadMessage):
        holdings.on_piece(piece)
    assert len(holdings._early_haves) == 0
    node, client = finding()
    client.say(HavePiece(piece))
    node.pass_time(1)
    assert client.gone


def test_all_connections_together_keep_so_much_of_what_was_said_too_early() -> None:
    pool = Pool()
    some = [Holdings(0, True, lambda _: None, lambda _: None, pool) for _ in range(128)]
    full = 0
    for one in some:
        try:
            one.on_pieces(bytes(MAX_BITFIELD_BYTES))
            one.on_piece(8 * MAX_BITFIELD_BYTES - 1)
        except LimitError:
            full += 1
    kept = sum(len(one._early_haves) + (0 if isinstance(one._early, bool) else len(one._early)) for one in some)
    assert full > 64
    assert MAX_EARLY_POOL // 2 < kept <= MAX_EARLY_POOL + 128 * MAX_EARLY_BYTES
    late = Holdings(0, True, lambda _: None, lambda _: None, pool)
    late.on_pieces(bytes(MAX_EARLY_BYTES // 2))
    late.on_piece(4 * MAX_EARLY_BYTES - 1)  # so much every one may say
    for one in some:
        one.forget()
    assert pool.used == 0


def test_one_for_whom_there_is_no_room_goes_without_blame_and_those_that_go_make_room() -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    gateway = gateway_of(node)
    clients = [Client(node, gateway, address=at(n), peer_id=b"client %013d" % n) for n in range(20)]
    for client in clients:
        client.say(Holds(bytes(MAX_BITFIELD_BYTES)))
    node.pass_time(1)
    gone = [client.gone for client in clients]
    assert (gone[0], gone[-1]) == (False, True)
    assert [name for name, _ in node.around.events if name == "bad peer"] == []
    for client in clients:
        client.end.close()
    node.pass_time(1)
    last = Client(node, gateway, address=at(99), peer_id=b"client %013d" % 99)
    last.say(Holds(bytes(MAX_BITFIELD_BYTES)))
    node.pass_time(1)
    assert not last.gone


# --- what one does again and again ---------------------------------------------------------


def test_chokes_without_end_end_it() -> None:
    node, client = finding()
    client.say(*[Choking(number % 2 == 0) for number in range(MAX_CHOKES)])
    for _ in range(10):
        node.pass_time(1)
        client.say(*[Choking(number % 2 == 0) for number in range(CHOKES_PER_S)])
    assert not client.gone
    client.say(*[Choking(number % 2 == 0) for number in range(MAX_CHOKES)])
    node.pass_time(1)
    assert client.gone
    reasons = [fields["reason"] for name, fields in node.around.events if name == "bad peer"]
    assert reasons == ["a flood of chokes"]


def test_whoever_copies_the_id_of_a_client_does_not_keep_it_out() -> None:
    node = Node(Loop(), FILM, seeds=True)
    node.pass_time(1)
    gateway = gateway_of(node)
    copy = Client(node, gateway, address=at(1))
    client = Client(node, gateway, address=at(2))
    assert copy.handshake == client.handshake
    assert (copy.gone, client.gone) == (False, False)
    assert Client(node, gateway, address=attrs.evolve(at(2), port=7777)).gone  # it is here already
