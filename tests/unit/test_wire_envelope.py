"""Envelopes: six items, one network, and a size that fits everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Context, Network
from overlay.limits import MAX_PLAIN_DATAGRAM, SEAL_OVERHEAD
from overlay.wire import cbor, cose
from overlay.wire import messages as m
from overlay.wire.decode import decode_body
from overlay.wire.envelope import Envelope, check_envelope, decode_envelope, encode_envelope, peek_envelope
from overlay.wire.padding import padded_body
from overlay.wire.registry import Kind
from overlay.wire.seal import open_sealed, seal

PAIR = KeyPair.from_seed(bytes(range(32)))
NETWORK = Network.default()
NOW_MS = 1_767_225_600_000
TOKEN = b"T" * 8


def encode(message: m.Message, *, token: bytes | None = TOKEN, body: list[Any] | None = None) -> bytes:
    body = message.encode_body() if body is None else body
    return encode_envelope(PAIR, NETWORK, message.KIND, b"R" * 8, NOW_MS, b"O" * 8, token, body)


def signed(items: list[Any]) -> bytes:
    return cose.sign1(PAIR, NETWORK.aad(Context.DGRAM), cbor.encode(items))


def test_an_envelope_is_read_back() -> None:
    data = encode_envelope(PAIR, NETWORK, Kind.PING, b"R" * 8, NOW_MS, None, TOKEN, [b"pad"])

    assert decode_envelope(data, NETWORK, verify) == Envelope(
        PAIR.key, Kind.PING, b"R" * 8, NOW_MS, None, TOKEN, [b"pad"]
    )


def test_peeking_checks_the_form_and_not_the_signature() -> None:
    data = encode(m.Ping())
    forged = data[:-1] + bytes([data[-1] ^ 1])

    assert peek_envelope(forged) == peek_envelope(data)
    with pytest.raises(BadMessage, match="signature"):
        check_envelope(forged, NETWORK, verify)


def test_a_message_of_another_network_is_not_signed_here() -> None:
    with pytest.raises(BadMessage, match="signature"):
        decode_envelope(encode(m.Ping()), Network("other"), verify)


def test_a_record_cannot_pass_as_a_datagram() -> None:
    items = [1, bytes(8), 0, None, None, []]
    record = cose.sign1(PAIR, NETWORK.aad(Context.RECORD), cbor.encode(items))

    with pytest.raises(BadMessage, match="signature"):
        decode_envelope(record, NETWORK, verify)


def test_an_unknown_kind_is_none() -> None:
    assert decode_envelope(signed([999, bytes(8), 0, None, None, [1]]), NETWORK, verify).kind is None


GOOD = [1, bytes(8), 0, None, None, []]


@pytest.mark.parametrize(
    "items",
    [
        GOOD[:5],
        [*GOOD, None],
        ["1", *GOOD[1:]],
        [-1, *GOOD[1:]],
        [65_536, *GOOD[1:]],
        [True, *GOOD[1:]],
        [1, bytes(7), *GOOD[2:]],
        [1, None, *GOOD[2:]],
        [*GOOD[:2], -1, *GOOD[3:]],
        [*GOOD[:2], None, *GOOD[3:]],
        [*GOOD[:3], bytes(9), None, []],
        [*GOOD[:3], 0, None, []],
        [*GOOD[:4], bytes(7), []],
        [*GOOD[:4], "token678", []],
        [*GOOD[:5], None],
        [*GOOD[:5], {}],
    ],
)
def test_an_envelope_of_another_shape_is_refused(items: list[Any]) -> None:
    assert decode_envelope(signed(GOOD), NETWORK, verify)
    with pytest.raises(BadMessage):
        decode_envelope(signed(items), NETWORK, verify)


def test_a_payload_that_is_no_array_is_refused() -> None:
    with pytest.raises(BadMessage, match="six items"):
        decode_envelope(cose.sign1(PAIR, NETWORK.aad(Context.DGRAM), b"\x01"), NETWORK, verify)


def test_what_does_not_fit_is_not_sent_and_not_read() -> None:
    with pytest.raises(LocalError, match="does not fit"):
        encode(m.Leave(), body=[bytes(1100)])
    with pytest.raises(BadMessage, match="too large"):
        peek_envelope(signed([*GOOD[:5], [bytes(1100)]]))


#: The largest message of each kind.
V6_CONTACT = PAIR.key + bytes(18)
LARGEST: list[m.Message] = [
    m.Keys(TOKEN, bytes(32 * 32)),
    m.Pong(TOKEN, bytes(18), 2),
    m.Nodes(TOKEN, 2, b"", V6_CONTACT * 20),
    m.Value(TOKEN, 2, bytes(1000), 86_400),
    m.Store(2, bytes(1000), 86_400, cas=2**64 - 1),
    m.Stored(m.StoreStatus.CAS_MISMATCH, seq=2**64 - 1),
    m.Provide(bytes(32), bytes(164)),
    m.Providers(TOKEN, ((bytes(164), bytes(18)),) * 5, next=bytes(8)),
    m.AppRequest("x" * 32, bytes(900)),
    m.AppReply(m.AppStatus.FAILED, body=bytes(900)),
    m.DialBack(address=bytes(18)),
]


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: message.KIND.name)
def test_the_largest_message_of_each_kind_fits(message: m.Message) -> None:
    assert len(encode(message)) <= MAX_PLAIN_DATAGRAM


PADDED = [(m.Ping(), 360), (m.FindNode(bytes(32), 3), 1192), (m.FindValue(bytes(32), 1), 1192)]
PADDED += [(m.FindProviders(bytes(32)), 1192), (m.FindKeys(bytes(32), 9, after=bytes(32)), 1192)]
PADDED += [(m.DialBack(), 360), (m.AppRequest("chat", b"hello"), 360)]


@pytest.mark.parametrize(("message", "size"), PADDED, ids=lambda x: getattr(x, "KIND", x))
@pytest.mark.parametrize("to", [None, b"O" * 8])
def test_a_padded_request_has_exactly_its_size(message: m.Message, size: int, to: bytes | None) -> None:
    for stamp in (2**32, NOW_MS, 2**64 - 1):
        body = padded_body(message, to)
        data = encode_envelope(PAIR, NETWORK, message.KIND, b"R" * 8, stamp, to, None, body)

        assert len(data) == size
        assert peek_envelope(data).body[:-1] == message.encode_body()
        assert decode_body(message.KIND, peek_envelope(data).body)


def test_with_a_small_stamp_it_is_shorter_and_never_longer() -> None:
    data = encode_envelope(PAIR, NETWORK, Kind.PING, b"R" * 8, 0, None, None, padded_body(m.Ping(), None))

    assert len(data) == 360 - 8


def test_other_kinds_are_not_padded() -> None:
    assert padded_body(m.Leave(), None) == []
    assert padded_body(m.Retry(TOKEN), None) == [TOKEN]


def test_what_is_longer_already_stays_as_it_is() -> None:
    assert padded_body(m.AppRequest("chat", bytes(900)), None) == ["chat", bytes(900)]


def test_a_pong_is_never_longer_than_the_ping_that_asked_for_it() -> None:
    assert len(encode(m.Pong(TOKEN, bytes(18), 2))) <= 360


def test_a_retry_is_never_longer_than_any_request_that_needs_a_token() -> None:
    retry = len(encode(m.Retry(TOKEN), token=None))

    requests: list[m.Message] = [m.Ping(), m.FindNode(bytes(32), 3), m.FindValue(bytes(32), 1)]
    requests += [m.FindProviders(bytes(32)), m.FindKeys(bytes(32), 0), m.AppRequest("x", b""), m.DialBack()]
    requests += [m.Store(1, b"", 0), m.Provide(bytes(32), bytes(164))]
    for request in requests:
        assert len(encode(request, token=None, body=padded_body(request, b"O" * 8))) >= retry


def test_a_sealed_datagram_is_read_back() -> None:
    key, plain = bytes(range(32)), encode(m.Ping())
    sealed = seal(key, plain, lambda n: bytes(n))

    assert len(sealed) == len(plain) + SEAL_OVERHEAD
    assert PAIR.key not in sealed
    assert open_sealed(key, sealed) == plain


def test_what_was_not_sealed_by_a_member_is_refused() -> None:
    key = bytes(range(32))
    sealed = seal(key, b"plain", lambda n: bytes(n))

    for data in (b"", sealed[:39], bytes(1233), bytes(100), sealed[:-1], b"\x01" + sealed[1:], sealed + b"\x00"):
        with pytest.raises(BadMessage, match="sealed"):
            open_sealed(key, data)
    with pytest.raises(BadMessage, match="key of this network"):
        open_sealed(bytes(32), sealed)
