"""What a node does for whoever asks it: never the same work again for nothing, and little of it for one peer."""

from __future__ import annotations

from typing import Any

import pytest

from apps.files.core import merkle, wire
from apps.files.core.limits import LAYER_BURST_BYTES, LAYER_BYTES_PER_S, READ_AGAIN_S
from apps.files.core.memory_disk import MemoryDisk, make_share
from overlay.errors import LocalError
from overlay.runtime.loop import Loop
from tests.support.files_rig import Fake, Node, fed

UNIT = 16_384
TWO = make_share(b"two", {(b"a",): 4 * UNIT, (b"b",): 4 * UNIT}, unit_bytes=UNIT)


class CountingDisk(MemoryDisk):
    """Notes which layers are read, and how many at once."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk.library, held=disk.held, layers=disk.layers)
        self.read_layers: list[int] = []
        #: Reads that fail before one succeeds.
        self.failing = 0

    def layer(self, share: bytes, file: int) -> bytes:
        self.read_layers.append(file)
        return super().layer(share, file)

    def read(self, share: bytes, ranges: Any) -> Any:
        if self.failing:
            self.failing -= 1
            raise LocalError("too many open files")
        return super().read(share, ranges)


def counted(node: Node) -> CountingDisk:
    node.around.disk = node.disk = CountingDisk(node.disk)
    return node.disk


def forget_trees(node: Node) -> None:
    """As a node that began a download anew: units may be here, hashes are not."""
    assert node.share.layers is not None
    assert node.share.download is not None
    node.share.layers._trees.clear()
    node.share.download.arrivals.hashes._stored.clear()
    node.disk.layers.clear()


def ask(file: int) -> wire.GetHashes:
    entry = TWO.info.files[file]
    assert entry.root is not None
    return wire.GetHashes(0, entry.root, 0, 0, 4, 1)


def answers(fake: Fake) -> list[wire.Hashes]:
    return [message for message in fake.heard if isinstance(message, wire.Hashes)]


def test_hashes_that_are_not_here_are_looked_for_once_whoever_asks() -> None:
    node, _ = fed(TWO)
    disk = counted(node)
    forget_trees(node)
    askers = [Fake(node, b"asker %d" % n, held=False) for n in range(3)]
    for _ in range(20):
        for asker in askers:
            asker.say(ask(1))
    node.pass_time(1)
    assert disk.read_layers == [1]
    assert not any(message.hashes for asker in askers for message in answers(asker))
    assert [len(answers(asker)) for asker in askers] == [20] * 3


def test_a_no_is_forgotten_once_all_of_the_file_is_here() -> None:
    node, _ = fed(TWO)
    disk = counted(node)
    forget_trees(node)
    other = Fake(node, b"other", held=False)
    other.say(ask(1))
    node.pass_time(1)
    assert (disk.read_layers, [bool(message.hashes) for message in answers(other)]) == ([1], [False])
    tree = TWO.trees[1]
    assert tree is not None
    disk.layers[TWO.info.id, 1] = tree.layer(tree.base)
    other.say(ask(1))
    node.pass_time(1)
    assert len(disk.read_layers) == 1
    node.share.have |= 0b1111 << 4
    other.say(ask(1))
    node.pass_time(1)
    assert [bool(message.hashes) for message in answers(other)] == [False, False, True]
    assert disk.read_layers == [1, 1]


def test_hashes_that_came_can_be_given_at_once() -> None:
    node, fake = fed(TWO)
    disk = counted(node)
    forget_trees(node)
    other = Fake(node, b"other", held=False)
    other.say(ask(0))
    node.pass_time(1)
    assert node.share.download is not None
    assert node.share.layers is not None
    for asked in (0, 4):  # the hashes come anew, as after a restart
        node.share.download.arrivals.hashes.ask_for(node.share.channels[fake.id], [asked])
    node.pass_time(1)
    node.share.layers._trees.clear()
    other.say(ask(0))
    node.pass_time(1)
    assert [bool(message.hashes) for message in answers(other)] == [False, True]
    assert disk.read_layers == [0, 0]


def test_one_layer_is_read_at_a_time_and_once_for_all_who_wait() -> None:
    node = Node(Loop(), TWO, seeds=True)
    disk = counted(node)
    node.pass_time(1)
    askers = [Fake(node, b"asker %d" % n, held=False) for n in range(10)]
    node.pass_time(1)
    for asker in askers:
        asker.say(ask(0))
        asker.say(ask(1))
    assert disk.read_layers == [0]
    node.pass_time(1)
    assert disk.read_layers == [0, 1]
    assert all(all(message.hashes for message in answers(asker)) for asker in askers)
    assert [len(answers(asker)) for asker in askers] == [2] * 10


def test_who_has_layers_read_again_and_again_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees that do not fit into memory together."""
    from apps.files.core import layers as layers_module
    from apps.files.core import serving

    monkeypatch.setattr(layers_module, "MAX_TREE_BYTES", 1)
    monkeypatch.setattr(serving, "HASH_BYTES", 1 << 20)  # each layer counts as 4 MiB
    node = Node(Loop(), TWO, seeds=True)
    disk = counted(node)
    node.pass_time(1)
    greedy = Fake(node, b"greedy", held=False)
    node.pass_time(1)
    for n in range(200):
        greedy.say(ask(n % 2))
    node.pass_time(10)
    most = (LAYER_BURST_BYTES + 11 * LAYER_BYTES_PER_S) // (4 << 20) + 1
    assert most - 2 <= len(disk.read_layers) <= most
    other, before = Fake(node, b"other", held=False), len(disk.read_layers)
    other.say(ask(0))
    node.pass_time(0.1)
    assert answers(other)[0].hashes
    assert len(disk.read_layers) <= before + 2
    # Whoever closes the channel and opens it again is no other peer.
    greedy.say(wire.CloseShare(0))
    greedy.say(wire.Open(2, TWO.info.id, len(TWO.info.raw), False))
    before = len(disk.read_layers)
    greedy.say(ask(0))
    node.pass_time(0.1)
    assert len(disk.read_layers) <= before + 1


def test_a_disk_that_cannot_be_read_at_this_moment_loses_nothing() -> None:
    node = Node(Loop(), TWO, seeds=True)
    disk = counted(node)
    node.pass_time(1)
    fake = Fake(node, b"taker", held=False)
    fake.say(wire.Interest(0, True))
    node.pass_time(11)
    disk.failing = 1
    fake.heard.clear()
    fake.say(wire.Request(0, ((0, 2),)))
    node.pass_time(1)
    rejected = [message.runs for message in fake.heard if isinstance(message, wire.Reject)]
    assert {unit for runs in rejected for unit in wire.units_in(runs)} == {0, 1}
    assert node.share.have == node.share.all
    assert not [name for name, _ in node.around.events if name == "withdrawn"]
    assert not any(isinstance(message, wire.Hold | wire.Have) for message in fake.heard)
    node.pass_time(READ_AGAIN_S)
    assert any(isinstance(message, wire.Hold | wire.Have) for message in fake.heard)  # to be had again
    fake.say(wire.Request(0, ((0, 1),)))
    node.pass_time(1)
    (piece,) = [message for message in fake.heard if isinstance(message, wire.Piece)]
    tree = TWO.trees[0]
    assert tree is not None
    assert merkle.hash_unit(piece.data, 0) == tree.node(0, 0)
