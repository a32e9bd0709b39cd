"""A data folder with a chain of any length, made fast: `python -m tests.support.chain_folder FOLDER BLOCKS`.

Real blocks through the real ledger: `chain-explorer verify` finds nothing. Only signatures are not checked again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from apps.chain.core.block import Block
from apps.chain.core.ledger import Ledger
from apps.chain.core.operations import SetName
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import Params
from apps.chain.shell.opening import open_chain
from apps.chain.shell.schema import FILE_NAME
from tests.support.chains import PARAMS, Maker, anchor, key_of, pay

#: Blocks of one transaction.
_AT_ONCE = 256
MINERS = "cam-1", "cam-2", "edge-3"
USERS = "anna", "bert", "cleo", "dora", "emil"


class Everything:
    """A container of all: for a ledger whose signatures are known to be good."""

    def __contains__(self, item: object) -> bool:
        return True


def accept_all(ledger: Ledger, blocks: Sequence[Block]) -> None:
    """Each becomes the tip."""
    now_ms = 1000 * blocks[-1].header.time
    for outcome in ledger.accept_blocks(blocks, now_ms, checked=Everything()):
        assert outcome.verdict is Verdict.TIP, outcome


@attrs.define(slots=True, eq=False)
class Traffic:
    """Blocks on one another: every `every`-th has `txs` transactions, which pay, anchor, and claim a name now and then.

    The same blocks for the same numbers."""

    make: Maker
    #: The block to begin on.
    parent: bytes
    every: int = 10
    txs: int = 2
    #: Transactions that each sender has made.
    _nonces: dict[str, int] = attrs.Factory(dict)
    _height: int = 0

    def blocks(self, count: int) -> Iterator[Block]:
        for _ in range(count):
            self._height += 1
            miner = MINERS[self._height % len(MINERS)]
            block = self.make.block(self.parent, self._txs(), miner=miner)
            self.parent = block.id
            yield block

    def _txs(self) -> list[bytes]:
        # Each miner has been credited by then.
        if self._height <= self.make.params.maturity + len(MINERS) or self._height % self.every:
            return []
        return [self._tx(number) for number in range(self.txs)]

    def _tx(self, number: int) -> bytes:
        height = self._height
        sender = MINERS[(height // self.every + number) % len(MINERS)]
        nonce = self._nonces[sender] = self._nonces.get(sender, -1) + 1
        to = USERS[nonce % len(USERS)]
        fee = 100 + nonce % 7
        match nonce % 4:
            case 0:
                operations = [anchor(f"{height}/{number}"), pay(to, 1 + nonce, memo=b"relay")]
            case 1 if nonce % 40 == 1:
                operations, fee = [SetName(f"{sender}-{nonce % 400}".encode(), b"value")], 1_000_000 + fee
            case _:
                operations = [pay(to, 1_000 + nonce)]
        return self.make.tx(sender, *operations, nonce=nonce, fee=fee, first=height, last=height + 100)


def write_chain(folder: Path, blocks: int, *, params: Params = PARAMS, every: int = 10, txs: int = 2) -> Path:
    """A new chain with so many blocks above the first one, in `folder`; the path of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    chain = open_chain(folder / FILE_NAME, params)
    store, ledger = chain.store, chain.ledger
    store.sync_each(blocks)
    traffic = Traffic(Maker(params), ledger.tip.id, every, txs)
    for start in range(0, blocks, _AT_ONCE):
        accept_all(ledger, list(traffic.blocks(min(_AT_ONCE, blocks - start))))
    store.close()
    return store.path


if __name__ == "__main__":
    started = time.perf_counter()
    made = write_chain(Path(sys.argv[1]), int(sys.argv[2]))
    print(f"{made}: {made.stat().st_size} bytes, {time.perf_counter() - started:.1f} s, miners:")
    for name in (*MINERS, *USERS):
        print(name, key_of(name).key.hex())
