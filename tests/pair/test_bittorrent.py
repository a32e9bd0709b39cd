"""Clients of BitTorrent that come to a node, in virtual time: those that keep to the rules, and those that do not."""

from __future__ import annotations

import attrs
import pytest

from apps.files.core import bits
from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.extension import PartData, PartReject, PartRequest
from apps.files.core.bittorrent.grain import Grain
from apps.files.core.bittorrent.handshake import encode_handshake
from apps.files.core.bittorrent.holdings import Holdings, Pool
from apps.files.core.bittorrent.limits import (
    BLOCK_BYTES,
    HANDSHAKE_S,
    IDLE_S,
    KEEP_ALIVE_S,
    MAX_BLOCK_BYTES,
    MAX_BLOCKS_ASKED,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_TRANSLATED_BYTES,
    USELESS_S,
)
from apps.files.core.bittorrent.messages import (
    Block,
    BlockCancel,
    BlockData,
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
    encode,
)
from apps.files.core.info import make_info
from apps.files.core.layout import layout_of
from apps.files.core.limits import KIB, MIB, UNIT_BYTES
from apps.files.core.memory_disk import make_share
from apps.files.core.merkle import answer_hashes
from apps.files.core.wire import Hold
from overlay.errors import Refused
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from tests.support.bittorrent_rig import Client, gateway_of, hybrid_of
from tests.support.files_rig import Node

#: Units of 256 KiB in pieces of 256 KiB.
FILM = make_share(b"film", {(b"film",): 5 * MIB + 777})
BOOK = make_share(b"book", {(b"a",): 5 * BLOCK_BYTES + 1, (b"b",): 3, (b"empty",): 0}, unit_bytes=BLOCK_BYTES)


def seed(made: object = FILM) -> Node:
    node = Node(Loop(), made, seeds=True)  # type: ignore[arg-type]
    node.pass_time(1)
    return node


def served(node: Node, **given: object) -> Client:
    """One that wants something and is given a slot."""
    client = Client(node, gateway_of(node), **given)  # type: ignore[arg-type]
    client.say(Interested(True))
    node.pass_time(1)
    assert Choking(False) in client.heard
    return client


def at(number: int) -> Address:
    return Address(bytes((10, 1, number >> 8, number & 255)), 6881)


# --- what a client gets --------------------------------------------------------------------


def test_one_that_always_asks_for_as_much_as_it_may_gets_all_and_nothing_else() -> None:
    node = seed()
    client = served(node)
    assert client.heard[:2] == [Holds(True), Extended(0, extension.encode_handshake(len(FILM.info.raw)))]
    waiting = client.blocks_of_all()
    wanted = {(block.piece, block.begin): client.right(block) for block in waiting}
    while waiting:
        free = MAX_BLOCKS_ASKED - (len(wanted) - len(waiting) - len(client.data))
        client.say(*map(BlockRequest, waiting[:free]))
        del waiting[:free]
        node.pass_time(0.01)
    node.pass_time(1)
    assert client.data == wanted
    assert node.share.uploaded == FILM.info.length
    assert client.heard_of(BlockReject) == []


def test_blocks_of_one_unit_asked_for_one_by_one_are_read_once() -> None:
    node = seed()
    client = served(node)
    for block in client.blocks_of_all()[:16]:
        client.say(BlockRequest(block))
        node.pass_time(0.1)
        assert client.data[block.piece, block.begin] == client.right(block)
    assert node.share.uploaded == UNIT_BYTES


def test_the_same_block_again_and_again_is_paid_for() -> None:
    node = seed()
    client = served(node)
    for _ in range(40):
        client.ask(0, 0, BLOCK_BYTES)
        node.pass_time(0.1)
    assert sum(1 for message in client.heard if hasattr(message, "data")) == 40
    assert 40 * BLOCK_BYTES <= node.share.uploaded <= 4 * UNIT_BYTES


@pytest.mark.parametrize(
    ("block", "length"),
    [
        (Block(0, 0, 1), 1), (Block(0, 100, MAX_BLOCK_BYTES), MAX_BLOCK_BYTES), (Block(20, 0, 777), 777),
        (Block(20, 0, BLOCK_BYTES), BLOCK_BYTES), (Block(20, 5 * BLOCK_BYTES, 9), 9),
    ],
)  # fmt: skip
def test_odd_blocks_are_given_with_zeros_behind_the_file(block: Block, length: int) -> None:
    node = seed()
    client = served(node)
    client.say(BlockRequest(block))
    node.pass_time(1)
    assert client.data == {(block.piece, block.begin): client.right(block, padded=True)}
    assert len(client.data[block.piece, block.begin]) == length


@pytest.mark.parametrize("begin", [0, MAX_BLOCK_BYTES])
def test_the_limit_of_upload_holds_for_zeros_behind_a_file(begin: int) -> None:
    rate = 4096
    node = seed(make_share(b"tiny", {(b"a",): 1, (b"z",): 3 * MIB}))
    gateway = gateway_of(node)
    gateway.uploads.limit(node.loop.now.mono_ns, rate)
    client = Client(node, gateway)
    client.say(Interested(True))
    node.pass_time(1)
    for _ in range(120):
        client.ask(0, begin, MAX_BLOCK_BYTES)
        node.pass_time(1)
    given = sum(len(one.data) for one in client.heard_of(BlockData))
    assert MAX_BLOCK_BYTES <= given <= 120 * rate + 2 * UNIT_BYTES
    assert given <= node.share.uploaded


def test_a_pad_longer_than_a_unit_comes_whole() -> None:
    info = make_info(b"wide", FILM.info.files, piece_length=16 * MIB)
    node = seed(attrs.evolve(FILM, info=info, layout=layout_of(info)))
    client = served(node)
    blocks = [Block(0, at, MAX_BLOCK_BYTES) for at in range(5 * MIB, 16 * MIB, MAX_BLOCK_BYTES)]
    client.say(*map(BlockRequest, blocks))
    node.pass_time(5)
    assert client.data == {(0, block.begin): client.right(block, padded=True) for block in blocks}
    assert client.heard_of(BlockReject) == []
    assert node.share.uploaded >= 11 * MIB - 777


def test_of_one_unit_no_more_is_given_than_was_counted() -> None:
    node = seed()
    client = served(node)
    for _ in range(20):
        client.say(*[BlockRequest(Block(0, 0, 32 * KIB))] * 7, BlockRequest(Block(0, 0, BLOCK_BYTES)),
                   BlockRequest(Block(0, 0, BLOCK_BYTES - 1)), BlockRequest(Block(0, 0, MAX_BLOCK_BYTES)))  # fmt: skip
        node.pass_time(0.2)
        given = sum(len(one.data) for one in client.heard_of(BlockData))
        assert given <= node.share.uploaded
    assert len(client.heard_of(BlockData)) == 200


@pytest.mark.parametrize(
    "block",
    [
        Block(0, 0, 0), Block(0, 0, MAX_BLOCK_BYTES + 1), Block(21, 0, 1), Block(2**32 - 1, 0, 1),
        Block(0, UNIT_BYTES - 1, 2), Block(0, 2**32 - 1, 2**32 - 1),
    ],
)  # fmt: skip
def test_blocks_that_are_nowhere_are_rejected_and_nobody_is_dropped(block: Block) -> None:
    node = seed()
    client = served(node)
    client.say(BlockRequest(block), BlockRequest(Block(0, 0, 7)))
    node.pass_time(1)
    assert client.heard_of(BlockReject) == [BlockReject(block)]
    assert list(client.data) == [(0, 0)]


@pytest.mark.parametrize("fast", [True, False])
def test_whoever_is_choked_is_told_so_if_it_understands(fast: bool) -> None:
    node = seed()
    client = Client(node, gateway_of(node), fast=fast)
    client.ask(0, 0, 5)
    node.pass_time(1)
    assert client.heard_of(BlockReject) == ([BlockReject(Block(0, 0, 5))] if fast else [])
    assert client.data == {}
    assert isinstance(client.heard[0].pieces, bool) is fast
    assert not client.gone


def test_a_cancelled_block_is_rejected_and_does_not_come() -> None:
    node = seed()
    client = served(node)
    one, other = Block(0, 0, BLOCK_BYTES), Block(1, 0, BLOCK_BYTES)
    client.say(BlockRequest(one), BlockRequest(other), BlockCancel(one), BlockCancel(Block(3, 0, 1)))
    node.pass_time(1)
    assert (client.heard_of(BlockReject), list(client.data)) == ([BlockReject(one)], [(1, 0)])
    assert node.share.uploaded == UNIT_BYTES


def test_a_choke_rejects_what_was_asked_for() -> None:
    node = seed()
    client = served(node)
    client.end.room = 0
    client.say(*[BlockRequest(Block(piece, 0, BLOCK_BYTES)) for piece in range(20)])
    client.say(Interested(False))
    node.pass_time(1)
    client.end.more_room(1 << 30)
    node.pass_time(1)
    assert client.heard.count(Choking(True)) == 1
    assert len(client.data) + len(client.heard_of(BlockReject)) == 20


def test_the_info_dictionary_comes_in_parts() -> None:
    made = make_share(b"many", {(b"file %06d" % number,): 1 for number in range(2000)})
    node = seed(made)
    client = Client(node, gateway_of(node))
    client.introduce()
    count = -(-len(made.info.raw) // BLOCK_BYTES)
    asked = [*range(count), count, 1024]
    client.say(*[Extended(extension.UT_METADATA, extension.encode_metadata(PartRequest(part))) for part in asked])
    node.pass_time(1)
    answers = [extension.decode_metadata(one.body) for one in client.heard_of(Extended) if one.number == 7]
    parts = {one.part: one.data for one in answers if isinstance(one, PartData)}
    assert b"".join(parts[part] for part in range(count)) == made.info.raw
    assert {one.part for one in answers if isinstance(one, PartReject)} == {count, 1024}


def test_hashes_are_answered_down_to_one_and_nonsense_is_rejected() -> None:
    node = seed()
    client = Client(node, gateway_of(node))
    root, tree = FILM.info.files[0].root, FILM.trees[0]
    assert root is not None
    assert tree is not None
    good = [HashRange(root, 4, 0, 16, 4), HashRange(root, 4, 20, 1, 4), HashRange(root, 5, 0, 2, 0)]
    bad = [
        HashRange(root, 0, 0, 2, 1), HashRange(root, 4, 0, 3, 1), HashRange(bytes(32), 4, 0, 2, 1),
        HashRange(root, 2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1), HashRange(root, 4, 0, 2, 64),
    ]  # fmt: skip
    client.say(*map(HashRequest, [*good, *bad]))
    node.pass_time(1)
    answers = [answer_hashes(tree, one.base, one.index, one.count, one.proofs) or b"" for one in good]
    assert client.heard_of(HashAnswer) == list(map(HashAnswer, good, answers))
    assert sorted(map(repr, client.heard_of(HashReject))) == sorted(repr(HashReject(one)) for one in bad)


def test_a_hybrid_share_is_known_by_both_hashes_and_answered_in_kind() -> None:
    made = hybrid_of(FILM)
    node = seed(made)
    v1_id = made.info.v1_id
    assert v1_id is not None
    for given, answer in (({"share": v1_id, "v2": False}, v1_id), ({"share": v1_id}, made.info.id[:20])):
        client = Client(node, gateway_of(node), **given)
        assert client.answer is not None
        assert client.answer.share == answer
        assert client.heard[0] == Holds(True)
        client.say(HashRequest(HashRange(made.info.files[0].root or b"", 4, 0, 2, 4)))
        node.pass_time(1)
        assert len(client.heard_of(HashAnswer)) == 1


def test_a_piece_is_told_of_when_all_of_it_is_here() -> None:
    wide = layout_of(make_info(b"two", FILM.info.files, piece_length=4 * UNIT_BYTES))
    told: list[object] = []
    holdings = Holdings(0, True, told.append, told.append, Pool())
    holdings.on_hold(Grain(wide), bits.to_bitfield(0b11111, wide.units), 0)
    assert told == [Holds(b"\x80"), Hold(0, 0, False, 0)]
    holdings.on_have((5, 6, 20))
    assert told[2:] == [HavePiece(5)]  # the last piece has one unit
    holdings.on_have((7, 8))
    assert told[3:] == [HavePiece(1)]
    holdings.on_hold(Grain(wide), True, 0)
    assert told[4:] == [HavePiece(2), HavePiece(3), HavePiece(4)]


# --- what is bounded -----------------------------------------------------------------------


def test_one_that_reads_nothing_is_not_read_either() -> None:
    node = seed()
    client = served(node)
    client.end.room = 0
    flood = b"".join(encode(BlockRequest(Block(9, 1, 2**31))) for _ in range(500_000))
    client.feed(flood)
    node.pass_time(1)
    (connection,) = client.gateway.connections.values()
    assert connection.translator.outbox.size <= MAX_TRANSLATED_BYTES + len(flood) // 20
    assert client.end.unread > len(flood) // 2


def test_requests_beyond_what_is_remembered_are_rejected() -> None:
    node = seed()
    client = served(node)
    client.end.room = 0
    blocks = [Block(piece, begin, 8) for piece in range(20) for begin in range(0, 320, 8)]
    client.say(*map(BlockRequest, blocks))
    client.end.more_room(1 << 30)
    node.pass_time(1)
    answered = len(client.data) + len(client.heard_of(BlockReject))
    assert answered == len(blocks)
    assert len(client.data) >= MAX_BLOCKS_ASKED


@pytest.mark.parametrize(
    "bytes_", [b"\xff\xff\xff\xff\x07", b"\0\0\0\x02\x00\0", b"\0\0\0\x05\x04\xff\xff\xff\xff", b"\0\0\0\x03\x14\0x"]
)
def test_what_no_client_sends_ends_its_connection_and_names_it(bytes_: bytes) -> None:
    node = seed()
    gateway = gateway_of(node)
    client, other = Client(node, gateway), Client(node, gateway, address=at(1), peer_id=b"another client, good")
    client.feed(bytes_)
    node.pass_time(1)
    assert client.gone
    (event,) = [fields for name, fields in node.around.events if name == "bad peer"]
    assert event["address"] == str(client.end.address)
    assert not other.gone
    assert node.loop.crashed == []


@pytest.mark.parametrize("first", [b"", b"\x13BitTorrent protoco!" + bytes(48), b"\x13BitTorrent protocol" + bytes(20)])
def test_what_is_no_handshake_gets_no_answer(first: bytes) -> None:
    node = seed()
    client = Client(node, gateway_of(node), greets=False)
    client.feed(first)
    node.pass_time(HANDSHAKE_S + 1)
    assert isinstance(client.failure, Refused)
    assert (client.gone, client.answer) == (True, None)


def test_a_share_that_is_not_here_gets_no_answer() -> None:
    node = seed()
    client = Client(node, gateway_of(node), share=bytes(20))
    assert (client.gone, client.answer) == (True, None)


def test_an_address_has_so_many_connections_and_a_client_one() -> None:
    node = seed()
    gateway = gateway_of(node)
    clients = [
        Client(node, gateway, peer_id=b"client %013d" % number) for number in range(MAX_CONNECTIONS_PER_ADDRESS + 1)
    ]
    assert [client.gone for client in clients] == [False] * MAX_CONNECTIONS_PER_ADDRESS + [True]
    clients[0].end.close()
    node.pass_time(1)
    assert not Client(node, gateway, peer_id=b"client %013d" % 9).gone


def test_when_there_is_no_room_one_that_wants_nothing_makes_some() -> None:
    node = seed()
    gateway = gateway_of(node)
    clients = [
        Client(node, gateway, address=at(number), peer_id=b"client %013d" % number) for number in range(MAX_CONNECTIONS)
    ]
    clients[0].say(Interested(True))
    late = Client(node, gateway, address=at(999), peer_id=b"client %013d" % 999)
    assert isinstance(late.failure, Refused)
    node.pass_time(USELESS_S + 1)
    assert not Client(node, gateway, address=at(998), peer_id=b"client %013d" % 998).gone
    assert [client.gone for client in clients[:3]] == [False, True, False]


def test_the_silent_are_kept_awake_and_let_go() -> None:
    node = seed()
    client = Client(node, gateway_of(node))
    sent: list[bytes] = []
    client.end.on_sent = sent.append
    node.pass_time(KEEP_ALIVE_S + 1)
    assert sent == [bytes(4)]
    client.feed(bytes(4))
    node.pass_time(IDLE_S - 1)
    assert not client.gone
    node.pass_time(2)
    assert client.gone


def test_a_node_does_not_talk_to_itself() -> None:
    node = seed()
    gateway = gateway_of(node)
    assert Client(node, gateway, peer_id=gateway._peer_id).gone


def test_peers_of_one_network_do_not_talk_in_the_clear() -> None:
    """A link names a node for both protocols: once sealed is enough."""
    node = seed()
    gateway = gateway_of(node)
    kin = gateway._peer_id[:12] + b"somebody"
    assert Client(node, gateway, peer_id=kin).gone
    assert not Client(node, gateway, peer_id=kin[:8] + b"otherone" + b"kind").gone


def test_a_private_share_is_served_and_announced_to_nobody() -> None:
    private = make_info(b"film", FILM.info.files, piece_length=UNIT_BYTES, private=True)
    made = type(FILM)(private, FILM.layout, FILM.seeds, FILM.trees)
    node, public = seed(made), seed(hybrid_of(FILM))
    assert gateway_of(node).public_hashes() == []
    assert gateway_of(node).public(private.id[:20]) is None
    assert not Client(node, gateway_of(node)).gone
    info = public.made.info
    assert gateway_of(public).public_hashes() == [info.id[:20], info.v1_id]
    assert gateway_of(public).public(info.v1_id or b"") is public.share


def test_a_handshake_byte_by_byte_is_one() -> None:
    node = seed(BOOK)
    client = Client(node, gateway_of(node), greets=False)
    for byte in encode_handshake(client.handshake) + encode(Interested(True)):
        client.feed(bytes((byte,)))
    node.pass_time(1)
    assert Choking(False) in client.heard
