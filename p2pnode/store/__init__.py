"""The disk of a node: an ordered key-value store over sqlite3 that never blocks the event loop with a write."""

from __future__ import annotations

from p2pnode.store.schema import StoreError, check_store
from p2pnode.store.store import Store, StoreStatus, open_store

__all__ = ["Store", "StoreError", "StoreStatus", "check_store", "open_store"]
