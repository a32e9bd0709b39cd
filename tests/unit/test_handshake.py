"""Preface and identity binding: who may talk to whom, and that a changed byte never goes unnoticed."""

from __future__ import annotations

import attrs
import pytest

from overlay.errors import BadMessage, RemoteError
from overlay.identity.keys import KeyPair, Signer, verify
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.limits import BINDING_TTL_MS, MAX_BINDING_AHEAD_MS
from overlay.runtime.ports import Now
from overlay.secure.handshake import (
    Acceptor,
    Dialler,
    Secured,
    StaticKey,
    decode_binding,
    decode_length,
    decode_preface,
    encode_binding,
    encode_preface,
)
from overlay.secure.noise import Suite, public_of
from tests.support.pair import entropy_of, keys_of
from tests.vectors import cases, streams
from tests.vectors.text import read_vector

NOW = Now(0, 1_800_000_000_000)
REALM = Network("streams", puzzle_bits=0)
PRIVATE = Network("streams", puzzle_bits=0, psk=bytes(range(32)))
DIALLER, ACCEPTOR = keys_of(1), keys_of(2)


@attrs.define
class Meeting:
    """One handshake; `change` may replace what is on its way: (which message from 0, its bytes) -> bytes."""

    network: Network = REALM
    theirs: Network | None = None
    expected: bytes | None = node_id_of(ACCEPTOR.key)
    suite: Suite = Suite.AESGCM
    dialler_now: Now = NOW
    acceptor_now: Now = NOW
    dialler_static: StaticKey | None = None
    signer: Signer = DIALLER
    sent: list[bytes] = attrs.Factory(list)

    def run(self, *, change: dict[int, bytes] | None = None) -> tuple[Secured, Secured]:
        change = change or {}
        ours, theirs = self.network, self.theirs or self.network
        static = self.dialler_static or StaticKey(ours, self.signer, entropy_of(1))
        dialler = Dialler(ours, static, verify, entropy_of(2), suite=self.suite)
        front = self._pass(0, dialler.first(), change)
        acceptor = Acceptor(front[:8], theirs, StaticKey(theirs, ACCEPTOR, entropy_of(3)), verify, entropy_of(4))
        first = self._cut(front[8:])
        if len(first) != acceptor.first_length:
            raise BadMessage("another length")
        second = self._cut(self._pass(1, acceptor.answer(first, self.acceptor_now), change))
        last, mine = dialler.answer(second, self.dialler_now, expected=self.expected)
        return mine, acceptor.last(self._cut(self._pass(2, last, change)), self.acceptor_now)

    def _pass(self, number: int, data: bytes, change: dict[int, bytes]) -> bytes:
        self.sent.append(data)
        return change.get(number, data)

    @staticmethod
    def _cut(data: bytes) -> bytes:
        if decode_length(data[:2]) != len(data) - 2:
            raise BadMessage("cut off, or more than a message")
        return data[2:]


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("network", [REALM, PRIVATE], ids=["public", "private"])
def test_both_know_each_other_and_share_keys(network: Network, suite: Suite) -> None:
    meeting = Meeting(network, suite=suite)
    mine, theirs = meeting.run()
    assert (mine.key, theirs.key) == (ACCEPTOR.key, DIALLER.key)
    assert (mine.sending, mine.receiving) == (theirs.receiving, theirs.sending)
    assert mine.sending != mine.receiving
    assert mine.suite is theirs.suite is suite
    tag = 16 if network.private else 0
    assert [len(sent) for sent in meeting.sent] == [8 + 2 + 32 + tag, 2 + 251, 2 + 219]


def test_the_static_key_is_part_of_the_keys() -> None:
    other = StaticKey(REALM, DIALLER, entropy_of(9))
    assert Meeting().run()[0].sending != Meeting(dialler_static=other).run()[0].sending


def test_another_peer_than_the_one_expected_is_left_without_a_word() -> None:
    meeting = Meeting(expected=bytes(32))
    with pytest.raises(RemoteError, match="another peer answered"):
        meeting.run()
    assert len(meeting.sent) == 2  # the third message would have told who we are


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (REALM, Network("other", puzzle_bits=0)),
        (REALM, Network("streams", puzzle_bits=1)),
        (PRIVATE, Network("streams", puzzle_bits=0, psk=bytes(32))),
        (PRIVATE, REALM),
        (REALM, PRIVATE),
    ],
    ids=["name", "puzzle", "key", "private and public", "public and private"],
)
def test_two_networks_never_meet(ours: Network, theirs: Network) -> None:
    with pytest.raises(BadMessage):
        Meeting(ours, theirs=theirs).run()


def test_on_a_private_network_a_stranger_gets_no_answer() -> None:
    meeting = Meeting(PRIVATE, theirs=Network("streams", puzzle_bits=0, psk=bytes(32)))
    with pytest.raises(BadMessage):
        meeting.run()
    assert len(meeting.sent) == 1


@pytest.mark.parametrize(
    ("ahead_ms", "told"),
    [
        (-BINDING_TTL_MS, "has expired"),
        (1 - BINDING_TTL_MS, None),
        (MAX_BINDING_AHEAD_MS - BINDING_TTL_MS, None),
        (MAX_BINDING_AHEAD_MS - BINDING_TTL_MS + 1, "expires too late"),
    ],
)
def test_a_binding_has_its_time(ahead_ms: int, told: str | None) -> None:
    class OtherClock(StaticKey):
        def binding(self, now: Now) -> bytes:
            return super().binding(Now(0, now.wall_ms + ahead_ms))

    meeting = Meeting(dialler_static=OtherClock(REALM, DIALLER, entropy_of(1)))
    if told is None:
        meeting.run()
        return
    with pytest.raises(BadMessage, match=told):
        meeting.run()


def test_a_binding_of_another_key_is_refused() -> None:
    """Whoever has seen a binding of somebody cannot use it: it is of a static key that he does not have."""

    class Stolen(StaticKey):
        def binding(self, now: Now) -> bytes:
            return StaticKey(REALM, keys_of(7), entropy_of(7)).binding(now)

    with pytest.raises(BadMessage, match="another key"):
        Meeting(dialler_static=Stolen(REALM, DIALLER, entropy_of(1))).run()


def test_a_binding_of_another_network_or_context_is_refused() -> None:
    data = encode_binding(DIALLER, REALM, bytes(32), 5)
    assert decode_binding(data, REALM, verify).static == bytes(32)
    with pytest.raises(BadMessage, match="not valid"):
        decode_binding(data, PRIVATE, verify)
    forged = KeyPair.from_seed(bytes(32))
    with pytest.raises(BadMessage, match="not valid"):
        decode_binding(data[:10] + forged.key + data[42:], REALM, verify)


def test_the_binding_is_made_once_and_renewed_in_time() -> None:
    static = StaticKey(REALM, DIALLER, entropy_of(1))
    half = BINDING_TTL_MS // 2
    first = static.binding(NOW)
    assert static.binding(Now(0, NOW.wall_ms + half)) is first
    second = static.binding(Now(0, NOW.wall_ms + half + 1))
    assert decode_binding(second, REALM, verify).expires_ms == NOW.wall_ms + half + 1 + BINDING_TTL_MS
    assert decode_binding(first, REALM, verify).static == decode_binding(second, REALM, verify).static
    set_back = static.binding(NOW)
    assert decode_binding(set_back, REALM, verify).expires_ms == NOW.wall_ms + BINDING_TTL_MS


def test_a_preface_names_a_cipher_that_we_know() -> None:
    for suite in Suite:
        assert encode_preface(suite) == b"\xd2p2pn/1" + bytes((suite,))
        assert decode_preface(encode_preface(suite)) is suite
    for bad in (b"\xd2p2pn/1\x00", b"\xd2p2pn/1\x03", b"\xd2p2pn/2\x01", b"\x13BitTorr", b"\xd2p2pn/1", b""):
        with pytest.raises(BadMessage):
            decode_preface(bad)


def test_lengths_of_messages_are_bounded() -> None:
    for bad in (b"\x00\x00", b"\x02\x01", b"\xff\xff"):
        with pytest.raises(BadMessage, match="at most 512"):
            decode_length(bad)
    assert decode_length(b"\x02\x00") == 512


@pytest.mark.parametrize("network", [REALM, PRIVATE], ids=["public", "private"])
def test_every_byte_counts(network: Network) -> None:
    """One bit of each byte of each message; any other change is for tests/property/test_handshake.py."""
    good = Meeting(network)
    good.run()
    for number, data in enumerate(good.sent):
        for at in range(len(data)):
            changed = data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]
            with pytest.raises(BadMessage):
                Meeting(network).run(change={number: changed})


@pytest.mark.parametrize("name", streams.CASES)
def test_a_whole_handshake_is_what_its_vector_says(name: str) -> None:
    network, suite = streams.CASES[name]
    shaken = streams.shake(network, suite)
    data = read_vector(name)
    assert data == b"".join((shaken.first, shaken.second, shaken.third, *shaken.records))
    assert decode_preface(data[:8]) is suite
    assert (shaken.dialler.key, shaken.acceptor.key) == (cases.BOB.key, cases.ALICE.key)


def test_the_binding_is_what_its_vector_says() -> None:
    binding = decode_binding(read_vector("object-binding"), cases.PUBLIC, verify)
    assert (binding.key, binding.static) == (cases.ALICE.key, public_of(streams.ALICE_STATIC))
    assert binding.expires_ms == cases.TIME + BINDING_TTL_MS
