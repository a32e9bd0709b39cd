"""Goes from branch to branch: blocks on the tip of a chain, and longer branches from below it."""

from __future__ import annotations

import random

from apps.chain.core.block import Block, decode_block, decode_txs
from apps.chain.core.store import View
from tests.support.chain_folder import USERS
from tests.support.chains import QUICK, Maker, key_of, pay

#: Nobody can pay before, and no branch begins.
FIRST_BLOCKS = 30


def now_ms(block: Block) -> int:
    return 1000 * block.header.time


class Wanderer:
    """Makes the tip, and longer branches from a few blocks below it, with payments that fit each branch."""

    def __init__(self, view: View, chance: random.Random) -> None:
        self.view = view
        self.chance = chance
        self.make = Maker(QUICK)

    def blocks(self) -> list[Block]:
        """So many that the last becomes the tip."""
        view = self.view
        row = view.header(view.tip().id)
        accounts = view.accounts([key_of(name).key for name in USERS])
        nonces = {key: account.nonce for key, account in accounts.items()}
        back = max(0, min(self.chance.randrange(4), view.tip().height - FIRST_BLOCKS))
        for _ in range(back):
            assert row is not None
            raw = view.block(row.id)
            assert raw is not None
            for tx in reversed(decode_txs(decode_block(raw).txs, QUICK.chain_id)):
                nonces[tx.sender] = tx.nonce
            row = view.header(row.parent)
        assert row is not None
        self.make.know(row)
        made: list[Block] = []
        for _ in range(back + 1):
            parent = made[-1].id if made else row.id
            height = row.height + len(made) + 1
            senders = [name for name in USERS if self.chance.random() < 0.6] if height > FIRST_BLOCKS else []
            txs = [self._tx(name, nonces, height) for name in senders]
            # Of one work each, so that one block more is more work.
            made.append(self.make.block(parent, txs, miner=USERS[height % len(USERS)]))
        return made

    def _tx(self, name: str, nonces: dict[bytes, int], height: int) -> bytes:
        key = key_of(name).key
        nonce = nonces.get(key, 0)
        nonces[key] = nonce + 1
        to = self.chance.choice((*USERS, f"new-{height}-{self.chance.randrange(1000)}"))
        return self.make.tx(name, pay(to, 1), nonce=nonce, fee=100, first=height, last=height + 9)
