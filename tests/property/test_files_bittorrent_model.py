"""Clients of BitTorrent that keep to the rules, each of whose requests has one answer; and clients that do anything."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.files.core.bittorrent.limits import BLOCK_BYTES, MAX_BLOCKS_ASKED
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
)
from apps.files.core.memory_disk import make_share
from apps.files.core.share import State
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from tests.support.bittorrent_rig import Client, Dialled, gateway_of
from tests.support.files_rig import Node

SHARE = make_share(b"share", {(b"a",): 70 * BLOCK_BYTES + 9, (b"b",): 3})
ROOT = SHARE.info.files[0].root or b""
FRIEND = Address(bytes((10, 9, 9, 9)), 6881)
BLOCKS = st.builds(
    Block, st.integers(0, SHARE.layout.pieces), st.sampled_from([0, 1, BLOCK_BYTES, 5 * BLOCK_BYTES]),
    st.sampled_from([0, 1, BLOCK_BYTES, 8 * BLOCK_BYTES, 2**31]),
)  # fmt: skip
RANGES = st.builds(
    HashRange, st.sampled_from([ROOT, bytes(32)]), st.integers(0, 8), st.integers(0, 9), st.integers(0, 9),
    st.integers(0, 9),
)  # fmt: skip
PARTS = st.sampled_from([b"d8:msg_typei0e5:piecei0ee", b"d8:msg_typei1e5:piecei0eexyz", b"d8:msg_typei2e5:piecei0ee"])
SHAKES = st.sampled_from([b"de", b"d1:md11:ut_metadatai7ee13:metadata_sizei99ee", b"d1:mde4:reqqi1ee"])
ANYTHING = st.one_of(
    st.builds(Choking, st.booleans()), st.builds(Interested, st.booleans()),
    st.builds(HavePiece, st.integers(0, SHARE.layout.pieces)),
    st.builds(Holds, st.booleans() | st.binary(max_size=2)),
    st.builds(BlockRequest, BLOCKS), st.builds(BlockCancel, BLOCKS), st.builds(BlockReject, BLOCKS),
    st.builds(BlockData, st.integers(0, 6), st.sampled_from([0, BLOCK_BYTES]), st.just(memoryview(b"x" * BLOCK_BYTES))),
    st.builds(Extended, st.just(0), SHAKES), st.builds(Extended, st.just(1), PARTS),
    st.builds(HashRequest, RANGES), st.builds(HashAnswer, RANGES, st.binary(max_size=64)),
    st.builds(HashReject, RANGES),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(BLOCKS, st.sampled_from(["ask", "ask", "ask", "cancel", "wait"])), max_size=60))
def test_every_request_has_one_answer(steps: list[tuple[Block, str]]) -> None:
    node = Node(Loop(), SHARE, seeds=True)
    node.pass_time(1)
    client = Client(node, gateway_of(node))
    client.say(Interested(True))
    node.pass_time(1)
    asked: Counter[Block] = Counter()
    for block, what in steps:
        if what == "ask":
            asked[block] += 1
            client.say(BlockRequest(block))
        elif what == "cancel":
            client.say(BlockCancel(block))
        else:
            node.pass_time(0.1)
    node.pass_time(5)
    answers = Counter(one.block for one in client.heard_of(BlockReject))
    for one in client.heard_of(BlockData):
        block = Block(one.piece, one.begin, len(one.data))
        assert bytes(one.data) == client.right(block, padded=True)
        answers[block] += 1
    assert answers == asked
    assert (node.loop.crashed, client.gone) == ([], False)


@settings(max_examples=60)
@given(st.lists(ANYTHING, max_size=40), st.booleans(), st.lists(st.integers(1, 39), max_size=4))
def test_whatever_one_does_others_are_served(messages: list[object], fast: bool, pauses: list[int]) -> None:
    node = Node(Loop(), SHARE, seeds=True)
    node.pass_time(1)
    gateway = gateway_of(node)
    client = Client(node, gateway, fast=fast)
    for number, message in enumerate(messages):
        client.say(message)  # type: ignore[arg-type]
        if number in pauses:
            node.pass_time(0.2)
    for connection in gateway.connections.values():
        giving = connection.translator._giving
        assert giving is None or giving._count <= MAX_BLOCKS_ASKED
    friend = Client(node, gateway, address=FRIEND, peer_id=b"a friend of the node")
    friend.say(Interested(True))
    node.pass_time(1)
    friend.ask(0, 0, BLOCK_BYTES)
    node.pass_time(1)
    assert friend.data == {(0, 0): friend.right(Block(0, 0, BLOCK_BYTES))}
    assert node.loop.crashed == []


@settings(max_examples=60)
@given(st.lists(ANYTHING, max_size=40), st.booleans())
def test_whatever_one_gives_the_node_gets_it_right(messages: list[object], greets: bool) -> None:
    node = Node(Loop(), SHARE)
    node.pass_time(1)
    dialled = Dialled(node)
    client = dialled.reach()
    if greets:
        client.say(Holds(True), Choking(False))
        client.introduce(len(SHARE.info.raw))
        node.pass_time(1)
    for message in messages:
        client.say(message)  # type: ignore[arg-type]
    node.pass_time(1)
    friend = dialled.reach(FRIEND)
    friend.say(Holds(True), Choking(False))
    friend.introduce(len(SHARE.info.raw))
    for _ in range(300):
        node.pass_time(1)
        friend.give_all()
        if node.share.state is State.COMPLETE:
            break
    assert (node.share.state, node.disk.wrong, node.loop.crashed) == (State.COMPLETE, 0, [])
