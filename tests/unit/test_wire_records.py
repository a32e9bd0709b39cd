"""Signed objects: what is signed, what is refused, which one wins."""

from __future__ import annotations

import hashlib
from itertools import permutations
from typing import Any

import pytest

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Context, Network
from overlay.identity.node_id import node_id_of
from overlay.wire import cbor, cose
from overlay.wire.records import (
    SignedRecord,
    blob_key,
    decode_provider,
    decode_record,
    encode_provider,
    encode_record,
    newer,
    signed_key,
)

PAIR = KeyPair.from_seed(bytes(range(32)))
NETWORK = Network.default()
KEY = bytes(32)


def record(*, seq: int = 5, value: bytes = b"v", expires_ms: int = 1000) -> SignedRecord:
    return decode_record(encode_record(PAIR, NETWORK, b"salt", seq, expires_ms, value), NETWORK, verify)


def signed(context: Context, items: Any) -> bytes:
    return cose.sign1(PAIR, NETWORK.aad(context), cbor.encode(items))


def test_keys_are_labelled_hashes() -> None:
    author_id = node_id_of(PAIR.key)

    assert blob_key(b"v") == hashlib.sha256(b"p2pnode/blob/1v").digest()
    assert signed_key(author_id, b"salt") == hashlib.sha256(b"p2pnode/signed/1" + author_id + b"salt").digest()
    assert record().key == signed_key(author_id, b"salt")
    assert record().author_id == author_id


def test_a_record_is_read_back() -> None:
    raw = encode_record(PAIR, NETWORK, b"s", 2**64 - 1, 7, b"value")

    assert decode_record(raw, NETWORK, verify) == SignedRecord(PAIR.key, b"s", 2**64 - 1, 7, b"value", raw)


def test_the_largest_record_has_1000_bytes() -> None:
    raw = encode_record(PAIR, NETWORK, bytes(32), 2**64 - 1, 2**64 - 1, bytes(832))

    assert len(raw) == 1000
    assert decode_record(raw, NETWORK, verify).value == bytes(832)


def test_what_is_too_large_is_not_signed() -> None:
    with pytest.raises(LocalError, match="33"):
        encode_record(PAIR, NETWORK, bytes(33), 1, 1, b"")
    with pytest.raises(LocalError, match="833"):
        encode_record(PAIR, NETWORK, b"", 1, 1, bytes(833))
    with pytest.raises(LocalError, match="32 bytes"):
        encode_provider(PAIR, NETWORK, bytes(31), 1, 1)


@pytest.mark.parametrize(
    "items",
    [
        [b"s", 1, 1],
        [b"s", 1, 1, b"v", None],
        [b"s", -1, 1, b"v"],
        [b"s", 1, -1, b"v"],
        [b"s", True, 1, b"v"],
        ["s", 1, 1, b"v"],
        [b"s", 1, 1, "v"],
        [bytes(33), 1, 1, b"v"],
        [b"s", 1, 1, bytes(833)],
        {},
        7,
    ],
)
def test_a_record_of_another_shape_is_refused(items: Any) -> None:
    with pytest.raises(BadMessage):
        decode_record(signed(Context.RECORD, items), NETWORK, verify)


def test_a_record_of_more_than_1000_bytes_is_refused() -> None:
    with pytest.raises(BadMessage, match="at most 1000"):
        decode_record(signed(Context.RECORD, [b"", 1, 1, bytes(900)]), NETWORK, verify)


def test_a_record_of_another_context_or_network_is_refused() -> None:
    for raw, network in (
        (signed(Context.PUBLISH, [b"s", 1, 1, b"v"]), NETWORK),
        (record().raw, Network("other")),
    ):
        with pytest.raises(BadMessage, match="signature"):
            decode_record(raw, network, verify)


def test_a_provider_is_read_back() -> None:
    raw = encode_provider(PAIR, NETWORK, KEY, 3, 4)
    provider = decode_provider(raw, NETWORK, verify)

    assert (provider.provider, provider.key, provider.seq, provider.expires_ms) == (PAIR.key, KEY, 3, 4)
    assert provider.raw == raw
    assert len(encode_provider(PAIR, NETWORK, KEY, 2**64 - 1, 2**64 - 1)) == 164


@pytest.mark.parametrize("items", [[KEY, 1], [KEY, 1, 1, 1], [KEY[1:], 1, 1], [KEY, -1, 1], [KEY, 1, None], []])
def test_a_provider_of_another_shape_is_refused(items: list[Any]) -> None:
    with pytest.raises(BadMessage):
        decode_provider(signed(Context.PROVIDER, items), NETWORK, verify)


def test_the_larger_seq_wins() -> None:
    assert newer(record(seq=6, value=b"a", expires_ms=1), record(seq=5, value=b"b", expires_ms=9))
    assert not newer(record(seq=5), record(seq=6))


def test_of_two_values_with_one_seq_the_smaller_hash_wins() -> None:
    a, b = sorted((record(value=b"a"), record(value=b"b")), key=lambda r: hashlib.sha256(r.value).digest())

    assert newer(a, b)
    assert not newer(b, a)


def test_a_value_that_is_signed_again_lives_longer() -> None:
    assert newer(record(expires_ms=2), record(expires_ms=1))
    assert not newer(record(expires_ms=1), record(expires_ms=2))
    assert not newer(record(), record())


def test_holders_agree_whatever_the_order_of_arrival() -> None:
    records = [record(seq=s, value=v, expires_ms=e) for s in (1, 2) for v in (b"a", b"b") for e in (1, 2)]
    winners = set()
    for order in permutations(records, 4):
        rest = [r for r in records if r not in order]
        held = None
        for arrival in (*order, *rest):
            if held is None or newer(arrival, held):
                held = arrival
        winners.add(held)

    assert len(winners) == 1
