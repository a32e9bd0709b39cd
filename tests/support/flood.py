"""A flood of datagrams against a running node, and a good peer beside it that wants answers.

Sockets send in bursts that end with a signed PING of their own, and go on when it was answered: the node is busy all
the time, and what it was sent it has seen (a flood without any pause mostly fills the kernel's buffer and is lost).
"""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import psutil

from overlay.identity.keys import KeyPair
from overlay.identity.network import Context, Network
from overlay.identity.node_id import parse_id
from overlay.wire import cbor, cose
from overlay.wire import messages as m
from overlay.wire.records import encode_provider, encode_record
from overlay.wire.registry import Kind
from tests.support.nodes import NodeProcess, percentile
from tests.support.recorder import Recorder

#: Datagrams between two PINGs of a socket: with three sockets less than a default receive buffer holds.
BURST = 40
SOCKETS = 3
#: Distinct signed datagrams of each sort; signing one costs 50 us, so the same are sent again.
_SIGNED = 3000
_SIGNERS = 32


def nonsense(chance: random.Random, network: Network, to: bytes) -> Iterator[bytes]:
    """Correctly signed, fresh, to the right node, and of no use: every kind, also replies nobody asked for."""
    signers = [KeyPair.from_seed(chance.randbytes(32)) for _ in range(_SIGNERS)]
    good = [message for kind in Kind for message in _messages(kind, chance, network, signers[0])]
    stamps = itertools.count(time.time_ns() // 1_000_000)
    for _ in range(_SIGNED):
        message = chance.choice(good)
        body = message.encode_body()
        for _ in range(chance.randint(0, 2)):
            body[chance.randrange(len(body) + 1) :] = [_item(chance)]
        kind = int(message.KIND) if chance.random() < 0.9 else chance.randrange(70_000) % 65_536
        token = chance.choice((None, chance.randbytes(8)))
        whom = chance.choice((None, to, to, to, chance.randbytes(8)))
        payload = cbor.encode([kind, chance.randbytes(8), next(stamps), whom, token, body])
        yield cose.sign1(chance.choice(signers), network.aad(Context.DGRAM), payload)  # some are too large


def _item(chance: random.Random) -> Any:
    return chance.choice(
        (None, True, -1, 2**64 - 1, chance.randbytes(chance.choice((0, 1, 8, 32, 300))), "text", [[[]]], {"a": 1})
    )


def _messages(kind: Kind, chance: random.Random, network: Network, signer: KeyPair) -> list[m.Message]:
    eight, key = chance.randbytes(8), chance.randbytes(32)
    expires = 2**63
    record = encode_record(signer, network, b"x", 1, expires, b"value")
    match kind:
        case Kind.PING:
            return [m.Ping(), m.Ping(padding=bytes(100))]
        case Kind.PONG:
            return [m.Pong(eight, bytes(6), 1)]
        case Kind.RETRY:
            return [m.Retry(eight)]
        case Kind.FIND_NODE:
            return [m.FindNode(key, 3), m.FindNode(key, 1, padding=bytes(900))]
        case Kind.NODES:
            return [m.Nodes(eight, 1, chance.randbytes(38 * 20), b""), m.Nodes(eight, 2, b"", chance.randbytes(500))]
        case Kind.FIND_VALUE:
            return [m.FindValue(key, 3), m.FindValue(key, 1, padding=bytes(900))]
        case Kind.VALUE:
            return [m.Value(eight, 1, chance.randbytes(800), 60), m.Value(eight, 2, record, 60)]
        case Kind.STORE:
            return [m.Store(1, chance.randbytes(100), 60), m.Store(2, record, 60), m.Store(2, b"junk", 60, cas=3)]
        case Kind.STORED:
            return [m.Stored(m.StoreStatus.STORED, seq=2**64 - 1)]
        case Kind.PROVIDE:
            return [m.Provide(key, encode_provider(signer, network, key, 1, expires)), m.Provide(key, b"junk")]
        case Kind.FIND_PROVIDERS:
            return [m.FindProviders(key), m.FindProviders(key, after=eight, padding=bytes(900))]
        case Kind.PROVIDERS:
            return [m.Providers(eight, ((record, bytes(6)),))]
        case Kind.APP_REQUEST:
            return [m.AppRequest("chat", chance.randbytes(500))]
        case Kind.APP_REPLY:
            return [m.AppReply(m.AppStatus.OK, body=b"x")]
        case Kind.DIALBACK:
            return [m.DialBack(), m.DialBack(address=bytes((127, 0, 0, 1, 0, 53)))]
        case Kind.FIND_KEYS:
            return [m.FindKeys(key, 0), m.FindKeys(key, 256, padding=bytes(900))]
        case Kind.KEYS:
            return [m.Keys(eight, bytes(64))]
        case Kind.LEAVE:
            return [m.Leave()]
        case _:
            return []


def damaged(chance: random.Random, good: bytes) -> bytes:
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
    return bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.2 else bytes(data)


def corpus(chance: random.Random, network: Network, to: bytes) -> list[bytes]:
    """A quarter each: random bytes, damaged messages, the same message again and again, signed nonsense."""
    signed = list(nonsense(chance, network, to))
    replayed = signed[:3]
    mixed = [
        datagram
        for each in signed
        for datagram in (
            chance.randbytes(chance.choice((0, 1, 40, 200, 1232, 1300))),
            damaged(chance, each),
            chance.choice(replayed),
            each,
        )
    ]
    chance.shuffle(mixed)
    return mixed


@attrs.define
class Report:
    sent: int = 0
    seconds: float = 0
    #: Of the good peer, s.
    pings: list[float] = attrs.Factory(list)
    #: MB after a fifth, and at the end.
    rss_warm: float = 0
    rss_end: float = 0
    #: What the node counted during the flood.
    counters: dict[str, int] = attrs.Factory(dict)

    def figures(self) -> dict[str, Any]:
        return {
            "datagrams": self.sent,
            "per_s": round(self.sent / self.seconds),
            "good_pings": len(self.pings),
            "ping_p50_ms": round(1000 * percentile(self.pings, 50), 1),
            "ping_p99_ms": round(1000 * percentile(self.pings, 99), 1),
            "ping_max_ms": round(1000 * max(self.pings), 1),
            "rss_warm_mb": round(self.rss_warm, 1),
            "rss_end_mb": round(self.rss_end, 1),
            "counters": self.counters,
        }


@attrs.define
class _Flood:
    node: NodeProcess
    network: Network
    datagrams: Sequence[bytes]
    total: int
    sent: int = 0
    failure: BaseException | None = None
    _lock: threading.Lock = attrs.Factory(threading.Lock)

    def take(self) -> Sequence[bytes]:
        """The next burst; empty at the end."""
        with self._lock:
            size = min(BURST, self.total - self.sent)
            at = self.sent % len(self.datagrams)
            self.sent += size
        return self.datagrams[at : at + size] + self.datagrams[: max(0, at + size - len(self.datagrams))]

    def run(self, seed: int) -> None:
        host, _, port = self.node.address.rpartition(":")
        try:
            with Recorder(self.network, seed=seed) as own:
                while burst := self.take():
                    for datagram in burst:
                        own.socket.sendto(datagram, (host, int(port)))
                    own.ping(self.node.address, within_s=30)
                    own.heard.clear()
        except BaseException as error:
            self.failure = error


def flood(node: NodeProcess, network: Network, total: int, *, seed: int) -> Report:
    """Send so many datagrams, while a good peer pings without a pause. Every ping must be answered."""
    report = Report()
    before = node.status()["counters"]
    datagrams = corpus(random.Random(seed), network, parse_id(node.id)[:8])
    running = _Flood(node, network, datagrams, total)
    process = psutil.Process(node.pid)
    threads = [threading.Thread(target=running.run, args=(1000 + n,), daemon=True) for n in range(SOCKETS)]
    began = time.perf_counter()
    with Recorder(network, seed=2) as good:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            report.pings.append(good.ping(node.address))
            good.heard.clear()
            if not report.rss_warm and running.sent > total // 5:
                report.rss_warm = _rss_mb(process)
    report.seconds = time.perf_counter() - began
    if running.failure is not None:
        raise running.failure
    report.sent, report.rss_end = running.sent, _rss_mb(process)
    after = node.status()["counters"]
    report.counters = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name)}
    return report


def blast(node: NodeProcess, network: Network, seconds: float, *, seed: int) -> int:
    """Without any pause and mostly into a full buffer: what the kernel drops nobody counts. How many were sent."""
    datagrams = corpus(random.Random(seed), network, parse_id(node.id)[:8])
    host, _, port = node.address.rpartition(":")
    end, sent = time.monotonic() + seconds, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while time.monotonic() < end:
            for datagram in datagrams[:1000]:
                sock.sendto(datagram, (host, int(port)))
            sent += 1000
    return sent


def check(report: Report, *, growth_mb: float) -> None:
    """What must hold after any flood."""
    counters = report.counters
    # The PING at the end of a burst comes through only if the burst was read; a few may be lost to a full buffer.
    assert counters["udp_received"] >= 0.9 * report.sent, counters
    assert counters["dropped: malformed"] + counters.get("udp_oversize", 0) >= 0.3 * report.sent, counters
    for name in ("dropped: misaddressed", "dropped: unexpected reply", "dropped: unknown kind", "answered: retry"):
        assert counters[name] > 0, (name, counters)
    assert report.rss_end - report.rss_warm <= growth_mb, report.figures()
    assert len(report.pings) > 10


def _rss_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def started(folder: Path, network: Network) -> NodeProcess:
    """A node of this network, ready."""
    node = NodeProcess(folder / "home", ("--network", network.name, "--puzzle-bits", str(network.puzzle_bits)))
    node.start()
    node.wait_ready()
    return node
