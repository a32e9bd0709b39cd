"""The chain on its disk: what a sync, a full block and a change of branch take with sqlite3 beneath the ledger.

Each figure is wall time; that of the processor alone stands beside it, for machines that others use, too.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from apps.chain.core import compact
from apps.chain.core.admission import Entry
from apps.chain.core.block import Block
from apps.chain.core.limits import MAX_CONNECTED_AT_ONCE
from apps.chain.core.outcome import Verdict
from apps.chain.core.pool import Pool
from apps.chain.shell.opening import Chain, open_chain
from apps.chain.shell.schema import FILE_NAME
from tests.benchmarks.harness import Row, Run, at_least, at_most, main, median, rounded
from tests.support.chain_folder import Traffic, accept_all
from tests.support.chains import QUICK, Maker, key_of, pay

MODULE = "tests.benchmarks.chain_store"
#: Blocks whose rate is told.
WINDOW = 32 * MAX_CONNECTED_AT_ONCE
SENDERS = 64
FULL_BLOCKS = 20
TXS = 1_000
BRANCH = 100


@attrs.define
class Clock:
    """Seconds of work, by the wall and by the processor."""

    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


@contextmanager
def new_chain() -> Iterator[Chain]:
    with tempfile.TemporaryDirectory(prefix="chain-bench-") as folder:
        chain = open_chain(Path(folder) / FILE_NAME, QUICK)
        yield chain
        chain.store.close()


def now_ms(block: Block) -> int:
    return 1000 * block.header.time


def _sync(args: argparse.Namespace) -> Run:
    """Empty blocks, as many in a transaction as a node takes that catches up; making them does not count."""
    with new_chain() as chain:
        blocks = Traffic(Maker(QUICK), QUICK.genesis_id, every=args.blocks + 1).blocks(args.blocks)
        windows = []
        for _ in range(args.blocks // WINDOW):
            clock = Clock()
            for _ in range(WINDOW // MAX_CONNECTED_AT_ONCE):
                some = list(itertools.islice(blocks, MAX_CONNECTED_AT_ONCE))
                with clock.running():
                    accept_all(chain.ledger, some)
            windows.append((rounded(WINDOW / clock.wall), rounded(WINDOW / clock.cpu)))
        size = chain.store.path.stat().st_size / chain.ledger.tip.height
    low, high = windows[:3], windows[-3:]
    return {
        "wall_low": statistics.median(wall for wall, _ in low), "cpu_low": statistics.median(cpu for _, cpu in low),
        "wall_high": statistics.median(wall for wall, _ in high), "cpu_high": statistics.median(cpu for _, cpu in high),
        "bytes": rounded(size), "windows": windows,
    }  # fmt: skip


def _rich(chain: Chain) -> Maker:
    """The senders can pay, a block each."""
    make = Maker(QUICK)
    make.know(chain.ledger.tip)
    for number in range(SENDERS + QUICK.maturity + 1):
        block = make.block(chain.ledger.tip.id, miner=_sender(number % SENDERS))
        accept_all(chain.ledger, [block])
    return make


def _sender(number: int) -> str:
    return f"sender-{number}"


def _payments(make: Maker, height: int, count: int, nonces: dict[str, int]) -> list[bytes]:
    made = []
    for number in range(count):
        sender = _sender(number % SENDERS)
        nonce = nonces[sender] = nonces.get(sender, -1) + 1
        to = key_of(f"receiver-{number % 500}").key
        made.append(make.tx(sender, pay(to, 1), nonce=nonce, fee=100, first=height, last=height + 50))
    return made


def _full(args: argparse.Namespace) -> Run:
    """Blocks of 1,000 transactions whose signatures are known, at the tip, each synced; then by compact blocks."""
    with new_chain() as chain:
        make = _rich(chain)
        nonces: dict[str, int] = {}
        clock, seconds = Clock(), []
        for number in range(FULL_BLOCKS):
            height = chain.ledger.tip.height + 1
            pool = Pool(chain.store, QUICK)
            txs = _payments(make, height, TXS, nonces)
            for tx in txs:
                assert pool.add(tx, 0, signed=True).entry is Entry.ADDED
            block = make.block(chain.ledger.tip.id, txs)
            sent = compact.encode_compact(block)
            if number < FULL_BLOCKS // 2:
                with clock.running():
                    outcome = chain.ledger.accept_block(
                        block.raw, now_ms(block), known=pool.known, checked=pool.checked
                    )
            else:
                began = time.perf_counter()
                got = compact.decode_compact(sent)
                chain.ledger.accept_header(got.raw_header, now_ms(block))
                whole = compact.rebuild(got, pool.known).block()
                assert whole is not None
                outcome = chain.ledger.accept_block(whole, now_ms(block), known=pool.known, checked=pool.checked)
                seconds.append(time.perf_counter() - began)
            assert outcome.verdict is Verdict.TIP, outcome
        done = FULL_BLOCKS // 2 * TXS
        size = chain.store.path.stat().st_size
    return {
        "wall_tx_s": rounded(done / clock.wall), "cpu_tx_s": rounded(done / clock.cpu),
        "compact_ms": rounded(statistics.median(seconds) * 1e3), "compact_worst_ms": rounded(max(seconds) * 1e3),
        "bytes_tx": rounded(size / (FULL_BLOCKS * TXS)),
    }  # fmt: skip


def _reorg(args: argparse.Namespace) -> Run:
    """A branch of 100 blocks of 10 transactions gives way to one of 101, in one transaction; signatures are checked."""
    with new_chain() as chain:
        make = _rich(chain)
        fork = chain.ledger.tip
        made = []
        for length, miner in ((BRANCH, "one"), (BRANCH + 1, "other")):
            parent, nonces = fork.id, dict[str, int]()
            for number in range(length):
                txs = _payments(make, fork.height + number + 1, 10, nonces)
                made.append(make.block(parent, txs, miner=miner))
                parent = made[-1].id
        accept_all(chain.ledger, made[:BRANCH])
        chain.ledger.accept_blocks(made[BRANCH:-1], now_ms(made[-1]))
        assert chain.ledger.tip.id == made[BRANCH - 1].id
        clock = Clock()
        with clock.running():
            outcome = chain.ledger.accept_block(made[-1], now_ms(made[-1]))
        assert (len(outcome.disconnected), len(outcome.connected)) == (BRANCH, BRANCH + 1)
    return {"wall_s": rounded(clock.wall), "cpu_s": rounded(clock.cpu)}


def _ours(args: argparse.Namespace) -> Run:
    parts: dict[str, Callable[[argparse.Namespace], Run]] = {"full": _full, "reorg": _reorg, "sync": _sync}
    return {name: part(args) for name, part in parts.items()}


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    runs = results["ours"]
    low, high = median(runs, "sync", "wall_low"), median(runs, "sync", "wall_high")
    cpu_low, cpu_high = median(runs, "sync", "cpu_low"), median(runs, "sync", "cpu_high")
    known, compact_ms, reorg_s = (
        median(runs, "full", "wall_tx_s"), median(runs, "full", "compact_ms"), median(runs, "reorg", "wall_s"),
    )  # fmt: skip
    return [
        Row(
            f"the chain on disk: empty blocks while catching up, {MAX_CONNECTED_AT_ONCE} in a transaction, below 6,000",
            ">= 3,000/s", f"{low:,.0f}/s ({cpu_low:,.0f} a second of the processor)", at_least(low, 3_000),
        ),
        Row(
            f"... at height {args.blocks:,}", "the same +-20 %",
            f"{high:,.0f}/s ({cpu_high:,.0f}), {median(runs, 'sync', 'bytes'):,.0f} bytes a block",
            0.8 <= cpu_high / cpu_low <= 1.25,
        ),
        Row(
            f"... blocks of {TXS:,} transactions, signatures known, each synced", ">= 30,000 tx/s",
            f"{known:,.0f} tx/s ({median(runs, 'full', 'cpu_tx_s'):,.0f}), "
            f"{median(runs, 'full', 'bytes_tx'):,.0f} bytes a transaction",
            at_least(known, 30_000),
        ),
        Row(
            f"... compact block of {TXS:,} transactions, all in the pool, to connected and synced", "<= 60 ms",
            f"{compact_ms:.0f} ms, {median(runs, 'full', 'compact_worst_ms'):.0f} at worst", at_most(compact_ms, 60),
        ),
        Row(
            f"... change of branch: {BRANCH} blocks of 10 transactions for {BRANCH + 1}", "<= 2 s",
            f"{reorg_s:.2f} s", at_most(reorg_s, 2),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main(MODULE, {"ours": _ours}, _rows, [("blocks", 100_000, "empty blocks of the sync")], runs=1)
