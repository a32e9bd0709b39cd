"""How many credits there are, who has them, and whether the sum is right."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core.explorer.chain import Chain
from apps.chain.core.params import Params
from apps.chain.core.rows import Account, Totals


@attrs.frozen(slots=True)
class Supply:
    tip: int
    totals: Totals
    #: Units that were credited as rewards, without fees.
    issued: int
    #: Units of rewards and of fees that are not credited yet.
    immature_rewards: int
    immature_fees: int
    richest: Sequence[Account]

    @property
    def is_right(self) -> bool:
        """What accounts have, and the fees that they paid and no miner has yet, is what was issued."""
        return self.totals.balances + self.immature_fees == self.issued


def supply(chain: Chain, *, top: int) -> Supply:
    tip, maturity = chain.height, chain.params.maturity
    unripe = max(tip - maturity + 1, 0)
    return Supply(
        tip, chain.view.totals(),
        issued=rewards(chain.params, unripe - 1),
        immature_rewards=rewards(chain.params, tip) - rewards(chain.params, unripe - 1),
        immature_fees=sum(row.fees for row in chain.view.actives(unripe, tip)),
        richest=chain.view.richest(limit=top),
    )


def rewards(params: Params, height: int) -> int:
    """Units for all blocks up to this height, without fees: halving by halving, not block by block."""
    total, first = 0, 1
    while first <= height:
        last = min(height, (first // params.halving + 1) * params.halving - 1)
        reward = params.reward(first)
        if not reward:
            break
        total += (last - first + 1) * reward
        first = last + 1
    return total
