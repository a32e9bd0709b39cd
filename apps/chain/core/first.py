"""The first block of a chain, which follows from its parameters: how it is put into an empty store."""

from __future__ import annotations

from apps.chain.core.block import encode_block
from apps.chain.core.params import Params
from apps.chain.core.rows import ActiveRow, HeaderRow, Status
from apps.chain.core.store import Store


def write_first(store: Store, params: Params) -> None:
    block, raw = params.genesis_id, encode_block(params.raw_genesis, ())
    first = params.genesis
    store.begin()
    store.put_headers(
        (
            HeaderRow(
                block, 0, first.parent, 0, first.time, params.target_s, first.difficulty, 0, first.miner,
                params.raw_genesis, Status.VALID, 0, first.time * 1000, trusted=True,
            ),
        )
    )  # fmt: skip
    store.put_block(block, raw)
    store.push_active(ActiveRow(0, block, first.time, first.difficulty, first.miner, 0, 0, len(raw), 0))
    store.commit()
