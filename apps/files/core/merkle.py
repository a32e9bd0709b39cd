"""Hash trees of files as BEP 52 defines them, from leaves of 16 KiB to the root that names a file.

The last leaf is hashed at its true length, not filled up. What is missing up to a power of two leaves are hashes
of 32 zero bytes (not hashes of zeros). Nothing separates leaves from nodes, so a root says what a file holds only
together with its length: every check here wants the length, too. A height counts levels above the leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs

from apps.files.core.limits import LEAF_BYTES, MAX_HASHES_ASKED, UNIT_BYTES
from overlay.errors import BadMessage

HASH_BYTES = 32
#: A file of 2**63 bytes has a tree of height 49.
_MAX_HEIGHT = 64
#: Levels that are folded together where a layer comes bit by bit: 4,096 nodes.
_PART = 12

_sha256 = hashlib.sha256


def _doubled(leaf: bytes) -> tuple[bytes, ...]:
    nodes = [leaf]
    while len(nodes) <= _MAX_HEIGHT:
        nodes.append(_sha256(nodes[-1] * 2).digest())
    return tuple(nodes)


#: PAD[h]: the node of height h under which there is no data. ZERO[h]: under which all leaves are full, of zeros.
PAD = _doubled(bytes(HASH_BYTES))
ZERO = _doubled(_sha256(bytes(LEAF_BYTES)).digest())


def tree_height(length: int) -> int:
    """Height of the root of a file of `length` > 0 bytes; a file of one leaf has 0."""
    return (-(-length // LEAF_BYTES) - 1).bit_length()


def unit_height(length: int, *, unit_bytes: int = UNIT_BYTES) -> int:
    """Height at which the units of a file are nodes: a file below a unit is a smaller tree of its own."""
    return min((unit_bytes // LEAF_BYTES).bit_length() - 1, tree_height(length))


def nodes_at(length: int, height: int) -> int:
    """Nodes of this height that cover data of a file."""
    return -(-length // (LEAF_BYTES << height))


def hash_unit(data: bytes | memoryview, height: int) -> bytes:
    """The node of this height over 1 to 2**height leaves of data: a pure function for `ctx.compute`."""
    if len(data) <= LEAF_BYTES:
        leaves = [_sha256(data).digest()]
    else:
        view = memoryview(data)
        leaves = [_sha256(view[i : i + LEAF_BYTES]).digest() for i in range(0, len(data), LEAF_BYTES)]
    return _fold(leaves, 0, height)


def hash_units(data: bytes | memoryview, height: int) -> bytes:
    """Nodes of this height, one after another: what `hash_unit` says of each piece. For a whole MiB at once."""
    size = LEAF_BYTES << height
    view = memoryview(data)
    return b"".join(hash_unit(view[i : i + size], height) for i in range(0, len(data), size))


def zero_units(length: int, height: int) -> bytes:
    """What `hash_units` says of so many zeros, without looking at them."""
    full, rest = divmod(length, LEAF_BYTES << height)
    return ZERO[height] * full + (hash_unit(bytes(rest), height) if rest else b"")


def _fold(nodes: list[bytes], height: int, to: int) -> bytes:
    """The one node of height `to` above these of `height`."""
    while height < to:
        nodes = _level_above(nodes, height)
        height += 1
    return nodes[0]


def _level_above(nodes: list[bytes], height: int) -> list[bytes]:
    if len(nodes) & 1:
        nodes = [*nodes, PAD[height]]
    pairs = iter(nodes)
    return [_sha256(left + right).digest() for left, right in zip(pairs, pairs, strict=True)]


def _cut(layer: bytes) -> list[bytes]:
    return [layer[i : i + HASH_BYTES] for i in range(0, len(layer), HASH_BYTES)]


def _layer_above(layer: bytes | bytearray, height: int) -> bytearray:
    """As `_level_above`, of nodes one after another: a file of 100 GiB has 409,600, and as objects they take thrice the
    room."""
    above = bytearray(-(-len(layer) // (2 * HASH_BYTES)) * HASH_BYTES)
    for at in range(0, len(above), HASH_BYTES):
        pair = layer[2 * at : 2 * (at + HASH_BYTES)]
        above[at : at + HASH_BYTES] = _sha256(pair if len(pair) > HASH_BYTES else pair + PAD[height]).digest()
    return above


def _check_layer(layer: bytes, length: int, height: int) -> None:
    if length <= 0 or height > tree_height(length) or len(layer) != HASH_BYTES * nodes_at(length, height):
        raise BadMessage(f"{len(layer)} bytes are no layer of a file of {length} bytes")


def root_of_layer(layer: bytes, length: int, height: int) -> bytes:
    """The root above a whole layer of nodes that cover data; BadMessage if a file of this length has not so many."""
    _check_layer(layer, length, height)
    above: bytes | bytearray = layer
    for below in range(height, tree_height(length)):
        above = _layer_above(above, below)
    return bytes(above)


def proves(root: bytes, length: int, height: int, index: int, node: bytes, uncles: Sequence[bytes]) -> bool:
    """Whether `node` is the one of `height` at `index` in the file (root, length), by its uncles up to the root.

    There must be as many uncles as the length asks for: neither a shorter nor a longer path proves anything."""
    if length <= 0 or height > tree_height(length) or not 0 <= index < nodes_at(length, height):
        return False
    if len(uncles) != tree_height(length) - height:
        return False
    return _climb(node, index, uncles) == root


def _climb(node: bytes, index: int, uncles: Sequence[bytes]) -> bytes:
    for uncle in uncles:
        node = _sha256(uncle + node if index & 1 else node + uncle).digest()
        index >>= 1
    return node


def unit_is_good(data: bytes, root: bytes, length: int, height: int, index: int, uncles: bytes) -> bool:
    """Whether `data` is the unit `index` of the file (root, length), whose size says its true length: one call of
    `ctx.compute` for what came from a peer. `uncles`: 32 bytes each, from the unit's height upward."""
    size = LEAF_BYTES << height
    if len(uncles) % HASH_BYTES or len(data) != min(size, length - index * size) or not data:
        return False
    return proves(root, length, height, index, hash_unit(data, height), _cut(uncles))


def uncles_within(nodes: bytes, count: int, height: int, index: int) -> bytes:
    """The siblings on the way from node `index` of these of `height` to the one above `count` of them, a power of two;
    behind the nodes there is padding."""
    level, uncles = _cut(nodes), []
    for above in range(height, height + count.bit_length() - 1):
        uncles.append(level[index ^ 1] if index ^ 1 < len(level) else PAD[above])
        level, index = _level_above(level, above), index >> 1
    return b"".join(uncles)


@attrs.define(slots=True, eq=False)
class Root:
    """`root_of_layer` of a layer that comes bit by bit, and is not kept: one of 100 GiB has 13 MB."""

    length: int
    height: int
    _rest: bytearray = attrs.field(factory=bytearray, init=False)
    #: The nodes of whole parts.
    _above: bytearray = attrs.field(factory=bytearray, init=False)

    def add(self, nodes: bytes) -> None:
        self._rest += nodes
        size = HASH_BYTES << _PART
        while len(self._rest) > size:
            self._above += _fold(_cut(bytes(self._rest[:size])), self.height, self.height + _PART)
            del self._rest[:size]

    def root(self) -> bytes:
        """BadMessage if a file of this length has not so many."""
        if not self._above:
            return root_of_layer(bytes(self._rest), self.length, self.height)
        if (len(self._above) << _PART) + len(self._rest) != HASH_BYTES * nodes_at(self.length, self.height):
            raise BadMessage(f"these are not the nodes of a file of {self.length} bytes")
        last = _fold(_cut(bytes(self._rest)), self.height, self.height + _PART)
        return root_of_layer(bytes(self._above) + last, self.length, self.height + _PART)


@attrs.frozen(slots=True)
class Tree:
    """The nodes of a file from some height up to the root: 64 bytes for each unit of 256 KiB."""

    length: int
    #: Of the lowest level.
    base: int
    #: Nodes that cover data, level by level, each 32 bytes; the last level is the root.
    levels: tuple[bytes | bytearray, ...] = attrs.field(repr=False)

    @property
    def root(self) -> bytes:
        return bytes(self.levels[-1])

    @property
    def height(self) -> int:
        return self.base + len(self.levels) - 1

    def node(self, height: int, index: int) -> bytes:
        """Also beyond the end of the data, where it is padding."""
        at = HASH_BYTES * index
        return bytes(self.levels[height - self.base][at : at + HASH_BYTES]) or PAD[height]

    def layer(self, height: int) -> bytes:
        """All nodes of a height that cover data: at that of a piece what `piece layers` of a .torrent holds."""
        return bytes(self.levels[height - self.base])

    def uncles(self, height: int, index: int) -> bytes:
        """What `proves` wants beside the node: the siblings from `height` up to below the root."""
        return b"".join(self.node(h, (index >> h - height) ^ 1) for h in range(height, self.height))


def make_tree(layer: bytes, length: int, base: int) -> Tree:
    """The tree above a whole layer of height `base`; BadMessage if a file of this length has no such layer."""
    _check_layer(layer, length, base)
    levels: list[bytes | bytearray] = [layer]
    for height in range(base, tree_height(length)):
        levels.append(_layer_above(levels[-1], height))
    return Tree(length, base, tuple(levels))


# --- hash requests of BEP 52 ---------------------------------------------------------------


def answer_hashes(tree: Tree, base: int, index: int, count: int, proofs: int) -> bytes | None:
    """The hashes for a `hash request` (message 21), None if it must be rejected (23).

    `count` nodes of height `base` from `index` on, padding included, then the uncles of the node above them all,
    as far as `proofs` levels above the base. The BEP wants a count of 2 or more; libtorrent asks for a single
    last one, whose uncles then begin at the base itself, and stalls without them."""
    above = count.bit_length() - 1
    if not 1 <= count <= MAX_HASHES_ASKED or count != 1 << above or index < 0 or index % count:
        return None
    if not tree.base <= base < tree.height or base + above > tree.height or index >= 1 << tree.height - base:
        return None
    if not 0 <= proofs < tree.height - base:
        return None
    out = [tree.node(base, index + i) for i in range(count)]
    out += [tree.node(base + h, (index >> h) ^ 1) for h in range(above, proofs + 1)]
    return b"".join(out)


def decode_hashes(root: bytes, length: int, base: int, index: int, count: int, hashes: bytes) -> bytes:
    """The `count` nodes of an answer (message 22) that had all uncles asked for, proved up to the root and with the
    padding behind the data cut off; BadMessage if they are not of the file (root, length)."""
    height = tree_height(length) if length > 0 else -1
    above = count.bit_length() - 1
    nodes, uncles = _cut(hashes)[:count], _cut(hashes)[count:]
    if count < 1 or count != 1 << above or base < 0 or base + above > height or index < 0 or index % count:
        raise BadMessage("hashes of no range of this file")
    if len(hashes) != HASH_BYTES * (count + height - base - above):
        raise BadMessage(f"{len(hashes)} bytes of hashes, not those of {count} nodes and their uncles")
    if not proves(root, length, base + above, index >> above, _fold(nodes, base, base + above), uncles):
        raise BadMessage("hashes that do not lead to the root of the file")
    real = min(count, nodes_at(length, base) - index)
    if any(node != PAD[base] for node in nodes[real:]):
        raise BadMessage("hashes behind the end of the file that are not padding")
    return b"".join(nodes[:real])
