"""Evidence of a false header: it convicts who signed one, and nobody else, whatever is made of true ones."""

from __future__ import annotations

import copy

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apps.files.core import merkle, wire
from apps.files.core.evidence import Fault, make_evidence, verify
from apps.files.core.header import Header, check_header, encode_header, peek_header
from apps.files.core.info import File, make_info
from apps.files.core.layers import Ask, Layers
from apps.files.core.limits import (
    HASHES_PER_MESSAGE,
    LEAF_BYTES,
    MAX_EVIDENCE,
    MAX_FILE_BYTES,
    MAX_HEADER,
    UNIT_BYTES,
)
from apps.files.core.memory_disk import make_share
from overlay.errors import BadMessage
from overlay.identity.keys import KeyPair
from overlay.identity.keys import verify as real_verify
from overlay.identity.network import Context
from overlay.runtime.loop import Loop
from overlay.runtime.ports import Now
from overlay.wire import cbor, cose
from simulations.fake_keys import FakeKeyPair, fake_verify
from tests.support.files_rig import Fake, Node
from tests.support.swarm import REALM

ALICE = FakeKeyPair(b"alice".ljust(32))
hashes = st.binary(min_size=32, max_size=32)


@st.composite
def files(draw: st.DrawFn) -> tuple[merkle.Tree, int]:
    """The tree of a file, from leaves on, and the height of its units."""
    length = draw(st.integers(1, 40 * LEAF_BYTES))
    unit_bytes = draw(st.sampled_from([LEAF_BYTES, 2 * LEAF_BYTES, 16 * LEAF_BYTES]))
    seed = draw(st.integers(0, 2**32))
    layer = b"".join(merkle.hash_unit(b"%d %d" % (seed, leaf), 0) for leaf in range(merkle.nodes_at(length, 0)))
    return merkle.make_tree(layer, length, 0), merkle.unit_height(length, unit_bytes=unit_bytes)


@st.composite
def headers(draw: st.DrawFn) -> tuple[merkle.Tree, Header]:
    """A true one."""
    tree, height = draw(files())
    index = draw(st.integers(0, merkle.nodes_at(tree.length, height) - 1))
    return tree, Header(tree.root, tree.length, height, index, tree.node(height, index))


def proof(tree: merkle.Tree, header: Header, raw: bytes) -> bytes:
    return make_evidence(raw, tree.node(header.height, header.index), tree.uncles(header.height, header.index))


def _read(raw: bytes) -> tuple[bytes, Header]:
    read = peek_header(raw)
    check_header(raw, REALM, fake_verify)
    return read


# --- headers -------------------------------------------------------------------------------


@given(headers())
def test_a_header_is_read_back(made: tuple[merkle.Tree, Header]) -> None:
    raw = encode_header(ALICE, REALM, made[1])
    assert peek_header(raw) == (ALICE.key, made[1])
    check_header(raw, REALM, fake_verify)


@given(headers(), st.data())
def test_a_changed_header_is_not_signed(made: tuple[merkle.Tree, Header], data: st.DataObject) -> None:
    raw = bytearray(encode_header(ALICE, REALM, made[1]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadMessage):
        _read(bytes(raw))


@given(
    st.lists(st.integers(-1, 2**64 - 1) | hashes | st.booleans() | st.none() | st.binary(max_size=40), max_size=6)
    | st.tuples(hashes, st.integers(-1, 2**64 - 1), st.integers(-1, 70), st.integers(-1, 2**64 - 1), hashes).map(list)
)
def test_only_places_that_a_file_has_are_read(items: list[object]) -> None:
    raw = cose.sign1(ALICE, REALM.aad(Context.CHUNK), cbor.encode(items))
    try:
        _, said = peek_header(raw)
    except BadMessage:
        return
    assert 0 < said.length <= MAX_FILE_BYTES
    assert 0 <= said.height <= merkle.tree_height(said.length)
    assert 0 <= said.index < merkle.nodes_at(said.length, said.height)


def test_the_largest_ones_fit() -> None:
    largest = Header(bytes(32), MAX_FILE_BYTES, 0, (1 << 49) - 1, bytes(32))
    raw = encode_header(ALICE, REALM, largest)
    assert peek_header(raw)[1] == largest
    assert len(raw) <= MAX_HEADER
    assert len(make_evidence(raw, bytes(32), bytes(32 * 49))) <= MAX_EVIDENCE // 2


# --- evidence ------------------------------------------------------------------------------


@given(headers(), hashes)
def test_who_signed_another_node_is_convicted(made: tuple[merkle.Tree, Header], wrong: bytes) -> None:
    tree, true = made
    said = attrs.evolve(true, node=wrong)
    fault = verify(proof(tree, true, encode_header(ALICE, REALM, said)), REALM, fake_verify)
    assert fault == Fault(ALICE.key, said, true.node)


def test_with_real_signatures() -> None:
    pair = KeyPair.from_seed(bytes(32))
    tree = merkle.make_tree(bytes(64), 2 * UNIT_BYTES, 4)
    true = Header(tree.root, tree.length, 4, 1, bytes(32))
    said = attrs.evolve(true, node=b"?" * 32)
    evidence = proof(tree, true, encode_header(pair, REALM, said))
    assert verify(evidence, REALM, real_verify) == Fault(pair.key, said, bytes(32))
    assert verify(evidence[:-1] + b"?", REALM, real_verify) is None
    assert verify(proof(tree, true, encode_header(pair, REALM, true)), REALM, real_verify) is None


@given(headers(), st.data())
def test_a_true_header_convicts_nobody_whatever_stands_beside_it(
    made: tuple[merkle.Tree, Header], data: st.DataObject
) -> None:
    tree, true = made
    node = data.draw(st.just(true.node) | hashes | st.sampled_from([tree.node(h, 0) for h in range(tree.height + 1)]))
    uncles = data.draw(
        st.just(tree.uncles(true.height, true.index))
        | st.binary(max_size=200)
        | st.builds(tree.uncles, st.integers(0, tree.height), st.just(0))
        | st.lists(hashes, max_size=8).map(b"".join)
    )
    assert verify(make_evidence(encode_header(ALICE, REALM, true), node, uncles), REALM, fake_verify) is None


@given(headers(), hashes, st.data())
def test_changed_evidence_convicts_nobody_but_who_signed(
    made: tuple[merkle.Tree, Header], wrong: bytes, data: st.DataObject
) -> None:
    tree, true = made
    said = attrs.evolve(true, node=data.draw(st.sampled_from([wrong, true.node])))
    evidence = bytearray(proof(tree, true, encode_header(ALICE, REALM, said)))
    for _ in range(data.draw(st.integers(1, 3))):
        evidence[data.draw(st.integers(0, len(evidence) - 1))] ^= data.draw(st.integers(1, 255))
    fault = verify(bytes(evidence), REALM, fake_verify)
    assert fault is None or (fault == Fault(ALICE.key, said, true.node) and said != true)


@given(st.binary(max_size=300) | st.binary(min_size=MAX_EVIDENCE, max_size=MAX_EVIDENCE + 2))
def test_noise_convicts_nobody(evidence: bytes) -> None:
    assert verify(evidence, REALM, fake_verify) is None


@given(
    st.lists(
        st.just("chunk") | st.just(encode_header(ALICE, REALM, Header(bytes(32), 1, 0, 0, b"?" * 32)))
        | st.binary(max_size=40) | hashes | st.integers() .filter(lambda n: -(2**64) <= n < 2**64) | st.none(),
        max_size=6,
    )
)  # fmt: skip
def test_values_of_other_shapes_convict_nobody_or_who_signed(items: list[object]) -> None:
    fault = verify(cbor.encode(items), REALM, fake_verify)
    assert fault is None or fault.culprit == ALICE.key


# --- what proves a node --------------------------------------------------------------------


@given(st.integers(1, 3 * HASHES_PER_MESSAGE), st.data())
@settings(max_examples=25)
def test_a_range_of_hashes_proves_its_nodes_before_the_whole_is_known(units: int, data: st.DataObject) -> None:
    length = units * LEAF_BYTES
    layer = b"".join(merkle.hash_unit(b"%d" % leaf, 0) for leaf in range(units))
    tree = merkle.make_tree(layer, length, 0)
    info = make_info(b"file", [File((b"file",), length, tree.root)], piece_length=LEAF_BYTES)
    layers = Layers(info, LEAF_BYTES)
    index = data.draw(st.integers(0, units - 1))
    ask = layers.ask_for(0, index)
    assert (ask is None) == (units == 1)
    if ask is not None:
        assert layers.uncles(0, index) is None
        _answer(layers, tree, ask)
    uncles = layers.uncles(0, index)
    assert uncles == tree.uncles(0, index)
    layers.keep(0, tree)
    assert layers.uncles(0, index) == uncles


def _answer(layers: Layers, tree: merkle.Tree, ask: Ask) -> None:
    message = ask.message(0, layers.info)
    hashes = merkle.answer_hashes(tree, message.base, message.index, message.count, message.proofs)
    assert hashes is not None
    nodes = merkle.decode_hashes(tree.root, tree.length, ask.base, ask.index, ask.count, hashes)
    layers.take(ask, nodes, hashes[32 * ask.count :])


# --- an honest node with bad luck ----------------------------------------------------------

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 5 * UNIT + 1, (b"b",): UNIT, (b"c",): 3 * UNIT}, unit_bytes=UNIT)
ID, UNITS = BOOK.info.id, BOOK.layout.units


class Unlucky(RuleBasedStateMachine):
    """Its disk rots, it crashes, old states are restored, its clock jumps; nothing that it signs is ever false."""

    @initialize()
    def start(self) -> None:
        self.loop = Loop()
        self.node = Node(self.loop, BOOK, seeds=True)
        self.backup = self.state()
        self.signed: set[bytes] = set()
        self.given: list[wire.Piece] = []
        self.count = 0

    def state(self) -> tuple[set[int], dict[tuple[bytes, int], bytes], set[int]]:
        disk = self.node.disk
        return copy.deepcopy((disk.held.get(ID, set()), disk.layers, disk.rotten.get(ID, set())))

    @rule(unit=st.integers(0, UNITS - 1))
    def a_unit_rots(self, unit: int) -> None:
        self.node.disk.rotten.setdefault(ID, set()).add(unit)

    @rule(file=st.integers(0, 2), at=st.integers(0, 200))
    def hashes_rot(self, file: int, at: int) -> None:
        layer = self.node.disk.layers.get((ID, file), b"")
        if layer:
            at %= len(layer)
            self.node.disk.layers[ID, file] = layer[:at] + bytes((layer[at] ^ 1,)) + layer[at + 1 :]

    @rule()
    def is_backed_up(self) -> None:
        self.backup = self.state()

    @rule(restore=st.booleans(), unnoticed=st.booleans())
    def starts_again(self, restore: bool, unnoticed: bool) -> None:
        """With an old state, and with units believed to be there that are none any more."""
        held, layers, rotten = copy.deepcopy(self.backup) if restore else self.state()
        self.node = Node(self.loop, BOOK, seeds=True)
        self.node.disk.layers, self.node.disk.rotten[ID] = layers, rotten
        self.node.disk.held[ID] = set(range(UNITS)) if unnoticed else held
        self.node.pass_time(0.1)

    @rule(wall_ms=st.integers(0, 10**13))
    def its_clock_jumps(self, wall_ms: int) -> None:
        self.loop.run(Now(self.loop.now.mono_ns, wall_ms))

    @rule(first=st.integers(0, UNITS - 1), count=st.integers(1, UNITS))
    def is_asked(self, first: int, count: int) -> None:
        self.count += 1
        fake = Fake(self.node, b"peer%d" % self.count, held=False)
        fake.say(wire.Interest(0, True))
        self.node.pass_time(1)
        fake.say(wire.Request(0, ((first, min(count, UNITS - first)),)))
        self.node.pass_time(1)
        self.given = [message for message in fake.heard if isinstance(message, wire.Piece)]
        fake.end.close()
        self.node.loop.drain()

    @precondition(lambda self: self.given)
    @invariant()
    def what_it_gives_and_signs_is_true(self) -> None:
        for piece in self.given:
            place = BOOK.layout.unit(piece.unit)
            tree = BOOK.trees[place.file]
            assert tree is not None
            assert piece.data == BOOK.read(place.file, place.offset, place.length)
            node = tree.node(place.height, place.index)
            if piece.header:
                _, said = peek_header(piece.header)
                assert said == Header(tree.root, tree.length, place.height, place.index, node)
                check_header(piece.header, REALM, fake_verify)
                assert verify(proof(tree, said, piece.header), REALM, fake_verify) is None
        self.given = []

    @invariant()
    def it_lives(self) -> None:
        assert self.loop.crashed == []


TestUnlucky = Unlucky.TestCase
TestUnlucky.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
