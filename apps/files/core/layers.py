"""The hashes of units of one share: which are known, what to ask for, what to answer.

A file of one unit needs none: its root is the hash. Of others the nodes at the height of units are asked for, at most
4,096 at once, and proved up to the root before any is used. So every unit can be checked by itself, whoever sends it.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from apps.files.core import merkle
from apps.files.core.info import Info
from apps.files.core.limits import HASHES_PER_MESSAGE, MAX_TREE_BYTES
from apps.files.core.merkle import HASH_BYTES, Tree
from apps.files.core.wire import GetHashes, Hashes
from overlay.errors import BadMessage


@attrs.frozen(slots=True)
class Ask:
    """Nodes of one file that are asked for together."""

    file: int
    base: int
    index: int
    count: int

    def message(self, channel: int, info: Info) -> GetHashes:
        file = info.files[self.file]
        assert file.root is not None
        return GetHashes(
            channel, file.root, self.base, self.index, self.count, merkle.tree_height(file.length) - self.base - 1
        )


def proved(root: bytes, length: int, base: int, index: int, count: int, hashes: bytes) -> bytes:
    """For `ctx.compute`: the nodes of an answer that lead to the root, b"" if they do not."""
    try:
        return merkle.decode_hashes(root, length, base, index, count, hashes)
    except BadMessage:
        return b""


@attrs.define(slots=True, eq=False)
class Layers:
    """Of one share whose info dictionary is known."""

    info: Info
    unit_bytes: int
    #: By file: the nodes known so far, zeros elsewhere, and the ranges of them, each with the uncles above it.
    _partial: dict[int, bytearray | bytes] = attrs.field(factory=dict, init=False)
    _ranges: dict[int, dict[int, bytes]] = attrs.field(factory=dict, init=False)
    #: Whole layers, the one used last at the end. What is not needed for verifying may be dropped.
    _trees: dict[int, Tree] = attrs.field(factory=dict, init=False)
    _tree_bytes: int = attrs.field(default=0, init=False)
    #: By root, the first file that has it.
    _by_root: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        for index, file in enumerate(self.info.files):
            if file.root is not None:
                self._by_root.setdefault(file.root, index)

    # --- verifying --------------------------------------------------------------------------

    def height(self, file: int) -> int:
        return merkle.unit_height(self.info.files[file].length, unit_bytes=self.unit_bytes)

    def node(self, file: int, index: int) -> bytes | None:
        """The hash of unit `index` of a file; None until it was proved."""
        entry = self.info.files[file]
        base = self.height(file)
        if base == merkle.tree_height(entry.length):
            return entry.root
        tree = self._trees.get(file)
        if tree is not None:
            return tree.node(base, index)
        if index // self._step(file) not in self._ranges.get(file, ()):
            return None
        at = HASH_BYTES * index
        return bytes(self._partial[file][at : at + HASH_BYTES])

    def proved_nodes(self, ask: Ask) -> bytes:
        """Those of a range, one after another; b"" until they are known."""
        at, end = HASH_BYTES * ask.index, HASH_BYTES * (ask.index + ask.count)
        if (tree := self._trees.get(ask.file)) is not None:
            return bytes(tree.levels[ask.base - tree.base][at:end])
        known = ask.index // ask.count in self._ranges.get(ask.file, ())
        return bytes(self._partial[ask.file][at:end]) if known else b""

    def ask_for(self, file: int, index: int) -> Ask | None:
        """What to ask so that the hash of this unit is known; None if it is."""
        if self.node(file, index) is not None:
            return None
        step = self._step(file)
        return Ask(file, self.height(file), index - index % step, step)

    def uncles(self, file: int, index: int) -> bytes | None:
        """What proves `node(file, index)`, as `merkle.proves` wants it; None if that is not known."""
        base, step = self.height(file), self._step(file)
        if base == merkle.tree_height(self.info.files[file].length):
            return b""
        if (tree := self._trees.get(file)) is not None:
            return tree.uncles(base, index)
        above = self._ranges.get(file, {}).get(index // step)
        if above is None:
            return None
        first = HASH_BYTES * (index - index % step)
        nodes = bytes(self._partial[file][first : first + HASH_BYTES * step])
        return merkle.uncles_within(nodes, step, base, index % step) + above

    def take(self, ask: Ask, nodes: bytes, uncles: bytes) -> bytes | None:
        """Nodes of an answer, `proved`, and the uncles above them. The whole layer once it is complete: `keep` it."""
        length = self.info.files[ask.file].length
        total = merkle.nodes_at(length, ask.base)
        if ask.file in self._trees:
            return None
        layer = self._partial.get(ask.file)
        if not isinstance(layer, bytearray):
            if layer is not None:  # all of it was known before
                return None
            layer = self._partial[ask.file] = bytearray(HASH_BYTES * total)
        layer[HASH_BYTES * ask.index : HASH_BYTES * ask.index + len(nodes)] = nodes
        known = self._ranges.setdefault(ask.file, {})
        known[ask.index // ask.count] = uncles
        if len(known) < -(-total // ask.count):
            return None
        whole = self._partial[ask.file] = bytes(layer)  # one of 100 GiB has 13 MB: not to be there twice
        return whole

    def next_ask(self, file: int) -> Ask | None:
        """The first range of a file that is not known: who has begun gets them all, to give proofs to others."""
        if file in self._trees:
            return None
        step, known = self._step(file), self._ranges.get(file, ())
        total = merkle.nodes_at(self.info.files[file].length, self.height(file))
        for number in range(-(-total // step)):
            if number not in known:
                return Ask(file, self.height(file), number * step, step)
        return None

    def keep(self, file: int, tree: Tree) -> None:
        """A whole tree from the height of units on; its root was checked."""
        self._partial.pop(file, None)
        self._ranges.pop(file, None)
        self._put(file, tree)

    def _step(self, file: int) -> int:
        length = self.info.files[file].length
        return min(HASHES_PER_MESSAGE, 1 << merkle.tree_height(length) - self.height(file))

    # --- answering --------------------------------------------------------------------------

    def file_of(self, root: bytes) -> int | None:
        return self._by_root.get(root)

    def has_tree(self, file: int) -> bool:
        return file in self._trees

    def answer(self, message: GetHashes) -> Hashes:
        """Empty if the tree is not here or the question is none of BEP 52."""
        file = self._by_root.get(message.root)
        tree = None if file is None else self._trees.get(file)
        hashes: bytes | None = None
        if tree is not None and message.count <= HASHES_PER_MESSAGE:
            assert file is not None
            self._put(file, tree)
            hashes = merkle.answer_hashes(tree, message.base, message.index, message.count, message.proofs)
        return Hashes(message.channel, message.root, message.base, message.index, message.count, hashes or b"")

    def _put(self, file: int, tree: Tree) -> None:
        if self._trees.pop(file, None) is None:
            self._tree_bytes += _size(tree)
        self._trees[file] = tree

    def trim(self, needed: Callable[[int], bool]) -> None:
        """Drop trees that were not used for longest, but those of files that are needed."""
        for file in list(self._trees):
            if self._tree_bytes <= MAX_TREE_BYTES:
                return
            if not needed(file):
                self._tree_bytes -= _size(self._trees.pop(file))


def _size(tree: Tree) -> int:
    return sum(map(len, tree.levels))
