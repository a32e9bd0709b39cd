"""Two peers that subscribe to one topic, strangers with tokens who say to one of them what they like, and a policy."""

from __future__ import annotations

import attrs

from overlay.events import GossipDelivered
from overlay.identity.network import Network
from overlay.runtime.address import parse_address
from overlay.trust.policy import Observation, Verdict
from overlay.wire.messages import Message, Ping
from overlay.wire.publication import encode_publication, topic_key
from tests.support.pair import REALM, Pair, Stranger, keys_of, messages, pair

TOPIC = topic_key("chat")


def bodies(link: Pair, side: str) -> list[bytes]:
    return [event.body for at, event in link.events if at == side and isinstance(event, GossipDelivered)]


def subscribed(*, network: Network = REALM) -> Pair:
    link = pair(network=network).met()
    for side in ("a", "b"):
        link.command(side, "subscribe", {"topic": "chat"})
    link.settle(10)
    return link


def said(number: int, *, author: int = 7, seq: int | None = None, link: Pair, network: Network = REALM) -> bytes:
    """A message of an author who is not here."""
    seq = link.now.wall_ms + number if seq is None else seq
    return encode_publication(keys_of(author), network, "chat", seq, b"%d" % number)


@attrs.define
class Strangers:
    """Each with a key, an address and a token of b's."""

    link: Pair
    network: Network = REALM

    def one(self, number: int = 66) -> Stranger:
        address = parse_address(f"10.{number // 200}.{number % 200 // 100}.{number % 100}:4433")
        return Stranger(self.link, keys=keys_of(number), address=address, network=self.network)

    def sends(self, message: Message, *, number: int = 66, who: Stranger | None = None) -> list[Message]:
        """What b answers at once, RETRY and PING aside."""
        stranger = who or self.one(number)
        stranger.stamp = max(stranger.stamp, self.link.now.wall_ms)
        sent = stranger.send(stranger.datagram(message, token=stranger.token()))
        return [answer for answer in messages(sent, network=self.network) if not isinstance(answer, Ping)]


@attrs.define
class Watching:
    """A policy that refuses some and remembers all."""

    refused: tuple[bytes, ...] = ()
    seen: list[tuple[bytes, Observation]] = attrs.Factory(list)

    def verdict(self, key: bytes) -> Verdict:
        return Verdict.REFUSE if key in self.refused else Verdict.ALLOW

    def observe(self, key: bytes, what: Observation, now_ns: int) -> None:
        self.seen.append((key, what))
