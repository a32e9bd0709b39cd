"""The ledger on its disk: opened, and looked at before anything is built on it."""

from __future__ import annotations

from pathlib import Path

import attrs

from apps.chain.core.check import Damaged, check_end
from apps.chain.core.facts import NOTE, encode_params
from apps.chain.core.judge import Judge, nobody
from apps.chain.core.ledger import Ledger, open_ledger
from apps.chain.core.params import Params
from apps.chain.shell.schema import damaged
from apps.chain.shell.store import SqliteStore, open_store
from overlay.identity.keys import Verifier, verify


@attrs.frozen(slots=True)
class Chain:
    """`store` is to be closed."""

    store: SqliteStore
    ledger: Ledger


def open_chain(path: Path, params: Params, *, judge: Judge = nobody, verifier: Verifier = verify) -> Chain:
    """Makes it, if there is none. LocalError if it is of another network, DiskError for everything else.

    Takes some milliseconds, in a thread; whoever calls it holds the lock of the home."""
    store = open_store(path)
    try:
        ledger = open_ledger(store, params, judge=judge, verifier=verifier)
        try:
            check_end(store, params, judge=judge)
        except Damaged as error:
            raise damaged(path, str(error)) from error
        _note(store, params)
    except BaseException:
        store.close()
        raise
    return Chain(store, ledger)


def _note(store: SqliteStore, params: Params) -> None:
    """Which chain it is, for who reads the file alone."""
    note = encode_params(params)
    if store.note(NOTE) != note:
        store.begin()
        store.put_note(NOTE, note)
        store.commit()
