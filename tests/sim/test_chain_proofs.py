"""Proofs from a peer that lies: a light node believes what leads to its own headers, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from apps.chain.core.operations import Anchor
from apps.chain.core.params import Params, simulated
from apps.chain.core.proof import VERSION
from apps.chain.core.serving import Serving
from apps.chain.core.tx import Tx, decode_tx, encode_tx
from apps.chain.core.wire import AskProof, Part, Question, encode_answer
from overlay.streams import Stream
from overlay.wire import cbor
from simulations.fake_keys import FakeKeyPair
from tests.sim.test_chain_holding import lie
from tests.sim.test_chain_hostile import LIAR, barred, goes_on, nothing, three
from tests.support.chain_swarm import PARAMS
from tests.support.chains import Maker
from tests.support.swarm import CommandFailed

LIGHT = 1
DIGEST = bytes(range(32))


def proved(params: Params) -> tuple[bytes, Tx]:
    """A good proof of a transaction in a block that nobody has, on the first one of a chain."""
    raw = encode_tx(
        FakeKeyPair(bytes(32)), params.chain_id, [Anchor(DIGEST, tag=b"")], nonce=0, fee=100, first=0, last=9
    )
    block = Maker(params).block(params.genesis_id, [raw])
    proof = [VERSION, params.facts(), params.genesis_time, raw, 0, b"", [block.raw_header]]
    return cbor.encode(proof), decode_tx(raw, params.chain_id)


@pytest.mark.parametrize(
    ("params", "of", "why"),
    [
        (simulated(b"another", maturity=2), DIGEST, "of another chain"),
        (PARAMS, bytes(32), "something else than was asked for"),
        # The block may have been on the way to the best one for who gave it.
        (PARAMS, DIGEST, ""),
    ],
    ids=["another chain", "something else", "another branch"],
)
def test_what_proves_something_else_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, params: Params, of: bytes, why: str
) -> None:
    raw, _ = proved(params)
    asked: list[bytes] = []

    async def reply(_serving: Serving, stream: Stream, question: Question) -> bool:
        if not isinstance(question, AskProof):
            return False
        asked.append(question.of)
        await stream.send(encode_answer(Part(False, raw)))
        return True

    swarm = three(nothing, light=(LIGHT,))
    swarm.until_height(0, 5)
    swarm.run_for(70)  # all know of each other
    lie(monkeypatch, swarm, reply)
    with pytest.raises(CommandFailed, match="no peer that was asked knows"):
        swarm.ask(LIGHT, "proof", of=of.hex())
    assert asked == [of]
    found: dict[int, Any] = barred(swarm)
    assert set(found) == ({LIGHT} if why else set())
    assert why in found.get(LIGHT, "")
    if why:
        swarm.engine.kill(LIAR)
    goes_on(swarm)
