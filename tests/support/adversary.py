"""One real peer among addresses that all belong to an adversary, who signs with many keys whatever it likes.

Every datagram of the peer reaches the adversary; it answers as its `Style` says, with chance of its own
seed. Nothing it does may raise in the peer.
"""

from __future__ import annotations

import heapq
from random import Random
from typing import Any

import attrs

from overlay.events import Event
from overlay.identity.keys import KeyPair
from overlay.identity.node_id import node_id_of
from overlay.peer import Peer
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import (
    MS,
    SECOND,
    Commit,
    Failed,
    Interface,
    Now,
    Ok,
    Outcome,
    Report,
    Result,
    SendDatagram,
    Sync,
)
from overlay.wire import cbor, cose
from overlay.wire import messages as m
from overlay.wire.envelope import Envelope, encode_envelope, peek_envelope
from overlay.wire.records import encode_provider, encode_record
from overlay.wire.registry import Kind
from simulations.engine import WALL_START_MS
from tests.support.pair import REALM, A, keys_of

POOL = [keys_of(2000 + i) for i in range(40)]
BY_TO = {node_id_of(keys.key)[:8]: keys for keys in POOL}
NAME = b"name"
KEY = m_key = bytes(range(32))
DOOR = Address(bytes((10, 0, 0, 200)), 4433)
#: Where nobody may be sent to on somebody's word, and where he may.
ODD = [
    parse_address(text)
    for text in (
        "224.0.0.251:5353", "255.255.255.255:4433", "0.0.0.0:1", "127.0.0.1:4433", "10.0.0.7:53", "10.0.0.7:0",
        "169.254.3.3:4433", "[ff02::fb]:5353", "[::1]:4433", "[fe80::1]:4433", "[::]:9999", "62.1.2.3:80",
        "240.0.0.1:4433",
    )
]  # fmt: skip
VICTIM = parse_address("62.1.2.3:4433")


@attrs.frozen(kw_only=True)
class Style:
    """Shares in percent of what an answer is; the rest is a lie that is well-formed."""

    silent: int = 10
    honest: int = 20
    garbled: int = 10
    wrong_kind: int = 10
    odd_body: int = 10
    retry: int = 10
    #: Milliseconds until an answer, at most.
    slow_ms: int = 300


@attrs.define(eq=False)
class Arena:
    """Drives the peer. `time_of` has how long each command took, in seconds."""

    peer: Peer
    seed: int
    style: Style = attrs.field(factory=Style)
    now: Now = attrs.field(default=Now(0, WALL_START_MS), init=False)
    results: dict[int, Outcome] = attrs.field(factory=dict, init=False)
    events: list[Event] = attrs.field(factory=list, init=False)
    sent_to: dict[Address, int] = attrs.field(factory=dict, init=False)
    #: Requests of the peer by kind, repetitions included.
    asked: dict[Kind, int] = attrs.field(factory=dict, init=False)
    _rng: Random = attrs.field(init=False)
    _air: list[tuple[int, int, Address, bytes]] = attrs.field(factory=list, init=False)
    _count: int = attrs.field(default=0, init=False)
    _stamp: int = attrs.field(default=WALL_START_MS, init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = Random(self.seed)
        self.feed(self.peer.start)
        self.feed(self.peer.handle_network, (Interface(A.ip, 24),))
        self.run_for(1)

    # --- driving -----------------------------------------------------------------------------

    def command(self, name: str, args: dict[str, Any], *, within_s: float) -> Outcome:
        """Its outcome; fails if there is none within so many virtual seconds."""
        self._count += 1
        asked = self._count
        self.feed(self.peer.handle_command, asked, name, args)
        end = self.now.mono_ns + round(within_s * SECOND)
        while asked not in self.results and self._step(end):
            pass
        assert asked in self.results, f"{name} has no result after {within_s} s"
        return self.results[asked]

    def run_for(self, seconds: float) -> None:
        end = self.now.mono_ns + round(seconds * SECOND)
        while self._step(end):
            pass
        self._set_time(end)

    def _step(self, end: int) -> bool:
        deadline = self.peer.next_deadline()
        at = min(self._air[0][0] if self._air else end + 1, deadline if deadline is not None else end + 1)
        if at > end:
            return False
        self._set_time(max(at, self.now.mono_ns))
        if self._air and self._air[0][0] <= self.now.mono_ns:
            _, _, source, data = heapq.heappop(self._air)
            self.feed(self.peer.handle_datagram, source, data)
        else:
            self.feed(self.peer.handle_timer)
        return True

    def _set_time(self, mono_ns: int) -> None:
        self.now = Now(mono_ns, WALL_START_MS + mono_ns // MS)

    def feed(self, handle: Any, *args: Any) -> None:
        handle(self.now, *args)
        for effect in self.peer.outbox():
            match effect:
                case SendDatagram(to, data):
                    self.sent_to[to] = self.sent_to.get(to, 0) + len(data)
                    self._answer(to, peek_envelope(data))
                case Result(command_id, outcome):
                    assert command_id not in self.results
                    self.results[command_id] = outcome
                case Report(event):
                    self.events.append(event)
                case Commit(effect_id) | Sync(effect_id):
                    self.feed(self.peer.handle_done, effect_id, Ok())

    def send(self, source: Address, data: bytes, *, delay_ns: int = 0) -> None:
        self._count += 1
        heapq.heappush(self._air, (self.now.mono_ns + delay_ns, self._count, source, data))

    # --- the adversary -----------------------------------------------------------------------

    def _answer(self, at: Address, asked: Envelope) -> None:
        if asked.kind is not None:
            self.asked[asked.kind] = self.asked.get(asked.kind, 0) + 1
        if asked.kind is None or asked.kind.is_reply or not asked.kind.replies:
            return
        rng, style = self._rng, self.style
        keys = BY_TO.get(asked.to or b"") or POOL[int.from_bytes(at.ip[-2:], "big") % len(POOL)]
        if node_id_of(keys.key)[:8] != asked.to and asked.to is not None:
            return  # somebody whom it cannot play
        delay = rng.randrange(1 + style.slow_ms) * MS
        dice = rng.randrange(100)
        for share, make in (
            (style.silent, lambda: None),
            (style.honest, lambda: self._signed(keys, asked, self._reply(asked, honest=True))),
            (style.garbled, lambda: self._garbled(self._signed(keys, asked, self._reply(asked)))),
            (style.wrong_kind, lambda: self._signed(keys, asked, self._reply_of(rng.choice(_REPLIES), asked))),
            (style.odd_body, lambda: self._odd(keys, asked)),
            (style.retry, lambda: self._signed(keys, asked, m.Retry(rng.randbytes(8)))),
            (100, lambda: self._signed(keys, asked, self._reply(asked))),
        ):
            if dice < share:
                data = make()
                break
            dice -= share
        for _ in range(rng.choice((1, 1, 1, 2))):
            if data is not None:
                self.send(at, data, delay_ns=delay)
        if rng.random() < 0.2:
            self.send(at, self.request(keys, at), delay_ns=delay)

    def _signed(self, keys: KeyPair, asked: Envelope, message: m.Message) -> bytes:
        return self._envelope(keys, message.KIND, asked.request_id, message.encode_body())

    def _envelope(
        self, keys: KeyPair, kind: int, request_id: bytes, body: list[Any], token: bytes | None = None
    ) -> bytes:
        self._stamp += 1
        to = self.peer.id[:8]
        try:
            return encode_envelope(keys, REALM, kind, request_id, self._stamp, to, token, body)
        except Exception:  # too long for a datagram
            return self._envelope(keys, kind, request_id, [], token)

    def _garbled(self, data: bytes) -> bytes:
        rng = self._rng
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed[: rng.choice((len(changed), rng.randrange(len(changed))))])

    def _odd(self, keys: KeyPair, asked: Envelope) -> bytes:
        """Well signed, in the right place, and not a body."""
        rng = self._rng
        kind = rng.choice(_REPLIES) if rng.random() < 0.5 or asked.kind is None else asked.kind.replies[0]
        body: list[Any] = list(self._reply_of(kind, asked).encode_body())
        for _ in range(rng.randrange(1, 3)):
            odd = rng.choice(
                (None, 0, -1, 1 << 63, b"", b"x" * 8, bytes(40), "text", [], [[]], {}, True, (1 << 64) - 1)
            )
            if body and rng.random() < 0.8:
                body[rng.randrange(len(body))] = odd
            else:
                body = rng.choice(([], [odd] * 5))
        if rng.random() < 0.2:  # not even an envelope
            return cose.sign1(keys, REALM.aad("dgram"), cbor.encode([body]))  # type: ignore[arg-type]
        return self._envelope(keys, kind, asked.request_id, body)

    def _reply(self, asked: Envelope, *, honest: bool = False) -> m.Message:
        assert asked.kind is not None
        replies = [kind for kind in asked.kind.replies if kind is not Kind.RETRY]
        return self._reply_of(self._rng.choice(replies), asked, honest=honest)

    def _reply_of(self, kind: Kind, asked: Envelope, *, honest: bool = False) -> m.Message:
        rng = self._rng
        token = rng.randbytes(8)
        target = next((item for item in asked.body if isinstance(item, bytes) and len(item) == 32), KEY)
        now = self.now.wall_ms
        seq = rng.choice((0, now, now + 1, now + 2 * 86_400_000, (1 << 62) + 1, (1 << 64) - 1, now - 10_000))
        match kind:
            case Kind.PONG:
                return m.Pong(token, rng.choice((A, VICTIM)).packed, 1 if honest else rng.randrange(3))
            case Kind.RETRY:
                return m.Retry(token)
            case Kind.NODES:
                role = 1 if honest else rng.randrange(3)
                return m.Nodes(token, role, *self._packed(honest=honest))
            case Kind.VALUE:
                keys = POOL[0] if rng.random() < 0.7 else rng.choice(POOL)
                expires = now + rng.choice((-1, 0, 60_000, 1 << 62))
                salt = NAME if rng.random() < 0.8 else b"other"
                record = encode_record(keys, REALM, salt, seq, max(0, expires), rng.choice((b"1", b"2", bytes(800))))
                inner = rng.choice((record, record, record, b"blob", rng.randbytes(200)))
                return m.Value(token, rng.choice((1, 2, 2, 2)), inner[:832], rng.randrange(86_400))
            case Kind.STORED:
                return m.Stored(m.StoreStatus(0 if honest else rng.randrange(5)), seq=rng.choice((None, seq)))
            case Kind.PROVIDERS:
                listed = tuple(
                    (
                        encode_provider(
                            rng.choice(POOL), REALM, target if rng.random() < 0.8 else KEY, seq, now + 60_000
                        ),
                        rng.choice([*ODD, VICTIM, DOOR]).packed,
                    )
                    for _ in range(rng.randrange(5))
                )
                return m.Providers(token, listed, next=rng.choice((None, rng.randbytes(8))))
            case Kind.KEYS:
                start = max((item for item in asked.body if isinstance(item, bytes)), default=bytes(32))
                low = int.from_bytes(start[:32].ljust(32, b"\0"), "big")
                return m.Keys(token, b"".join(((low + i + 1) % (1 << 256)).to_bytes(32, "big") for i in range(32)))
            case Kind.GOSSIPED:
                v4, v6 = self._packed(honest=honest)
                ids = b"".join(item for item in asked.body if isinstance(item, bytes) and len(item) % 16 == 0)[32:]
                wanted = rng.choice((b"", ids, rng.randbytes(160)))
                status = m.GossipStatus(rng.randrange(3))
                return m.Gossiped(token, status, rng.randrange(3600), wanted, v4[: 38 * 4], v6[: 50 * 4])
            case Kind.APP_REPLY:
                return m.AppReply(m.AppStatus(rng.randrange(4)), body=rng.randbytes(rng.randrange(900)))
        raise AssertionError(kind)

    def _packed(self, *, honest: bool) -> tuple[bytes, bytes]:
        rng = self._rng
        v4, v6 = b"", b""
        for _ in range(rng.randrange(21)):
            number = rng.randrange(len(POOL))
            key, at = POOL[number].key, Address(bytes((10, 0, 1, number)), 4433)
            if not honest:
                key = rng.choice((key, key, key, self.peer.endpoint.signer.key, rng.randbytes(32)))
                at = rng.choice((at, at, at, rng.choice(ODD), VICTIM, A, Address(rng.randbytes(4), 4433)))
            if at.is_v4:
                v4 += key + at.packed
            else:
                v6 += key + at.packed
        return v4, v6

    def request(self, keys: KeyPair, at: Address) -> bytes:
        """A request of its own, with a token that is good at this address."""
        rng, now = self._rng, self.now.wall_ms
        token = self.peer.endpoint.token_for(ContactBook().contact(keys.key, at))
        record = encode_record(keys, REALM, NAME, rng.randrange(now + 86_400_000), now + 60_000, rng.randbytes(5))
        message: m.Message = rng.choice(
            (
                m.Ping(), m.FindNode(rng.randbytes(32), 3), m.FindValue(KEY, 3),
                m.FindProviders(KEY, after=rng.randbytes(8)),
                m.FindKeys(rng.randbytes(32), rng.randrange(257), after=rng.randbytes(32)), m.Store(2, record, 60),
                m.Store(1, rng.randbytes(9), 60), m.Provide(KEY, encode_provider(keys, REALM, KEY, now, now + 60_000)),
                m.AppRequest("echo", rng.randbytes(20)), m.AppRequest("é" * 16, b""), m.Leave(),
                m.DialBack(address=rng.choice((None, VICTIM.packed, ODD[0].packed))),
            )
        )  # fmt: skip
        return self._envelope(keys, message.KIND, rng.randbytes(8), message.encode_body(), token)


_ODD_ITEMS: list[Any] = [
    None, 0, -1, 1 << 63, (1 << 64) - 1, b"", b"x" * 8, bytes(40), "text", [], [[]], {}, True
]  # fmt: skip
_REPLIES = [kind for kind in Kind if kind.is_reply]


def is_clean(outcome: Outcome) -> bool:
    """A value, or a failure with a code that a peer's conduct may bring about."""
    return isinstance(outcome, Ok) or (isinstance(outcome, Failed) and outcome.code in _CODES and bool(outcome.message))


_CODES = ("failed", "not_found", "timed_out", "not_verified")
