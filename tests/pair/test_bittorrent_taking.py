"""What a node fetches from clients of BitTorrent, in virtual time: good ones, bad ones, and other nodes by that way."""

from __future__ import annotations

import pytest

from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.extension import PartReject
from apps.files.core.bittorrent.limits import BLOCK_BYTES, MAX_BANNED_OF_ADDRESS, MAX_BLOCKS_OUT, MAX_STRAY_BYTES
from apps.files.core.bittorrent.messages import (
    Block,
    BlockCancel,
    BlockData,
    BlockReject,
    BlockRequest,
    Choking,
    Extended,
    HashReject,
    HashRequest,
    HavePiece,
    Holds,
    encode,
)
from apps.files.core.limits import MAX_INFO_TRIES, MIB, UNIT_BYTES
from apps.files.core.memory_disk import make_share
from apps.files.core.share import State
from apps.files.core.sources import Sources
from apps.files.core.wire import Peers
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from tests.support.bittorrent_rig import HOME, Bytes, Client, Dialled, gateway_of, hybrid_of
from tests.support.files_rig import Fake, Node

FILM = make_share(b"film", {(b"film",): 5 * MIB + 777})
BOOK = make_share(b"book", {(b"a",): 5 * BLOCK_BYTES + 1, (b"b",): 3, (b"empty",): 0}, unit_bytes=BLOCK_BYTES)


def at(number: int) -> Address:
    return Address(bytes((10, 1, number >> 8, number & 255)), 6881)


def fed(made: object = FILM, **given: object) -> tuple[Node, Dialled, Client]:
    """A node that has dialled a client with all of it, got the info dictionary, and may ask."""
    node = Node(Loop(), made)  # type: ignore[arg-type]
    node.pass_time(1)
    dialled = Dialled(node, **given)
    client = dialled.reach()
    client.say(Holds(True))
    client.introduce(len(node.made.info.raw))
    client.say(Choking(False))
    node.pass_time(1)
    return node, dialled, client


def finish(node: Node, *clients: Client) -> None:
    for _ in range(60):
        for client in clients:
            client.give_all()
        node.pass_time(0.5)
        if node.share.state is State.COMPLETE:
            return


@pytest.mark.parametrize("made", [FILM, BOOK, hybrid_of(FILM)], ids=["film", "book", "hybrid"])
def test_all_comes_from_one_client_by_nothing_but_the_id(made: object) -> None:
    node, _, client = fed(made)
    assert node.share.state is State.DOWNLOADING
    assert 0 < len(client.asked) <= MAX_BLOCKS_OUT
    finish(node, client)
    assert node.share.state is State.COMPLETE
    assert (node.share.downloaded, node.share.wasted) == (node.made.info.length, 0)
    asked = [one.block for one in client.heard_of(BlockRequest)]
    assert sorted(map(repr, asked)) == sorted(map(repr, client.blocks_of_all()))
    assert (client.gone, node.loop.crashed) == (True, [])  # two that have all have nothing to say


def test_what_it_says_before_the_layout_is_known_counts_afterwards() -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    client = Dialled(node).reach()
    client.say(Holds(b"\xc0\0\0"), HavePiece(20), HavePiece(3))
    client.introduce(len(FILM.info.raw))
    node.pass_time(1)
    (channel,) = node.share.channels.values()
    assert channel.held == 1 << 0 | 1 << 1 | 1 << 3 | 1 << 20


@pytest.mark.parametrize("pieces", [b"\xff", bytes(4), b"\xff\xff\xff"])
def test_a_bit_field_of_another_share_ends_it(pieces: bytes) -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    client = Dialled(node).reach()
    client.say(Holds(pieces))
    client.introduce(len(FILM.info.raw))
    node.pass_time(1)
    assert client.gone
    assert [name for name, _ in node.around.events] == ["found", "bad peer"]


@pytest.mark.parametrize("size", [0, 16 * MIB + 1, 2_000_000_000])
def test_a_size_that_no_info_dictionary_has_is_not_asked_for(size: int) -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    client = Dialled(node).reach()
    client.introduce(size)
    node.pass_time(30)
    assert len(client.heard) == 2
    assert node.share.state is State.FINDING


@pytest.mark.parametrize("again", [b"d1:md11:ut_metadatai7ee13:metadata_sizei0ee", b"d1:md11:ut_metadatai0eee", b"de"])
def test_one_that_takes_back_what_it_said_of_its_info_dictionary_is_asked_after_pauses(again: bytes) -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    client = Dialled(node, helpful=False).reach()
    client.introduce(233)
    client.say(Extended(0, again))
    refuse = encode(Extended(extension.UT_METADATA, extension.encode_metadata(PartReject(0))))
    client.feed(refuse)
    node.pass_time(300)
    assert client.gone
    assert len([one for one in client.heard_of(Extended) if one.number == 7]) == 1
    assert (node.share.state, node.loop.crashed) == (State.FINDING, [])
    good = Dialled(node).reach(at(1))
    good.introduce(len(FILM.info.raw))
    node.pass_time(1)
    assert node.share.state is State.DOWNLOADING


def test_one_that_rejects_each_part_of_the_info_dictionary_is_asked_a_few_times() -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    client = Dialled(node, helpful=False).reach()
    client.introduce(233)
    refuse = encode(Extended(extension.UT_METADATA, extension.encode_metadata(PartReject(0))))
    for _ in range(300):
        client.feed(refuse)
        node.pass_time(1)
    assert client.gone
    assert len([one for one in client.heard_of(Extended) if one.number == 7]) == MAX_INFO_TRIES
    reasons = [fields["reason"] for name, fields in node.around.events if name == "peer dropped"]
    assert reasons == ["it did not give the info dictionary that it claimed to have"]


def test_another_info_dictionary_is_noticed_and_its_client_dropped() -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    liar = Dialled(node).reach()
    liar.made = BOOK
    liar.introduce(len(BOOK.info.raw))
    node.pass_time(1)
    assert liar.gone
    assert [fields["reason"] for name, fields in node.around.events if name == "peer dropped"] == [
        "it sent another info dictionary"
    ]


def test_corrupt_blocks_name_their_client_and_three_clients_an_address() -> None:
    node, dialled, client = fed()
    clients = [client]
    while True:
        bad = clients[-1]
        for block in [block for block in bad.asked if block.piece in {one.piece for one in bad.asked}]:
            bad.give(block, data=bytes(block.length))
        node.pass_time(1)
        assert bad.gone
        if len(clients) == MAX_BANNED_OF_ADDRESS:
            break
        clients.append(dialled.reach(Address(HOME.ip, HOME.port + len(clients))))
        clients[-1].say(Holds(True), Choking(False))
        node.pass_time(1)
    assert {fields["peer"] for name, fields in node.around.events if name == "corrupt"} == set(node.share.banned)
    dialled.reach(Address(HOME.ip, 7777))
    assert "wrong too often" in str(dialled.failures[-1])
    assert Client(node, dialled.gateway, peer_id=b"yet another name of ").gone
    good = dialled.reach(at(1))
    good.say(Holds(True), Choking(False))
    node.pass_time(1)
    finish(node, good)
    assert (node.share.state, node.disk.wrong) == (State.COMPLETE, 0)


def test_a_rejected_block_is_asked_of_another() -> None:
    node, dialled, client = fed(BOOK)
    other = dialled.reach(at(1))
    other.say(Holds(True), Choking(False))
    node.pass_time(1)
    for block in tuple(client.asked):
        client.say(BlockReject(block))
        client.asked.pop(block)
    node.pass_time(1)
    finish(node, other)
    assert node.share.state is State.COMPLETE
    assert not client.asked


def test_a_choke_gives_up_what_was_asked_for_and_what_comes_late_is_no_fault() -> None:
    node, _, client = fed()
    asked = tuple(client.asked)
    client.say(Choking(True))
    node.pass_time(1)
    for block in asked[:5]:
        client.give(block)
    client.asked.clear()
    client.say(Choking(False))
    node.pass_time(1)
    finish(node, client)
    assert (node.share.state, client.heard_of(BlockCancel)) == (State.COMPLETE, [])
    assert [name for name, _ in node.around.events if name == "bad peer"] == []


def test_blocks_that_nobody_asked_for_end_it() -> None:
    node, _, client = fed()
    client.say(Choking(True))
    client.asked.clear()
    block = BlockData(0, 1, memoryview(bytes(BLOCK_BYTES)))
    client.feed(encode(block) * (MAX_STRAY_BYTES // BLOCK_BYTES + 1))
    node.pass_time(1)
    assert client.gone
    assert ("bad peer", "blocks that nobody asked for") in [
        (name, fields.get("reason")) for name, fields in node.around.events
    ]


def test_one_that_gives_no_hashes_is_asked_once_and_another_after_it() -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    dialled = Dialled(node)
    mute = dialled.reach()
    mute.say(Holds(True))
    mute.introduce(len(FILM.info.raw))
    node.pass_time(1)
    mute.helpful = False
    mute.say(Choking(False))
    node.pass_time(1)
    assert len(mute.heard_of(HashRequest)) == 1
    other = dialled.reach(at(1))
    other.say(Holds(True))
    node.pass_time(15)
    assert len(other.heard_of(HashRequest)) == 1
    finish(node, mute)
    assert node.share.state is State.COMPLETE


def test_where_nobody_gives_hashes_people_are_told_and_nobody_is_pestered() -> None:
    node = Node(Loop(), FILM)
    node.pass_time(1)
    mute = Dialled(node).reach()
    mute.say(Holds(True))
    mute.introduce(len(FILM.info.raw))
    node.pass_time(1)
    mute.helpful = False
    mute.say(Choking(False))
    node.pass_time(0.1)
    for asked in tuple(mute.heard_of(HashRequest)):
        mute.say(HashReject(asked.range))
    for _ in range(60):
        mute.give_all()
        node.pass_time(1)
        for asked in mute.heard_of(HashRequest)[-1:]:
            mute.say(HashReject(asked.range))
    assert 3 <= len(mute.heard_of(HashRequest)) <= 7
    assert "no hashes" in [name for name, _ in node.around.events]
    assert (node.share.have, mute.gone) == (0, False)


def test_who_knows_the_sha1_alone_is_reached_by_it() -> None:
    made = hybrid_of(FILM)
    node, dialled, client = fed(made)
    old: list[Client] = []

    class Old(Client):
        """It hangs up on any other hash."""

        def _on_sent(self, data: bytes) -> None:
            if self.answer is None and made.info.v1_id not in (data[28:48],):
                self.end.close()
                return
            super()._on_sent(data)

    def dial(address: Address) -> Bytes:
        old.append(Old(node, dialled.gateway, address=address, incoming=False, share=made.info.v1_id, v2=False,
                       peer_id=b"an old client, of v1"))  # fmt: skip
        return old[-1].end

    dialled._dial = dial  # type: ignore[method-assign]
    dialled.gateway = gateway_of(node, dial)
    dialled.clients.append(client)
    dialled.reach(at(1))
    assert [one.gone for one in old] == [True, False]
    old[1].say(Holds(True), Choking(False))
    node.pass_time(1)
    client.asked.clear()
    client.end.close()
    node.pass_time(1)
    finish(node, old[1])
    assert node.share.state is State.COMPLETE  # by hashes that the first client gave
    assert old[1].heard_of(HashRequest) == []


def test_nodes_of_two_networks_exchange_a_share_by_bittorrent() -> None:
    loop = Loop()
    seed, leecher = Node(loop, FILM, seeds=True), Node(loop, FILM, seed=2)
    leecher.pass_time(1)
    taking = gateway_of(seed)

    def dial(address: Address) -> Bytes:
        ends: list[Bytes] = []

        def carry(to: int) -> object:
            return lambda data: loop.call_at(loop.now.mono_ns + 10_000_000, lambda: ends[to].feed(data))

        ends.append(Bytes(loop, address, False, carry(1)))  # type: ignore[arg-type]
        ends.append(Bytes(loop, at(7), True, carry(0)))  # type: ignore[arg-type]
        loop.spawn_root(taking.on_stream(ends[1]), name="gateway")
        return ends[0]

    gateway = gateway_of(leecher, dial, network=b"another network")

    async def go() -> None:
        (await gateway.reach(leecher.share, HOME)).open_share(leecher.share)

    loop.spawn_root(go(), name="go")
    leecher.pass_time(30)
    assert leecher.share.state is State.COMPLETE
    assert (leecher.share.downloaded, leecher.share.wasted) == (FILM.info.length, 0)
    assert seed.share.uploaded == FILM.info.length
    assert loop.crashed == []


def test_others_hear_nothing_of_made_up_ids() -> None:
    node, _, client = fed()
    fakes = [Fake(node, b"one"), Fake(node, b"two")]
    sources = Sources(node.share, b"o" * 32, None, None)  # type: ignore[arg-type]
    sources._tell(node.loop.now.mono_ns)
    node.pass_time(1)
    told = [peer for fake in fakes for message in fake.heard if isinstance(message, Peers) for peer, _ in message.peers]
    assert sorted(told) == sorted(fake.id for fake in fakes)
    assert not client.gone


def test_a_units_blocks_in_any_order_make_it() -> None:
    node, _, client = fed(BOOK)
    blocks = [Block(0, 0, BLOCK_BYTES), *client.asked]
    for block in reversed(blocks[1:]):
        client.give(block)
    node.pass_time(1)
    finish(node, client)
    assert node.share.state is State.COMPLETE
    assert UNIT_BYTES % BLOCK_BYTES == 0
