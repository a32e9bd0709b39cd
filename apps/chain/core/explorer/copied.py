"""The state of a chain in memory, to take blocks back and do them again without a change of the one that is kept."""

from __future__ import annotations

from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import Account, ActiveRow, AnchorRow, EvidenceRow, NameRow, Touch, TxRow
from apps.chain.core.store import Index, Table


def copy_of(view: Index) -> MemoryStore:
    """All that follows from the chain that counts (Table); without headers, bodies and what undoes them."""
    memory = MemoryStore()
    memory.begin()
    for row in view.rows(Table.ACTIVE):
        memory.push_active(ActiveRow(*row))
    memory.put_accounts(Account(*row) for row in view.rows(Table.ACCOUNTS))
    memory.put_names(NameRow(*row) for row in view.rows(Table.NAMES))
    memory.put_anchors(AnchorRow(*row) for row in view.rows(Table.ANCHORS))
    memory.put_evidence(EvidenceRow(*row) for row in view.rows(Table.EVIDENCE))
    memory.put_txs(TxRow(*row) for row in view.rows(Table.TXS))
    memory.put_touches(Touch(*row) for row in view.rows(Table.TOUCHES))
    memory.commit()
    return memory
