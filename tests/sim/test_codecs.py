"""The codec ladder: what is done for a datagram is less from rung to rung, what happens is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from overlay.errors import BadMessage
from overlay.events import Event
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.wire.envelope import peek_envelope
from overlay.wire.registry import Kind
from simulations.fake_keys import FakeKeyPair, fake_verify
from simulations.memo import MOST, remembering
from simulations.population import Codec
from simulations.spec import scenario_of
from simulations.swarm import Swarm

ROOT = Path(__file__).parents[2]
REALM = Network("swarm")
KEYS = FakeKeyPair(b"k" * 32)

#: Loss, copies, disorder, churn with power loss, a cut, adversaries of three sorts, topics, and all commands of a
#: workload.
EVENTFUL: dict[str, Any] = {
    "duration_s": 30,
    "population": {"nodes": 14, "arrive_s": 4, "puzzle_bits": 2},
    "link": {"loss": 0.05, "duplicate": 0.02, "reorder": 0.05},
    "churn": {"model": "exponential", "session_s": 40, "offline_s": 6, "from_s": 6},
    "timeline": [
        {"action": "partition", "at_s": 10},
        {"action": "heal", "at_s": 13},
        {"action": "kill", "at_s": 18, "share": 0.2, "power_loss": True, "restart_after_s": 4},
    ],
    "adversaries": [
        {"kind": "colluding-routers", "fraction": 0.2},
        {"kind": "forgers", "count": 2, "from_s": 8},
        {"kind": "replayers", "count": 1, "from_s": 8},
    ],
    "workload": [
        {"kind": "publish", "count": 8, "from_s": 6, "settle_s": 4, "within_s": 5},
        {"kind": "publish", "topic": "large", "count": 4, "size": 50_000, "from_s": 6, "settle_s": 4, "within_s": 5},
        {"kind": "lookup", "count": 10, "from_s": 6},
        {"kind": "put-get", "values": 5, "gets": 8, "from_s": 6},
    ],
}
_PROGRAM = "from tests.sim.test_codecs import course; import json; print(json.dumps(course('fast')[:3]))"


@cache
def course(codec: str) -> tuple[str, int, int, list[tuple[int, int, Event]]]:
    """Trace, events, bytes, and all that was reported."""
    reports: list[tuple[int, int, Event]] = []
    swarm = Swarm(
        scenario_of("eventful", EVENTFUL), seed=3, codec=Codec(codec), on_report=lambda *said: reports.append(said)
    )
    end = swarm.run()
    return end.trace_hash, end.events, swarm.network.sent_bytes, reports


def test_every_rung_gives_the_same_course() -> None:
    objects, fast, real = (course(codec) for codec in ("objects", "fast", "real"))
    assert objects == fast
    assert fast == real
    assert len(fast[3]) > 100


#: The hash of `course`, for comparing Pythons and machines: each runs this test. It changes with every change of what
#: a peer does; see that it was meant, and write the new one here.
GOLDEN = "ef63b7ef84f47114487e4133ad7f62f8"


def test_the_course_is_the_same_on_every_python() -> None:
    assert course("objects")[0] == GOLDEN


def test_the_course_does_not_depend_on_the_hash_seed_or_the_process() -> None:
    here = list(course("objects")[:3])
    for hash_seed in ("0", "77"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        there = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=env, cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert json.loads(there.stdout) == here, f"PYTHONHASHSEED={hash_seed}"


# --- the memory of the objects rung ---


class Counted:
    """fake_verify that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, key: bytes, data: bytes, signature: bytes) -> bool:
        self.calls += 1
        return fake_verify(key, data, signature)


def _written(codec: Any, *, signer: Any = KEYS, network: Network = REALM, body: Any = None) -> bytes:
    items: list[Any] = [bytes(32), 1] if body is None else body
    return codec.encode(signer, network, Kind.FIND_NODE, b"request!", 1 << 40, None, b"a token!", items)  # type: ignore[no-any-return]


def test_what_nobody_changed_is_not_verified_and_says_the_same() -> None:
    codec, verify = remembering(), Counted()
    data = _written(codec)
    assert codec.peek(data) == peek_envelope(data)
    codec.check(data, REALM, verify)
    assert verify.calls == 0


def test_a_copy_and_a_second_reading_are_verified() -> None:
    codec, verify = remembering(), Counted()
    data = _written(codec)
    copy = bytes(bytearray(data))
    for read in (copy, data, data):
        codec.check(read, REALM, verify)
    assert verify.calls == 2


@pytest.mark.parametrize("at", [0, 50, 70, -1])
def test_what_was_changed_is_refused(at: int) -> None:
    codec = remembering()
    changed = bytearray(_written(codec))
    changed[at] ^= 1
    data = bytes(changed)

    def read() -> None:
        codec.peek(data)
        codec.check(data, REALM, fake_verify)

    with pytest.raises(BadMessage):
        read()


def test_neither_another_network_nor_the_hand_of_a_forger_is_trusted() -> None:
    codec = remembering()
    foreign = _written(codec, network=Network("another"))

    class Forger:
        key = KEYS.key

        def sign(self, data: bytes) -> bytes:
            return bytes(64)

    for data in (foreign, _written(codec, signer=Forger()), _written(codec, signer=KeyPair.from_seed(bytes(32)))):
        with pytest.raises(BadMessage):
            codec.check(data, REALM, fake_verify)


def test_a_body_that_is_not_plain_is_read_for_real() -> None:
    codec = remembering()
    for body in ([bytes(32), True], [bytes(32), (1, 2)], [bytes(32), [b"x"]], [Kind.PING, 1]):
        data = _written(codec, body=body)
        assert codec.peek(data) == peek_envelope(data)
        assert [type(item) for item in codec.peek(data).body] == [type(item) for item in peek_envelope(data).body]


def test_the_memory_is_bounded() -> None:
    codec, verify = remembering(), Counted()
    first = _written(codec)
    for _ in range(MOST + 1):
        _written(codec)
    codec.check(first, REALM, verify)
    assert verify.calls == 1, "it was forgotten, and is verified as anything else"
