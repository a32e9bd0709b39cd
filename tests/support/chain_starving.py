"""A chain that grows until the disk says no: `python -m tests.support.chain_starving FOLDER` in a process of its own.

There files may not grow beyond a limit, which is lifted later; a small file system does it without.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.chain.core.ledger import open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.state import digest_of
from apps.chain.shell.opening import open_chain
from apps.chain.shell.schema import FILE_NAME, DiskError
from tests.support.chain_folder import Traffic, accept_all
from tests.support.chains import QUICK, Maker

_LIMIT_BYTES = 400_000


def starve(folder: Path, make_room: Callable[[], None]) -> dict[str, Any]:
    """What happened, in plain values."""
    chain = open_chain(folder / FILE_NAME, QUICK)
    ledger, store = chain.ledger, chain.store
    twin = open_ledger(MemoryStore(), QUICK)
    blocks = Traffic(Maker(QUICK), QUICK.genesis_id, every=1, txs=20).blocks(10_000)
    error = None
    while error is None:
        block = next(blocks)
        try:
            accept_all(ledger, [block])
        except DiskError as found:
            error = found
        else:
            accept_all(twin, [block])
    report = {
        "error": str(error),
        "full_at": ledger.tip.height,
        "is_whole": (ledger.tip.id, digest_of(store)) == (twin.tip.id, digest_of(twin.store)),
        "again": _error_of(lambda: accept_all(ledger, [block])),
        "headers": len(store.at_height(block.header.height)),
    }
    make_room()
    for _ in range(20):
        accept_all(ledger, [block])
        accept_all(twin, [block])
        block = next(blocks)
    store.close()
    chain = open_chain(folder / FILE_NAME, QUICK)
    report["height"] = chain.ledger.tip.height
    report["went_on"] = digest_of(chain.store) == digest_of(twin.store)
    chain.store.close()
    return report


def _error_of(work: Callable[[], None]) -> str:
    try:
        work()
    except DiskError as error:
        return str(error)
    return ""


def check(report: dict[str, Any]) -> None:
    assert report["error"].startswith(("the disk is full", "the disk reports an error")), report
    assert report["again"].startswith(("the disk is full", "the disk reports an error")), report
    assert report["is_whole"], report
    assert report["headers"] == 0, report
    assert report["full_at"] > 5, report
    assert report["height"] == report["full_at"] + 20, report
    assert report["went_on"], report


if __name__ == "__main__":
    _, _hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT_BYTES, _hard))
    print(json.dumps(starve(Path(sys.argv[1]), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_hard, _hard)))))
