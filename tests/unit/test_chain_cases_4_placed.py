"""Transactions that depend on what was before: cases 54 to 72 (docs/protocol/chain.md)."""

from __future__ import annotations

import pytest

from apps.chain.core.limits import CREDIT
from apps.chain.core.operations import Anchor, Evidence, SetName
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import Params, simulated
from apps.chain.core.rows import Account, NameRow
from apps.chain.core.rules import Rule
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import verify
from overlay.wire import cbor
from tests.support.chains import NETWORK, QUICK, World, key_of, pay

BALANCE = 10_000_000


def balance(world: World, name: str) -> int:
    key = key_of(name).key
    return world.store.accounts([key]).get(key, Account(key, 0, 0)).balance


def test_54_a_nonce_that_was_used(world: World) -> None:
    tx = world.make.tx("anna", pay("bert", 1), nonce=0)
    world.accepts(world.next(tx))
    world.refuses(Rule.S2, world.next(tx))


def test_55_a_nonce_too_high(world: World) -> None:
    world.refuses(Rule.S2, world.next(world.make.tx("anna", pay("bert", 1), nonce=1)))


def test_56_the_same_nonce_twice_in_a_block(world: World) -> None:
    txs = [world.make.tx("anna", pay("bert", amount), nonce=0) for amount in (1, 2)]
    world.refuses(Rule.S2, world.next(*txs))


def test_57_a_unit_more_than_there_is(world: World) -> None:
    world.refuses(Rule.S3, world.next(world.make.tx("anna", pay("bert", BALANCE - 9_999), nonce=0)))
    world.accepts(world.next(world.make.tx("anna", pay("bert", BALANCE - 10_000), nonce=0)))
    assert (balance(world, "anna"), balance(world, "bert")) == (0, 2 * BALANCE - 10_000)


def test_58_too_much_in_the_second_payment_only(world: World) -> None:
    world.refuses(Rule.S3, world.next(world.make.tx("anna", pay("bert", 1), pay("bert", BALANCE), nonce=0)))
    assert balance(world, "bert") == BALANCE


def test_59_it_spends_what_comes_later_in_the_block(world: World) -> None:
    out = world.make.tx("anna", pay("carl", BALANCE), nonce=0)
    into = world.make.tx("bert", pay("anna", 10_000), nonce=0)
    world.refuses(Rule.S3, world.next(out, into))


def test_60_it_spends_what_came_earlier_in_the_block(world: World) -> None:
    into = world.make.tx("bert", pay("anna", 10_000), nonce=0)
    out = world.make.tx("anna", pay("carl", BALANCE), nonce=0)
    world.accepts(world.next(into, out))
    assert (balance(world, "anna"), balance(world, "carl")) == (0, BALANCE)


def test_60_nor_does_a_payment_to_oneself_count_before_it_is_made(world: World) -> None:
    world.refuses(Rule.S3, world.next(world.make.tx("anna", pay("anna", BALANCE), nonce=0)))


def dora_mines(world: World) -> tuple[int, bytes]:
    """Height, and a transaction that spends its reward."""
    world.accepts(world.next(miner="dora"))
    return world.height, world.make.tx("dora", pay("bert", 49 * CREDIT), nonce=0)


def test_61_a_reward_that_is_not_mature(world: World) -> None:
    height, tx = dora_mines(world)
    while world.height < height + 18:
        world.accepts(world.next())
    world.refuses(Rule.S3, world.next(tx))


def test_62_a_reward_is_credited_after_the_transactions_of_the_block(world: World) -> None:
    height, tx = dora_mines(world)
    while world.height < height + 19:
        world.accepts(world.next())
    world.refuses(Rule.S3, world.next(tx))
    world.accepts(world.next())
    assert balance(world, "dora") == 50 * CREDIT
    world.accepts(world.next(tx))


def test_62_fees_are_credited_with_the_reward() -> None:
    world = World(QUICK, blocks=6)
    world.accepts(world.next(world.make.tx("anna", pay("bert", 1), nonce=0, fee=777), miner="dora"))
    for _ in range(2):
        world.accepts(world.next())
    assert balance(world, "dora") == 50 * CREDIT + 777


def test_63_64_expired_and_not_yet_valid_on_forks_of_other_heights(world: World) -> None:
    fork = world.tip
    early = world.make.tx("anna", pay("bert", 1), nonce=0, first=0, last=25)
    late = world.make.tx("anna", pay("bert", 1), nonce=0, first=27, last=30)
    world.refuses(Rule.S1, world.next(late))
    world.accepts(world.next())
    world.refuses(Rule.S1, world.next(early))
    # On another branch, a block lower, it is valid still, and so is the other one higher up.
    first = world.make.block(fork, [early], miner="bert")
    second = world.make.block(first.id, miner="bert")
    assert [world.offer(block).verdict for block in (first, second)] == [Verdict.SIDE, Verdict.TIP]
    late = world.make.tx("anna", pay("bert", 1), nonce=1, first=27, last=30)
    world.accepts(world.next(late))


def claim(world: World, who: str, *, nonce: int, value: bytes = b"here", fee: int = 2_000_000) -> bytes:
    return world.make.tx(who, SetName(b"cam-1", value), nonce=nonce, fee=fee)


def test_65_a_name_of_somebody_else(world: World) -> None:
    world.refuses(Rule.S5, world.next(claim(world, "anna", nonce=0, fee=CREDIT)))  # the bytes cost, too
    world.refuses(Rule.S5, world.next(claim(world, "anna", nonce=0, value=b"")))
    world.accepts(world.next(claim(world, "anna", nonce=0, fee=CREDIT + 5)))
    world.refuses(Rule.S5, world.next(claim(world, "bert", nonce=0)))
    world.refuses(Rule.S5, world.next(claim(world, "bert", nonce=0, value=b"")))
    world.accepts(world.next(claim(world, "anna", nonce=1, value=b"there", fee=10)))
    assert world.store.names([b"cam-1"])[b"cam-1"].value == b"there"
    world.accepts(world.next(claim(world, "anna", nonce=2, value=b"", fee=10)))
    assert world.store.names([b"cam-1"]) == {}
    world.accepts(world.next(claim(world, "bert", nonce=0)))


def test_66_a_name_at_the_very_height_at_which_it_expires() -> None:
    world = World(simulated(NETWORK, maturity=2, name_life=3))
    world.accepts(world.next(claim(world, "anna", nonce=0)))
    expires = world.height + 3
    for _ in range(2):
        world.refuses(Rule.S5, world.next(claim(world, "bert", nonce=0)))
        world.accepts(world.next())
    assert world.height + 1 == expires
    # Its owner must claim it again, too.
    world.refuses(Rule.S5, world.next(claim(world, "anna", nonce=1, fee=10)))
    world.refuses(Rule.S5, world.next(claim(world, "anna", nonce=1, value=b"")))
    world.accepts(world.next(claim(world, "bert", nonce=0)))
    assert world.store.names([b"cam-1"])[b"cam-1"] == NameRow(b"cam-1", key_of("bert").key, b"here", expires + 3)
    world.goes_on()


def test_67_the_same_name_twice_in_a_block(world: World) -> None:
    world.refuses(Rule.S5, world.next(claim(world, "anna", nonce=0), claim(world, "bert", nonce=0)))


def test_67_the_same_name_twice_in_a_transaction_pays_for_each_claim(world: World) -> None:
    again = (SetName(b"cam-1", b"a"), SetName(b"cam-1", b""), SetName(b"cam-1", b"b"))
    world.refuses(Rule.S5, world.next(world.make.tx("anna", *again, nonce=0, fee=2 * CREDIT)))
    world.accepts(world.next(world.make.tx("anna", *again, nonce=0, fee=2 * CREDIT + 100)))
    assert world.store.names([b"cam-1"])[b"cam-1"].value == b"b"


def record(seq: int, text: bytes, signer: str = "mallory") -> list[bytes]:
    body = cbor.encode([seq, text])
    return [body, key_of(signer).sign(body)]


def two_records(evidence: bytes) -> bytes | None:
    """Convicts who signed two records of one seq: (key, body, signature, body, signature)."""
    try:
        key, a, a_signature, b, b_signature = cbor.decode(evidence)
        if cbor.decode(a)[0] != cbor.decode(b)[0] or a >= b:
            return None
    except (BadMessage, ValueError, TypeError, IndexError):
        return None
    return bytes(key) if verify(key, a, a_signature) and verify(key, b, b_signature) else None


def evidence(*records: list[bytes]) -> Evidence:
    return Evidence(cbor.encode([key_of("mallory").key, *[item for one in records for item in one]]))


@pytest.fixture
def court() -> World:
    return World(judge=two_records)


def test_68_the_same_evidence_twice(court: World) -> None:
    proof = evidence(record(1, b"a"), record(1, b"b"))
    court.refuses(Rule.S6, court.next(court.make.tx("anna", proof, proof, nonce=0)))
    txs = [court.make.tx(who, proof, nonce=0) for who in ("anna", "bert")]
    court.refuses(Rule.S6, court.next(*txs))
    court.accepts(court.next(txs[0]))
    court.refuses(Rule.S6, court.next(txs[1]))
    court.goes_on()


@pytest.mark.parametrize(
    "proof",
    [
        evidence(record(1, b"a"), record(1, b"a")), evidence(record(1, b"a"), record(2, b"b")),
        evidence(record(1, b"a"), record(1, b"b", "anna")), Evidence(b"\xff"),
    ],
    ids=["69 the same record", "70 of other seqs", "70 of another signer", "70 no evidence"],
)  # fmt: skip
def test_69_70_evidence_that_convicts_nobody(court: World, proof: Evidence) -> None:
    court.refuses(Rule.X9, court.next(court.make.tx("anna", proof, nonce=0)))
    court.goes_on()


def test_70_where_no_evidence_counts_there_is_none(world: World) -> None:
    proof = evidence(record(1, b"a"), record(1, b"b"))
    world.refuses(Rule.X9, world.next(world.make.tx("anna", proof, nonce=0)))


def test_71_a_transaction_that_is_valid_on_the_other_branch_only(world: World) -> None:
    fork = world.tip
    gift = world.make.tx("bert", pay("emil", 1_000_000), nonce=0)
    spent = world.make.tx("emil", pay("bert", 1), nonce=0)
    world.accepts(world.next(gift))
    world.accepts(world.next(spent))
    other = world.make.line(fork, 3, miner="bert")
    assert [world.offer(block).verdict for block in other] == [Verdict.SIDE, Verdict.SIDE, Verdict.TIP]
    world.refuses(Rule.S3, world.next(spent))


def test_72_who_pays_itself_loses_the_fee_only(world: World) -> None:
    world.accepts(world.next(world.make.tx("anna", pay("anna", 5_000_000), nonce=0, fee=321)))
    assert balance(world, "anna") == BALANCE - 321


def test_nobody_can_ever_have_more_than_a_number_holds() -> None:
    with pytest.raises(LocalError, match="2\\*\\*53"):
        Params(NETWORK, subsidy=2**35, halving=2**17)


def test_operations_of_a_refused_transaction_leave_nothing(world: World) -> None:
    digest = Anchor(bytes(32))
    tx = world.make.tx("anna", pay("carl", 1), digest, SetName(b"cam-1", b""), nonce=0, fee=2_000_000)
    world.refuses(Rule.S5, world.next(tx))
    assert world.store.anchors(bytes(32)) == []
    assert balance(world, "carl") == 0
