"""What chain-explorer computes and shows, over all that it may meet."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from apps.chain.cli.explorer.texts import big, credits_text, escaped, folded
from apps.chain.core.address import format_address
from apps.chain.core.explorer import refs
from apps.chain.core.explorer.accounts import history
from apps.chain.core.explorer.blocks import lines
from apps.chain.core.explorer.chain import Chain, Unknown
from apps.chain.core.explorer.decode import Decoded, decode
from apps.chain.core.explorer.stats import intervals
from apps.chain.core.explorer.supply import rewards, supply
from apps.chain.core.facts import decode_params, encode_params
from apps.chain.core.ledger import open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.params import simulated
from overlay.errors import BadMessage
from p2pnode.ui.render import columns_of
from tests.support.chains import Maker, key_of, pay

PARAMS = simulated(bytes(32), maturity=3)
MINERS = "anna", "bert", "cleo"


def _chain(miners: list[int], gaps: list[int]) -> Chain:
    """A block for each miner, with a payment of the one before where he has been credited."""
    store = MemoryStore()
    ledger, make, tip = open_ledger(store, PARAMS), Maker(PARAMS), PARAMS.genesis_id
    nonces = dict.fromkeys(MINERS, 0)
    for height, miner in enumerate(miners, 1):
        txs = []
        sender = MINERS[miners[height - 5]] if height > 5 else None
        if sender is not None:
            txs.append(make.tx(sender, pay(MINERS[miner], 1_000), nonce=nonces[sender], fee=10))
            nonces[sender] += 1
        block = make.block(tip, txs, miner=MINERS[miner], after_s=gaps[height % len(gaps)])
        ledger.accept_block(block, block.header.time * 1000)
        tip = block.id
    return Chain(store, PARAMS)


chains = st.builds(
    _chain, st.lists(st.integers(0, 2), min_size=1, max_size=16), st.lists(st.integers(1, 200), min_size=1, max_size=4)
)


@given(st.binary(max_size=64))
def test_no_character_of_a_stranger_moves_the_cursor_or_turns_the_direction(data: bytes) -> None:
    for char in escaped(data):
        assert char.isprintable()
        assert unicodedata.bidirectional(char) not in ("R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF")
        assert not unicodedata.combining(char)


@given(st.binary(max_size=32), st.binary(max_size=32))
def test_two_texts_that_differ_are_shown_differently(a: bytes, b: bytes) -> None:
    assert (escaped(a) == escaped(b)) == (a == b)


@given(st.text(max_size=80), st.integers(2, 40))
def test_folded_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    assert "".join(folded(text, width)) == text
    assert all(columns_of(line) <= width for line in folded(text, width))


@given(st.integers(-(1 << 53), 1 << 53))
def test_credits_are_read_back(units: int) -> None:
    whole, _, part = credits_text(abs(units)).replace(",", "").partition(".")
    assert int(whole) * 1_000_000 + int((part or "0").ljust(6, "0")) == abs(units)
    assert credits_text(units).startswith("-") == (units < 0)


@given(st.integers(0, 10**30))
def test_big_numbers_take_few_columns(number: int) -> None:
    assert len(big(number)) <= 8


@given(chains)
def test_the_sum_is_right_on_every_chain(chain: Chain) -> None:
    assert supply(chain, top=3).is_right


@given(st.integers(1, 50), st.integers(1, 300), st.integers(0, 10_000_000))
def test_rewards_are_summed_by_halvings(halving: int, height: int, subsidy: int) -> None:
    params = simulated(bytes(32), halving=halving, subsidy=subsidy)
    assert rewards(params, height) == sum(params.reward(at) for at in range(1, height + 1))


@given(chains, st.integers(-5, 4_000))
def test_a_time_finds_the_last_block_that_is_not_younger(chain: Chain, after_s: int) -> None:
    time = chain.active(0).time + after_s
    older = [row for row in chain.view.actives(0, chain.height) if row.time <= time]
    try:
        assert refs.block_at(chain, time).id == older[-1].id
    except Unknown:
        assert not older


@given(chains, st.sampled_from(MINERS), st.integers(1, 7))
def test_pages_of_a_history_are_the_history_and_make_the_balance(chain: Chain, name: str, limit: int) -> None:
    key = key_of(name).key
    entries, before = [], None
    while True:
        page = history(chain, key, before=before, limit=limit)
        assert len(page.rows) <= limit
        entries += page.rows
        if not page.more:
            break
        before = page.rows[-1].height, page.rows[-1].pos
    assert entries == history(chain, key, limit=1_000).rows
    account = chain.view.accounts([key]).get(key)
    assert sum(entry.change or 0 for entry in entries) == (account.balance if account else 0)


@given(chains, st.sampled_from([None, *MINERS]), st.integers(1, 7))
def test_pages_of_blocks_are_all_blocks(chain: Chain, name: str | None, limit: int) -> None:
    miner = None if name is None else key_of(name).key
    found, before = [], None
    while True:
        page = lines(chain, before=before, limit=limit, miner=miner)
        found += page.rows
        if not page.more:
            break
        before = page.rows[-1].active.height
    wanted = [row for row in chain.view.actives(0, chain.height) if miner in (None, row.miner)]
    assert [line.active for line in found] == wanted[::-1]


@given(chains)
def test_everything_is_found_by_four_characters_or_named_as_ambiguous(chain: Chain) -> None:
    for row in chain.view.actives(0, chain.height):
        same = [other for other in chain.view.actives(0, chain.height) if other.id.hex()[:5] == row.id.hex()[:5]]
        if len(same) == 1 and not row.id.hex()[:5].isdecimal():
            assert refs.find_block(chain, row.id.hex()[:5]).id == row.id
    for name in MINERS:
        key = key_of(name).key
        assert refs.find_account(chain, format_address(key, hrp="xs")) == key
        if chain.view.accounts([key]):
            assert refs.find_account(chain, format_address(key, hrp="xs")[:12]) == key
            assert refs.find_account(chain, key.hex()[:9]) == key


@given(st.lists(st.integers(1, 10_000), max_size=40))
def test_intervals_are_ordered(seconds: list[int]) -> None:
    found = intervals(seconds)
    if found is None:
        assert not seconds
    else:
        assert found.median <= found.p95 <= found.longest == max(seconds)
        assert min(seconds) <= found.mean <= found.longest


@given(st.binary(max_size=400))
def test_random_bytes_are_decoded_or_refused(raw: bytes) -> None:
    try:
        assert isinstance(decode(raw, None, lambda key, data, signature: True), Decoded)
    except BadMessage:
        pass


@given(st.binary(max_size=200))
def test_random_notes_are_refused(raw: bytes) -> None:
    try:
        decode_params(raw)
    except BadMessage:
        pass


@given(st.binary(min_size=32, max_size=32), st.integers(1, 1_000), st.integers(0, 1 << 40))
def test_a_note_says_which_chain_it_is(network: bytes, maturity: int, time: int) -> None:
    params = simulated(network, maturity=maturity, genesis_time=time)
    assert decode_params(encode_params(params)) == params
    assert decode_params(encode_params(params)).genesis_id == params.genesis_id
