"""What tests ask of a topic in a swarm: who got which message how often, and how many datagrams it took."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import attrs
import pytest

from overlay.errors import TimedOut
from overlay.events import GossipDelivered
from overlay.gossip.exchange import Exchange
from overlay.gossip.line import Line
from overlay.gossip.lines import Lines
from overlay.gossip.topic import Kept
from overlay.limits import BODY_PART
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND
from overlay.streams import Stream, StreamEnded, Streams
from overlay.wire.bodies import Ask, Part, encode_body_message
from overlay.wire.publication import encode_publication, message_id, peek_publication
from overlay.wire.registry import BodyRefusal
from simulations.fake_keys import FakeKeyPair
from simulations.links import LAN
from tests.support.swarm import Swarm

TOPIC = "chat"


def subscribe(swarm: Swarm, nodes: Iterable[int]) -> None:
    swarm.commands([(node, "subscribe", {"topic": TOPIC}) for node in nodes])


def publish(swarm: Swarm, node: int, body: bytes) -> int:
    return int(swarm.command(node, "publish", topic=TOPIC, body=body)["peers"])


def delivered(swarm: Swarm) -> Counter[tuple[int, bytes]]:
    """(node, body) -> how often, since reports were last cleared."""
    return Counter((node, event.body) for node, _, event in swarm.reports if isinstance(event, GossipDelivered))


def mesh_of(swarm: Swarm, node: int) -> dict[bytes, bool]:
    """Key of each member -> did the node choose it."""
    [topic] = swarm.peer(node).gossip.state.topics.values()
    return {key: member.outbound for key, member in topic.mesh.members.items()}


@attrs.define(slots=True, eq=False)
class MuteExchange(Exchange):
    """Takes everything, says it has everything, passes nothing on."""

    def send(self, contacts: Iterable[Contact], kept: Kept) -> int:
        return 0


def mute(swarm: Swarm, node: int) -> None:
    gossip = swarm.peer(node).gossip
    gossip._exchange = gossip._upkeep.exchange = MuteExchange(gossip.state, gossip._lines)


# --- bodies that go by stream -----------------------------------------------------------------

#: Of a body that a peer has: what it sends instead. None: nothing, ever.
Lie = Callable[[bytes], bytes | BodyRefusal | None]


def settled_lan(n: int, *, seed: int = 1, loss_ppm: int = 0, apart: Iterable[tuple[int, int]] = ()) -> Swarm:
    """`n` subscribers in one LAN; `apart`: pairs of which neither hears the other."""
    swarm = Swarm(n, seed=seed, lan=True, link=attrs.evolve(LAN, loss_ppm=loss_ppm), fake_keys=True)
    for one, other in apart:
        swarm.network.cut([one], [other])
        swarm.network.cut([other], [one])
    swarm.run_for(5)
    subscribe(swarm, range(n))
    swarm.run_for(15)
    swarm.reports.clear()
    return swarm


def body_of_size(size: int, number: int = 0) -> bytes:
    """Of each number another one, and no two parts of it are the same."""
    return hashlib.shake_128(b"%d" % number).digest(size)


def lines_of(swarm: Swarm, node: int) -> list[Line]:
    """Streams of gossip that a node has now."""
    return [line for lines in swarm.peer(node).gossip._lines._lines.values() for line in lines if line.live]


def bytes_sent(swarm: Swarm) -> int:
    """By all streams of gossip that are open."""
    return sum(line.stream.sent for node in swarm.alive() for line in lines_of(swarm, node))


def lie(patch: pytest.MonkeyPatch, swarm: Swarm, lies: dict[int, Lie]) -> dict[int, int]:
    """Have nodes send other bodies than they were asked for; node -> how often it was asked for one that it has."""
    found = Lines._found
    by_key = {swarm.keys(node).key: (node, what) for node, what in lies.items()}
    asked = dict.fromkeys(lies, 0)

    def lying_found(self: Lines, key: bytes, digest: bytes) -> bytes | BodyRefusal:
        liar, truth = by_key.get(self.state.endpoint.signer.key), found(self, key, digest)
        if liar is None or isinstance(truth, BodyRefusal):
            return truth
        asked[liar[0]] += 1
        said = liar[1](truth)
        return b"" if said is None else said

    patch.setattr(Lines, "_found", lying_found)
    return asked


def drip(patch: pytest.MonkeyPatch, swarm: Swarm, gaps_s: dict[int, float]) -> None:
    """Nodes send a part of each body that they are asked for, all at the same time, and the next one so much later."""
    serve = Lines._serve
    by_key = {swarm.keys(node).key: gap_s for node, gap_s in gaps_s.items()}

    async def answer(self: Lines, line: Line, ask: Ask, gap_s: float) -> None:
        body = self._found(line.stream.key, ask.digest)
        assert isinstance(body, bytes)
        with contextlib.suppress(StreamEnded):
            for at in range(0, len(body), BODY_PART):
                await line.stream.send(encode_body_message(Part(ask.number, body[at : at + BODY_PART])))
                await self.state.loop.sleep(round(gap_s * SECOND))

    async def dripping_serve(self: Lines, line: Line) -> None:
        gap_s = by_key.get(self.state.endpoint.signer.key)
        if gap_s is None:
            return await serve(self, line)
        while line.queue:
            self.state.spawn(answer(self, line, line.queue.popleft(), gap_s), "a body by drops")
        line.serving = False
        return None

    patch.setattr(Lines, "_serve", dripping_serve)


def pass_on(swarm: Swarm, node: int, author: int, bodies: Iterable[bytes]) -> None:
    """As if it had just received them from that author, who is not here."""
    state, exchange = swarm.peer(node).gossip.state, swarm.peer(node).gossip._exchange
    [topic] = state.topics.values()
    for number, body in enumerate(bodies):
        seq = state.loop.now.wall_ms + number
        raw = encode_publication(FakeKeyPair(bytes([author]) * 32), state.endpoint.network, topic.name, seq, body)
        exchange.accept(topic, peek_publication(raw), message_id(raw), (), body)


def shut(patch: pytest.MonkeyPatch, swarm: Swarm, nodes: Iterable[int]) -> None:
    """No stream that others open reaches these nodes, as behind a NAT; those that they open do."""
    closed = {swarm.id(node) for node in nodes}
    really = Streams.open

    async def open_(self: Streams, peer: bytes, addresses: Sequence[Address], protocol: str) -> Stream:
        if peer in closed:
            await self.loop.sleep(8 * SECOND)
            raise TimedOut("it does not answer")
        return await really(self, peer, addresses, protocol)

    patch.setattr(Streams, "open", open_)
