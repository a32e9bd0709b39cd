"""Ids, addresses and proof of work by fixed examples."""

from __future__ import annotations

import hashlib

import attrs
import pytest

from apps.chain.core import bech32m, work
from apps.chain.core.address import ADDRESS_CHARS, format_address, parse_address
from apps.chain.core.header import Header, decode_header, encode_header, id_of, prefix_of
from apps.chain.core.params import Params, simulated
from apps.chain.core.rules import TEXTS, Rule
from apps.chain.core.work import Pow
from overlay.errors import LocalError

# BIP 350, "Test vectors for Bech32m".
VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
WRONG = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]


@pytest.mark.parametrize("text", VALID)
def test_the_valid_texts_of_bip_350(text: str) -> None:
    hrp, values = bech32m.decode(text)
    assert bech32m.encode(hrp, values) == text.lower()


@pytest.mark.parametrize("text", WRONG)
def test_the_wrong_texts_of_bip_350(text: str) -> None:
    with pytest.raises(LocalError):
        bech32m.decode(text)


def test_an_address_is_read_back_and_belongs_to_one_sort_of_network() -> None:
    key = hashlib.sha256(b"key").digest()
    text = format_address(key)
    assert len(text) == ADDRESS_CHARS
    assert text.startswith("xn1q")
    assert parse_address(text) == parse_address(text.upper()) == key
    with pytest.raises(LocalError, match="another sort of network"):
        parse_address(text, hrp="xs")
    with pytest.raises(LocalError, match="mistyped"):
        parse_address(text[:-1] + ("q" if text[-1] != "q" else "p"))
    with pytest.raises(LocalError, match="version"):
        parse_address(bech32m.encode("xn", [1, *bech32m.to_values(key)]))
    with pytest.raises(LocalError, match="31 bytes"):
        parse_address(bech32m.encode("xn", [0, *bech32m.to_values(key[:31])]))


def test_the_bytes_of_a_header() -> None:
    header = Header(
        18_204, b"p" * 32, b"r" * 32, 14, 1_767_225_600, 36_412, b"m" * 32, extra=b"lab", nonce=b"\0\0\0\0\0\0\1\2"
    )
    raw = encode_header(header)
    assert raw.hex() == (
        "8a0119471c5820" + "70" * 32 + "5820" + "72" * 32 + "0e1a6955b900198e3c5820" + "6d" * 32 + "436c6162"
        "480000000000000102"
    )
    assert decode_header(raw) == header
    assert id_of(raw) == hashlib.sha256(b"p2pnode/hdr/1\0" + raw).digest()
    assert prefix_of(header) + header.nonce == raw


def test_scrypt_is_that_of_rfc_7914_with_these_numbers() -> None:
    expected = hashlib.scrypt(b"header", salt=b"p2pnode/pow/1", n=256, r=8, p=1, maxmem=1 << 24, dklen=32)
    assert work.scrypt(b"header") == expected
    assert work.sha256d(b"abc").hex() == "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358"


def test_a_hash_at_the_target_is_not_worth_it_and_one_below_is() -> None:
    assert not work.is_worth((2**248).to_bytes(32, "big"), 256)
    assert work.is_worth((2**248 - 1).to_bytes(32, "big"), 256)
    assert not work.is_worth(b"\xff" * 32, 2)
    assert work.is_worth(b"\xff" * 32, 1)


@pytest.mark.parametrize("pow", Pow)
def test_a_found_nonce_is_worth_its_difficulty(pow: Pow) -> None:
    header = Header(1, bytes(32), bytes(32), 0, 1, 50, bytes(32))
    raw = work.search(prefix_of(header), 50, pow, start=0, tries=2_000)
    assert raw is not None
    assert work.is_worth(work.POW[pow](raw), 50)
    assert attrs.evolve(decode_header(raw), nonce=bytes(8)) == header
    assert work.search(prefix_of(header), 2**63, pow, start=0, tries=20) is None


def test_every_network_and_every_change_of_a_rule_is_another_chain() -> None:
    others = [
        Params(b"n" * 32), Params(b"m" * 32), Params(b"n" * 32, pow=Pow.SHA256D), Params(b"n" * 32, target_s=5),
        Params(b"n" * 32, least_difficulty=7_000), Params(b"n" * 32, subsidy=1), simulated(b"n" * 32),
    ]  # fmt: skip
    assert len({params.chain_id for params in others}) == len(others)
    same = Params(b"n" * 32, assume_valid=(5, bytes(32)), hrp="xs")
    assert (same.chain_id, same.genesis_id) == (others[0].chain_id, others[0].genesis_id)


def test_a_reward_is_halved_and_the_first_block_has_none() -> None:
    params = Params(b"n" * 32)
    assert [params.reward(h) for h in (0, 1, 209_999, 210_000, 420_000)] == [
        0, 50_000_000, 50_000_000, 25_000_000, 12_500_000,
    ]  # fmt: skip
    assert params.reward(210_000 * 64) == 0


def test_every_rule_has_its_text() -> None:
    assert set(TEXTS) == set(Rule)
