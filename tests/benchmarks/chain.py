"""The core of the chain with its store in memory: rules, state and undo, without a disk."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apps.chain.core.admission import Entry
from apps.chain.core.block import Block, decode_block, decode_txs
from apps.chain.core.compact import decode_compact, encode_compact, rebuild
from apps.chain.core.ledger import Ledger, open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.outcome import Verdict
from apps.chain.core.pool import Pool
from apps.chain.core.signatures import checks_of, first_bad
from tests.benchmarks.harness import Row, Run, at_least, at_most, cpu_s, main, median, rounded
from tests.support.chains import QUICK, Maker, anchor, pay

MODULE = "tests.benchmarks.chain"
#: Later than any block that is made here.
_NOW_MS = 10**13
_SENDERS = tuple(f"sender {i}" for i in range(100))
_TXS = 1_000


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of wall clock and of CPU."""
    wall, cpu = time.perf_counter(), cpu_s()
    work()
    return time.perf_counter() - wall, cpu_s() - cpu


def _funded() -> tuple[Maker, list[Block]]:
    """Blocks behind which every sender has credits."""
    make = Maker(QUICK)
    blocks = make.line(QUICK.genesis_id, 5)
    for nonce, first in enumerate(range(0, len(_SENDERS), 16)):
        pays = [pay(name, 1_000_000) for name in _SENDERS[first : first + 16]]
        blocks.append(make.block(blocks[-1].id, [make.tx("miner", *pays, nonce=nonce)]))
    return make, blocks


def _busy(make: Maker, parent: bytes, count: int, txs: int) -> list[Block]:
    """Blocks of payments and anchors, half and half."""
    blocks = []
    each = txs // len(_SENDERS) or 1
    for number in range(count):
        raws = [
            make.tx(
                name, anchor(f"{number} {i} {j}") if (i + j) % 2 else pay(_SENDERS[i - 1], 1),
                nonce=number * each + j, fee=8,
            )
            for i, name in enumerate(_SENDERS[: min(txs, len(_SENDERS))]) for j in range(each)
        ]  # fmt: skip
        blocks.append(make.block(parent, raws))
        parent = blocks[-1].id
    return blocks


def _ledger(blocks: list[Block]) -> Ledger:
    ledger = open_ledger(MemoryStore(), QUICK)
    _take(ledger, blocks)
    return ledger


def _take(ledger: Ledger, blocks: list[Block], **given: Any) -> None:
    """From their bytes, as they come."""
    for block in blocks:
        outcome = ledger.accept_block(block.raw, _NOW_MS, **given)
        if outcome.verdict is not Verdict.TIP:
            raise RuntimeError(f"block {block.header.height}: {outcome}")


def _take_by_two(ledger: Ledger, blocks: list[Block], pool: ThreadPoolExecutor) -> None:
    """Signatures in two threads, the rest in this one."""
    for block in blocks:
        found = decode_block(block.raw)
        txs = decode_txs(found.txs, QUICK.chain_id)
        checks = checks_of(txs)
        halves = checks[::2], checks[1::2]
        if list(pool.map(first_bad, halves)) != [None, None]:
            raise RuntimeError(f"block {block.header.height}: a bad signature")
        _take(ledger, [block], known={tx.raw: tx for tx in txs}, checked={tx.leaf for tx in txs})


def _validate(count: int) -> Run:
    make, funding = _funded()
    blocks = _busy(make, funding[-1].id, count, _TXS)
    txs = [tx for block in blocks for tx in decode_txs(block.txs, QUICK.chain_id)]
    run: Run = {}

    def note(name: str, work: Callable[[], Any]) -> None:
        wall, cpu = _timed(work)
        run[name] = {"tx_s": rounded(len(txs) / wall), "tx_cpu_s": rounded(len(txs) / cpu)}

    one, two, warm = (_ledger(funding) for _ in range(3))
    note("one", lambda: _take(one, blocks))
    with ThreadPoolExecutor(2) as threads:
        note("two", lambda: _take_by_two(two, blocks, threads))
    known, leaves = {tx.raw: tx for tx in txs}, {tx.leaf for tx in txs}
    note("known", lambda: _take(warm, blocks, known=known, checked=leaves))
    return run


def _announced() -> Run:
    """A block that comes as a compact one, to who has all of its transactions."""
    make, funding = _funded()
    ledger = _ledger(funding)
    block = _busy(make, funding[-1].id, 1, _TXS)[0]
    pool, raw = Pool(ledger.store, QUICK), encode_compact(block)
    for tx in block.txs:
        if pool.add(tx, 0).entry is not Entry.ADDED:
            raise RuntimeError("a transaction was not taken")

    def connect() -> None:
        found = rebuild(decode_compact(raw), pool.known).block()
        outcome = ledger.accept_block(found or b"", _NOW_MS, known=pool.known, checked=pool.checked)
        pool.update(outcome, 0)
        if outcome.verdict is not Verdict.TIP or len(pool):
            raise RuntimeError(str(outcome))

    wall, cpu = _timed(connect)
    return {"compact_ms": rounded(1e3 * wall), "compact_cpu_ms": rounded(1e3 * cpu), "bytes": len(raw)}


def _empty(count: int) -> Run:
    """The first tenth against the last one: whether height costs anything."""
    blocks = Maker(QUICK).line(QUICK.genesis_id, count)
    tenth = count // 10
    ledger = _ledger([])
    first, _ = _timed(lambda: _take(ledger, blocks[:tenth]))
    middle, _ = _timed(lambda: _take(ledger, blocks[tenth:-tenth]))
    last, _ = _timed(lambda: _take(ledger, blocks[-tenth:]))
    return {
        "empty_s": rounded(count / (first + middle + last)), "first_s": rounded(tenth / first),
        "last_s": rounded(tenth / last),
    }  # fmt: skip


def _reorg() -> Run:
    make, funding = _funded()
    blocks = _busy(make, funding[-1].id, 100, 10)
    other = make.line(funding[-1].id, 101, miner="other")
    ledger = _ledger(funding + blocks)
    for block in other[:-1]:
        ledger.accept_block(block, _NOW_MS)
    wall, cpu = _timed(lambda: _take(ledger, other[-1:]))
    return {"reorg_s": rounded(wall), "reorg_cpu_s": rounded(cpu)}


def _ours(args: argparse.Namespace) -> Run:
    return _validate(args.blocks) | _announced() | _empty(args.empty) | _reorg()


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    runs = results["ours"]

    def of(*path: str) -> float:
        return median(runs, *path)

    def rate(name: str, what: str, target: int) -> Row:
        wall, cpu = of(name, "tx_s"), of(name, "tx_cpu_s")
        return Row(what, f">= {target:,}", f"{wall:,.0f} ({cpu:,.0f} in a second of CPU)", at_least(wall, target))

    flat = of("last_s") / of("first_s")
    return [
        rate("one", f"validated transactions a second, blocks of {_TXS:,}, store in memory", 8_000),
        rate("two", "... signatures in two threads", 14_000),
        rate("known", "... signatures known from the pool", 30_000),
        Row(
            f"compact block of {_TXS:,} transactions, {of('bytes'):,.0f} bytes: to connected, pool warm", "<= 60 ms",
            f"{of('compact_ms'):.0f} ms ({of('compact_cpu_ms'):.0f} of CPU)", at_most(of("compact_ms"), 60),
        ),
        Row(
            f"empty blocks a second, sha256d, {args.empty:,} of them", ">= 3,000", f"{of('empty_s'):,.0f}",
            at_least(of("empty_s"), 3_000),
        ),
        Row("... the last tenth against the first", "0.8 to 1.2", f"{flat:.2f}", 0.8 <= flat <= 1.2),
        Row(
            "reorg of 100 blocks of 10 transactions", "<= 2 s",
            f"{of('reorg_s'):.2f} s ({of('reorg_cpu_s'):.2f} of CPU)", at_most(of("reorg_s"), 2),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main(
        MODULE, {"ours": _ours}, _rows,
        [("blocks", 10, f"blocks of {_TXS:,} transactions"), ("empty", 10_000, "empty blocks")],
    )  # fmt: skip
