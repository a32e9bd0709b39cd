"""An account: what it has, what it waits for, and what happened to it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core.explorer.chain import Chain, Page, page_of
from apps.chain.core.explorer.txs import change_of
from apps.chain.core.rows import Account, NameRow
from apps.chain.core.tx import Tx

#: Position of the reward in the list of what a block does: after its transactions.
REWARD_POS = 1 << 32


@attrs.frozen(slots=True)
class Facts:
    account: Account
    #: That it has now.
    names: Sequence[NameRow]
    #: Units of rewards and fees of its blocks that are not credited yet.
    immature: int
    #: Transactions that it sent or was paid by, and the heights of the first and the last; 0 without any.
    txs: int
    first: int
    last: int
    #: Height of the tip that this is the state of.
    tip: int


def facts(chain: Chain, key: bytes) -> Facts:
    tip = chain.height
    account = chain.view.accounts([key]).get(key, Account(key, 0, 0))
    names = [row for row in chain.view.owned([key]) if row.expires > tip]
    unripe = max(tip - chain.params.maturity + 1, 1)
    blocks = [block for block in chain.view.actives(unripe, tip) if block.miner == key]
    immature = sum(chain.params.reward(block.height) + block.fees for block in blocks)
    return Facts(account, names, immature, *chain.view.touched(key), tip)


@attrs.frozen(slots=True)
class Entry:
    """A line of its history."""

    height: int
    #: Position in the block; REWARD_POS for what is credited after the transactions.
    pos: int
    #: Seconds since 1970, of the block.
    time: int
    #: Units that it gained, below zero for what it spent; None if the block is not here any more.
    change: int | None
    #: None for a reward, and if the block is not here any more.
    tx: Tx | None
    #: Height of the block that it was rewarded for.
    mined: int | None = attrs.field(default=None, kw_only=True)


def history(chain: Chain, key: bytes, *, before: tuple[int, int] | None = None, limit: int) -> Page[Entry]:
    """Newest first, only those below the height and position `before`."""
    end = before or (chain.height + 1, 0)
    touched = [(touch.height, touch.pos) for touch in chain.view.touches(key, before=end, limit=limit + 1)]
    maturity = chain.params.maturity
    # One more than is asked for: the reward of the height `before` itself may lie above it.
    mined = chain.view.mined(key, before=max(end[0] - maturity + 1, 0), limit=limit + 2)
    rewards = [(height + maturity, REWARD_POS) for height in mined if height]
    places = page_of(sorted((at for at in touched + rewards if at < end), reverse=True)[: limit + 1], limit)
    txs = chain.txs_at([at for at in places.rows if at[1] != REWARD_POS])
    return Page([_entry(chain, key, at, txs.get(at)) for at in places.rows], places.more)


def _entry(chain: Chain, key: bytes, at: tuple[int, int], tx: Tx | None) -> Entry:
    height, pos = at
    active = chain.active(height)
    if pos != REWARD_POS:
        return Entry(height, pos, active.time, None if tx is None else change_of(tx, key), tx)
    mined = height - chain.params.maturity
    gained = chain.params.reward(mined) + chain.active(mined).fees
    return Entry(height, pos, active.time, gained, None, mined=mined)
