"""A download whatever its peers do: some give what they should, some lie, choke, stall, corrupt, and leave."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apps.files.core import bits, wire
from apps.files.core.evidence import verify
from apps.files.core.header import encode_header
from apps.files.core.limits import ENDGAME_COPIES, MAX_WINDOW_BYTES
from apps.files.core.memory_disk import make_share
from apps.files.core.merkle import hash_unit
from apps.files.core.share import State
from overlay.identity.node_id import node_id_of
from overlay.runtime.loop import Loop
from simulations.fake_keys import fake_verify
from tests.support.files_rig import Fake, Node
from tests.support.swarm import REALM

UNIT = 16_384
BOOK = make_share(b"book", {(b"a",): 7 * UNIT + 1, (b"b",): UNIT // 2, (b"c",): 4 * UNIT}, unit_bytes=UNIT)
UNITS = BOOK.layout.units
MOST_PEERS = 4


class Downloading(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.node = Node(Loop(), BOOK, seed=seed)
        self.peers: list[Fake] = []
        #: Peers that did what no correct one does.
        self.guilty: set[bytes] = set()
        #: Those that say they have the info dictionary, and give no part of it.
        self.unhelpful: set[bytes] = set()
        self.held: dict[bytes, set[int]] = {}
        #: Units that a peer sent corrupt.
        self.corrupt: dict[bytes, set[int]] = {}
        #: Public keys of those that signed a false header.
        self.forsworn: set[bytes] = set()
        self.choking: set[bytes] = set()
        self.count = 0

    def some(self, number: int) -> Fake:
        return self.peers[number % len(self.peers)]

    # --- peers ------------------------------------------------------------------------------

    @precondition(lambda self: len(self.peers) < MOST_PEERS)
    @rule(units=st.sets(st.integers(0, UNITS - 1)), all_of_it=st.booleans(), helpful=st.booleans(), signs=st.booleans())
    def joins(self, units: set[int], all_of_it: bool, helpful: bool, signs: bool) -> None:
        self.count += 1
        units = set(range(UNITS)) if all_of_it else units
        held = bits.to_bitfield(sum(1 << unit for unit in units), BOOK.layout.units)
        fake = Fake(self.node, b"peer%d" % self.count, held=True if all_of_it else held, helpful=helpful, signs=signs)
        self.peers.append(fake)
        if not helpful:
            self.unhelpful.add(fake.id)
        self.held[fake.id] = set(units)
        self.choking.add(fake.id)

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9), units=st.sets(st.integers(0, UNITS - 1), min_size=1))
    def has_more(self, number: int, units: set[int]) -> None:
        fake = self.some(number)
        self.held[fake.id] |= units
        fake.say(wire.Have(0, tuple(units)))

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9), choked=st.booleans())
    def chokes(self, number: int, choked: bool) -> None:
        fake = self.some(number)
        if choked:
            self.choking.add(fake.id)
            fake.asked.clear()
        else:
            self.choking.discard(fake.id)
        fake.say(wire.Choke(0, choked))

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9), most=st.integers(1, 5))
    def gives(self, number: int, most: int) -> None:
        fake = self.some(number)
        for unit in list(fake.asked)[:most]:
            fake.give(unit)

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9), good=st.booleans())
    def gives_what_was_withdrawn(self, number: int, good: bool) -> None:
        fake = self.some(number)
        late, fake.late = fake.late, []
        for unit in late:
            if not good:
                self.guilty.add(fake.id)
                self.corrupt.setdefault(fake.id, set()).add(unit)
            fake.give(unit, data=None if good else bytes(BOOK.layout.unit(unit).length))
        self.node.pass_time(0.05)

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9), header=st.sampled_from(["true", "false", "none", "noise", "of another unit"]))
    def corrupts(self, number: int, header: str) -> None:
        fake = self.some(number)
        for unit in list(fake.asked)[:1]:
            self.corrupt.setdefault(fake.id, set()).add(unit)
            self.guilty.add(fake.id)
            data, true = bytes(BOOK.layout.unit(unit).length), fake.true(unit)
            match header:
                case "true":
                    raw = encode_header(fake.keys, REALM, true)
                case "false":
                    raw = encode_header(fake.keys, REALM, attrs.evolve(true, node=hash_unit(data, true.height)))
                    self.forsworn.add(fake.keys.key)
                case "none":
                    raw = b""
                case "noise":
                    raw = bytes(150)
                case _:
                    raw = encode_header(fake.keys, REALM, fake.true((unit + 1) % UNITS))
            fake.give(unit, data=data, header=raw)
            self.node.pass_time(0.05)

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9))
    def rejects(self, number: int) -> None:
        fake = self.some(number)
        if fake.asked:
            unit = next(iter(fake.asked))
            del fake.asked[unit]
            self.held[fake.id].discard(unit)
            fake.say(wire.Reject(0, ((unit, 1),)))

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9), unit=st.integers(0, UNITS - 1))
    def gives_what_nobody_asked_for(self, number: int, unit: int) -> None:
        fake = self.some(number)
        if unit not in fake.asked and unit not in fake.late:
            self.guilty.add(fake.id)
            fake.give(unit)

    @precondition(lambda self: self.peers)
    @rule(number=st.integers(0, 9))
    def leaves(self, number: int) -> None:
        fake = self.some(number)
        fake.end.close()
        self.node.loop.drain()

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 11.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.node.pass_time(seconds)

    # --- what holds -------------------------------------------------------------------------

    @invariant()
    def only_what_is_verified_is_here(self) -> None:
        share, there = self.node.share, self.node.disk.held.get(BOOK.info.id, set())
        assert share.have & ~sum(1 << unit for unit in there) == 0
        assert self.node.disk.wrong == 0
        assert self.node.loop.crashed == []
        assert not [event for event in self.node.around.events if event[0] in ("failed", "cannot write")]

    @invariant()
    def asked_is_what_may_be_asked(self) -> None:
        share = self.node.share
        times: dict[int, int] = {}
        for channel in share.channels.values():
            assert sum(asked.length for asked in channel.asked.values()) == channel.pipeline.asked <= MAX_WINDOW_BYTES
            assert set(channel.asked) <= self.held[channel.peer] - self.corrupt.get(channel.peer, set())
            assert not channel.asked or channel.peer not in self.choking
            assert not any(share.have >> unit & 1 for unit in channel.asked)
            for unit in channel.asked:
                times[unit] = times.get(unit, 0) + 1
        assert max(times.values(), default=0) <= ENDGAME_COPIES

    @invariant()
    def only_the_guilty_are_blamed(self) -> None:
        assert {peer for peer, _ in self.node.blamed} <= self.guilty
        told = [(name, event) for name, event in self.node.around.events if name in ("corrupt", "peer dropped")]
        silent = [event for _, event in told if "did not give the info" in str(event.get("reason"))]
        assert {event["peer"] for event in silent} <= self.unhelpful
        assert {event["peer"] for _, event in told if event not in silent} <= self.guilty

    @invariant()
    def evidence_convicts_who_signed_what_is_false(self) -> None:
        for peer, evidence in self.node.around.handed:
            fault = verify(evidence, REALM, fake_verify)
            assert fault is not None
            assert fault.culprit in self.forsworn
            assert node_id_of(fault.culprit) == peer
            assert self.node.around.bans.holds(peer)
            assert peer not in self.node.share.channels

    @invariant()
    def who_is_gone_is_forgotten(self) -> None:
        self.peers = [fake for fake in self.peers if not fake.gone]
        assert set(self.node.share.channels) <= {fake.id for fake in self.peers}

    def teardown(self) -> None:
        """An honest peer comes: then it ends, whatever was before."""
        if not hasattr(self, "node"):
            return
        good = Fake(self.node, b"good")
        good.say(wire.Choke(0, False))
        for _ in range(60):
            good.give_all()
            self.node.pass_time(3)
            if self.node.share.state is State.COMPLETE:
                break
        assert self.node.share.state is State.COMPLETE
        assert self.node.share.downloaded == BOOK.info.length
        assert self.node.disk.written == BOOK.info.length


TestDownloading = Downloading.TestCase
TestDownloading.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
