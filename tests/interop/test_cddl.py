"""The CDDL in docs/protocol says what the vectors are, and nothing else.

All blocks together are one schema. `cddl-verifier` reads it: `pycddl` 0.6.4 refuses what is valid
where `.cbor` or a last `* any` stands in an array, accepts `{}` for any map, and crashes on some schemas.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import cbor2
import pytest

from apps.chain.core import wire
from apps.chain.core.compact import encode_compact
from apps.chain.core.operations import Evidence, SetName
from apps.chain.core.proof import make_proof
from apps.chain.core.tx import decode_tx
from apps.files.core.evidence import make_evidence
from apps.files.core.questions import Find, Found, Holding, Holds
from overlay.typed import encode_message
from overlay.wire import cose
from tests.support.chains import World, anchor, pay
from tests.vectors import cases as c
from tests.vectors.text import read_vector

DOCS = Path(__file__).parents[2] / "docs" / "protocol"


def blocks() -> list[str]:
    return [
        block
        for path in sorted(DOCS.glob("*.md"))
        for block in re.findall(r"^```cddl\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    ]


@lru_cache(maxsize=1)
def validator() -> Any:
    try:
        from cddl_verifier import Validator
    except ModuleNotFoundError:
        pytest.fail("cddl-verifier is missing: pip install --editable '.[test]'")
    return Validator("\n".join(blocks()))


def fits(rule: str, data: bytes) -> bool:
    return bool(validator().validate(data, root_type=rule).valid)


OBJECTS = {
    "object-record": "signed-record",
    "object-provider": "provider-record",
    "object-publication": "publication",
    "object-chunk": "chunk-header",
    "object-announcement": "publication",
    "body-ask": "body-message",
    "body-part": "body-message",
    "body-no": "body-message",
    "object-posting": "posting",
    "object-binding": "binding",
    "object-ticket": "ticket",
    "network-public": "network-facts",
    "network-private": "network-facts",
}


@pytest.mark.parametrize("name", c.MESSAGES)
def test_every_message_fits(name: str) -> None:
    assert fits("datagram", read_vector(name))


@pytest.mark.parametrize(("name", "rule"), OBJECTS.items())
def test_every_object_fits(name: str, rule: str) -> None:
    assert fits(rule, read_vector(name))


def test_evidence_fits() -> None:
    assert fits("chunk-evidence", make_evidence(c.CHUNK, bytes(32), bytes(32)))
    assert not fits("chunk-evidence", make_evidence(c.PROVIDER, bytes(32), bytes(32)))


@pytest.mark.parametrize("name", c.MESSAGES)
def test_a_body_fits_its_own_kind_only(name: str) -> None:
    """The schema is not so loose that anything fits: another kind's number makes most bodies wrong."""
    kind, *head, body = cbor2.loads(cose.parse1(read_vector(name))[1])
    others = [number for number in range(25) if fits("envelope", cbor2.dumps([number, *head, body]))]

    loose = {1, 21}  # PING and LEAVE have no item that must be there
    assert kind in others
    assert len(set(others) - loose - {kind}) <= 3


FIND_NODE = cbor2.loads(cose.parse1(read_vector("find-node"))[1])


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 9),
        (0, 15),
        (1, bytes(7)),
        (1, None),
        (2, -1),
        (3, bytes(9)),
        (4, "token"),
        (5, []),
        (5, [bytes(31), 1]),
        (5, [bytes(32), 4]),
        (5, None),
    ],
)
def test_an_envelope_that_we_refuse_does_not_fit(at: int, value: object) -> None:
    changed = [*FIND_NODE[:at], value, *FIND_NODE[at + 1 :]]

    assert fits("envelope", cbor2.dumps(FIND_NODE))
    assert not fits("envelope", cbor2.dumps(changed))


def test_an_envelope_has_six_items() -> None:
    assert not fits("envelope", cbor2.dumps(FIND_NODE[:5]))
    assert not fits("envelope", cbor2.dumps([*FIND_NODE, None]))


def test_trailing_items_of_a_body_fit() -> None:
    *head, body = FIND_NODE

    assert fits("envelope", cbor2.dumps([*head, [*body, b"padding", 1, ["later"]]]))


def test_another_header_does_not_fit() -> None:
    data = read_vector("ping")

    assert not fits("datagram", data[:6] + b"\x27" + data[7:])  # algorithm -8
    assert not fits("datagram", data[:42] + b"\xa1\x01\x02" + data[43:])  # something unprotected
    assert not fits("datagram", data[1:])  # without tag


QUESTIONS = {
    "find": ("files-question", Find(("moon", "film"), 3)),
    "holds": ("files-question", Holds((bytes(32),))),
    "found": ("files-answer", Found((c.POSTING,), more=True)),
    "holding": ("files-answer", Holding((True, False))),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_of_search_fit(name: str) -> None:
    rule, message = QUESTIONS[name]

    assert fits(rule, encode_message(message))
    assert not fits(rule, cbor2.dumps([name, 2, cbor2.loads(encode_message(message))[2]]))


def test_objects_of_the_chain_fit_and_others_do_not() -> None:
    world = World()
    tx = world.make.tx("anna", pay("bert", 7, memo=b"x"), anchor("report"), nonce=0)
    block = world.next(tx)
    world.accepts(block)
    row = world.store.tx(decode_tx(tx, world.params.chain_id).txid)
    assert row is not None
    proof = make_proof(world.store, world.params, row)
    for rule, data in {
        "chain-facts": cbor2.dumps(world.params.facts()), "chain-header": block.raw_header, "chain-tx": tx,
        "chain-block": block.raw, "chain-compact": encode_compact(block), "chain-proof": proof,
    }.items():  # fmt: skip
        assert fits(rule, data), rule
        assert not fits(rule, cbor2.dumps([*cbor2.loads(data), 0])), rule
    more = (SetName(b"cam-1", b""), Evidence(b"e"))
    assert fits("chain-tx", world.make.tx("anna", *more, nonce=0))
    assert not fits("chain-tx", world.make.tx("anna", SetName(b"ab", b""), nonce=0))
    assert not fits("chain-tx", world.make.tx("anna", nonce=0))


def test_what_peers_of_a_chain_say_fits() -> None:
    id32 = bytes(32)
    standing = wire.Standing(7, id32, 1 << 200, 4, id32, b"", False, 3)
    for rule, data in (
        ("chain-standing", wire.encode_standing(standing)), ("chain-where", wire.STANDING_QUESTION),
        ("chain-where", wire.encode_where(standing)), ("chain-txs", wire.encode_txs([b"tx", b"another"])),
    ):  # fmt: skip
        assert fits(rule, data), rule
    questions = (
        wire.AskHeaders((id32,)), wire.AskBodies((id32,)), wire.AskTxs(id32, (0, 5)), wire.AskPool(),
        wire.AskProof(id32), wire.AskAccount(id32),
    )  # fmt: skip
    assert all(fits("chain-question", wire.encode_question(question)) for question in questions)
    answers = (
        wire.Headers((b"h",), True), wire.Part(False, b""), wire.Part(True, b"x"), wire.Txs((b"tx",)),
        wire.AccountIs(1, 2, 3),
    )  # fmt: skip
    assert all(fits("chain-answer", wire.encode_answer(answer)) for answer in answers)
    assert not fits("chain-question", cbor2.dumps([7]))
    assert not fits("chain-answer", cbor2.dumps([2, 1, b""]))
