"""Hostile transactions that break a rule by themselves: cases 34 to 53 (docs/protocol/chain.md)."""

from __future__ import annotations

import hashlib

import pytest

from apps.chain.core.limits import MAX_NUMBER, MAX_TX_BYTES
from apps.chain.core.operations import Evidence, Operation, Pay, SetName
from apps.chain.core.outcome import Verdict
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.tx import SIGNED, decode_tx, least_fee
from overlay.wire import cbor
from tests.support.chains import PARAMS, World, anchor, key_of, pay

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
SMALL_Y = (
    1, P - 1, 0,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
)  # fmt: skip
#: The points of order 1, 2, 4 and 8 in every encoding: y, y + p where it fits, and either sign.
SMALL_ORDER = sorted(
    {(y + k * P | sign << 255).to_bytes(32, "little") for y in SMALL_Y for k in (0, 1) for sign in (0, 1)
     if y + k * P < 2**255}
)  # fmt: skip


def refuses(world: World, rule: Rule, tx: bytes) -> None:
    """In a block, and by itself."""
    if rule is not Rule.X7:
        with pytest.raises(Invalid) as caught:
            decode_tx(tx, PARAMS.chain_id)
        assert caught.value.rule is rule
    world.refuses(rule, world.next(tx))


def signed_by(signer: str, body: bytes, *, domain: bytes = SIGNED) -> bytes:
    return cbor.encode([body, key_of(signer).sign(domain + body)])


def body_of(*operations: object, sender: bytes | None = None, version: int = 1, **fields: int) -> bytes:
    numbers = {"nonce": 0, "fee": 10_000, "first": 0, "last": 5_000} | fields
    items = [version, PARAMS.chain_id, key_of("anna").key if sender is None else sender, *numbers.values()]
    return cbor.encode([*items, list(operations)])


PAY = [0, bytes(32), 1, b""]


def test_34_a_transaction_of_another_chain(world: World) -> None:
    refuses(world, Rule.X3, world.make.tx("anna", pay("bert", 1), nonce=0, chain_id=b"12345678"))


@pytest.mark.parametrize("domain", [b"", b"p2pnode/tx/2\0", b"p2pnode/tx/1"])
def test_35_a_signature_over_another_domain(world: World, domain: bytes) -> None:
    refuses(world, Rule.X7, signed_by("anna", body_of(PAY), domain=domain))


def test_36_a_signature_by_another_key(world: World) -> None:
    refuses(world, Rule.X7, signed_by("bert", body_of(PAY)))


def test_a_known_id_does_not_vouch_for_another_signature(world: World) -> None:
    body = body_of(PAY)
    good, bad = (decode_tx(signed_by(who, body), PARAMS.chain_id) for who in ("anna", "bert"))
    assert good.txid == bad.txid
    outcome = world.offer(world.next(bad.raw), checked={good.leaf, good.txid}, known={good.raw: good})
    assert (outcome.verdict, outcome.rule) == (Verdict.INVALID, Rule.X7)
    # What was found good elsewhere is not checked again.
    forged = world.next(bad.raw, extra=b"x")
    assert world.offer(forged, checked={bad.leaf}).verdict is Verdict.TIP


def test_37_the_same_signature_plus_the_order_of_the_group(world: World) -> None:
    body, good = cbor.decode(signed_by("anna", body_of(PAY)))
    s = int.from_bytes(good[32:], "little") + L
    refuses(world, Rule.X7, cbor.encode([body, good[:32] + s.to_bytes(32, "little")]))
    world.accepts(world.next(cbor.encode([body, good])))


@pytest.mark.parametrize("key", SMALL_ORDER, ids=lambda key: key.hex()[:8] + key.hex()[-2:])
def test_38_a_sender_of_small_order(world: World, key: bytes) -> None:
    # R = identity and S = 0: some libraries accept that of such a key for any message.
    identity = (1).to_bytes(32, "little")
    for point in {identity, key}:
        refuses(world, Rule.X7, cbor.encode([body_of(PAY, sender=key), point + bytes(32)]))


def test_39_a_signature_that_begins_with_a_point_of_small_order(world: World) -> None:
    # It fits the equation: r = 0, so R is the identity and S = h a.
    body, key = body_of(PAY), key_of("anna")
    scalar = bytearray(hashlib.sha512(key.seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    point = (1).to_bytes(32, "little")
    h = int.from_bytes(hashlib.sha512(point + key.key + SIGNED + body).digest(), "little")
    s = h * int.from_bytes(scalar, "little") % L
    refuses(world, Rule.X7, cbor.encode([body, point + s.to_bytes(32, "little")]))
    for small in set(SMALL_ORDER) - {point}:
        refuses(world, Rule.X7, cbor.encode([body, small + s.to_bytes(32, "little")]))


@pytest.mark.parametrize("count", [0, 17], ids=["40 none", "41 too many"])
def test_40_41_a_number_of_operations_out_of_range(world: World, count: int) -> None:
    refuses(world, Rule.X4, world.make.tx("anna", *[pay("bert", 1)] * count, nonce=0))


@pytest.mark.parametrize(
    "operation",
    [
        [4, bytes(32)], [0, bytes(32), 1], [*PAY, 0], [0, bytes(31), 1, b""], [0, bytes(32), b"1", b""],
        [1, bytes(33), b""], [1, bytes(32), bytes(33)], [2, b"ab", b""], [2, b"a" * 33, b""],
        [2, b"abc", bytes(129)], [2, "abc", b""], [3, b""], [3, bytes(3_501)], [], [None], 7,
        [False, bytes(32), 1, b""],
    ],
    ids=str,
)  # fmt: skip
def test_42_an_operation_that_is_none(world: World, operation: object) -> None:
    refuses(world, Rule.X4, signed_by("anna", body_of(operation)))


@pytest.mark.parametrize("amount", [0, -1, MAX_NUMBER], ids=["43 zero", "44 negative", "45 too large"])
def test_43_44_45_an_amount_out_of_range(world: World, amount: int) -> None:
    refuses(world, Rule.X5, signed_by("anna", body_of([0, bytes(32), amount, b""])))


@pytest.mark.parametrize("fee", [0, -1, MAX_NUMBER])
def test_43_a_fee_out_of_range(world: World, fee: int) -> None:
    refuses(world, Rule.X5, signed_by("anna", body_of(PAY, fee=fee)))


def test_46_amounts_that_are_too_large_together(world: World) -> None:
    half = Pay(bytes(32), MAX_NUMBER // 2)
    refuses(world, Rule.X5, world.make.tx("anna", half, half, nonce=0))
    refuses(world, Rule.X5, world.make.tx("anna", Pay(bytes(32), MAX_NUMBER - 10_000), nonce=0))


def test_47_a_fee_below_the_floor(world: World) -> None:
    size = len(world.make.tx("anna", pay("bert", 1), nonce=0, fee=3))
    refuses(world, Rule.X8, world.make.tx("anna", pay("bert", 1), nonce=0, fee=least_fee(size) - 1))
    world.accepts(world.next(world.make.tx("anna", pay("bert", 1), nonce=0, fee=least_fee(size))))


def test_48_valid_from_later_than_until(world: World) -> None:
    refuses(world, Rule.X6, world.make.tx("anna", pay("bert", 1), nonce=0, first=26, last=25))


def test_49_valid_for_too_long(world: World) -> None:
    refuses(world, Rule.X6, world.make.tx("anna", pay("bert", 1), nonce=0, first=1, last=5_762))
    world.accepts(world.next(world.make.tx("anna", pay("bert", 1), nonce=0, first=1, last=5_761)))


def sized(size: int) -> bytes:
    more: list[Operation] = [anchor("x" * 31)] * 7
    spare = 3_500
    while True:
        tx = World(blocks=0).make.tx("anna", Evidence(bytes(spare)), *more, nonce=0)
        if len(tx) == size:
            return tx
        spare += size - len(tx)


def test_50_a_byte_more_than_4_kib(world: World) -> None:
    assert len(decode_tx(sized(MAX_TX_BYTES), PARAMS.chain_id).raw) == MAX_TX_BYTES
    refuses(world, Rule.X1, sized(MAX_TX_BYTES + 1))


def test_51_a_signed_body_in_another_encoding(world: World) -> None:
    body = body_of(PAY)
    assert body[:2] == b"\x88\x01"
    for other in (b"\x88\x18\x01" + body[2:], body + b"\0", b"\x9f" + body[1:] + b"\xff", b"\xc1" + body, b""):
        refuses(world, Rule.X1, signed_by("anna", other))


def test_51_a_transaction_with_the_wrong_items(world: World) -> None:
    body, signature = cbor.decode(signed_by("anna", body_of(PAY)))
    for items in ([body], [body, signature, b""], [body, signature[1:]], [body, 0], [signature], []):
        refuses(world, Rule.X1, cbor.encode(items))
    for fields in (
        [1, PARAMS.chain_id, bytes(32), 0, 1, 0, 1], [1, bytes(7), bytes(32), 0, 1, 0, 1, []],
        [1, PARAMS.chain_id, bytes(31), 0, 1, 0, 1, []], [1, PARAMS.chain_id, bytes(32), -1, 1, 0, 1, []],
        [1, PARAMS.chain_id, bytes(32), 0, b"1", 0, 1, []], [1, PARAMS.chain_id, bytes(32), 0, 1, 0, 1, b""],
        [1, PARAMS.chain_id, bytes(32), MAX_NUMBER, 1, 0, 1, []],
    ):  # fmt: skip
        refuses(world, Rule.X1, signed_by("anna", cbor.encode(fields)))
    refuses(world, Rule.X2, signed_by("anna", body_of(PAY, version=2)))


def test_52_a_memo_of_33_bytes(world: World) -> None:
    refuses(world, Rule.X4, world.make.tx("anna", pay("bert", 1, memo=bytes(33)), nonce=0))
    world.accepts(world.next(world.make.tx("anna", pay("bert", 1, memo=bytes(32)), nonce=0)))


@pytest.mark.parametrize("name", [b"Abc", b"ab_c", b"ab c", b"ab.c", "äbc".encode(), b"abc\n", b"\xff\xff\xff"])
def test_53_a_name_of_other_characters(world: World, name: bytes) -> None:
    refuses(world, Rule.X10, world.make.tx("anna", SetName(name, b"value"), nonce=0, fee=2_000_000))
