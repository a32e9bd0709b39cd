"""A disk that takes nothing more costs the records that would go there, not the node."""

from __future__ import annotations

from overlay.errors import LimitError
from overlay.runtime.ports import Ok
from overlay.wire import messages as m
from simulations.storage import MemoryStorage
from tests.support.pair import B, Pair, Stranger, make_peer, messages


class FullDisk(MemoryStorage):
    """As p2pnode.store with a memtable at its limit."""

    full = False

    def put(self, key: bytes, value: bytes) -> None:
        if self.full:
            raise LimitError("the store is behind")
        super().put(key, value)

    def delete(self, key: bytes) -> None:
        if self.full:
            raise LimitError("the store is behind")
        super().delete(key)


def test_a_store_that_finds_no_room_on_disk_is_not_answered_and_leaves_nothing() -> None:
    disk = FullDisk()
    link = Pair(make_peer(1), make_peer(2, storage=disk))
    link.start()
    link.advance(1)
    link.met()
    stranger = Stranger(link)
    disk.full = True
    store = m.Store(1, b"value", 60)
    assert stranger.send(stranger.datagram(store, token=stranger.token())) == []
    assert link.counted("b", "dropped: no room") == 1
    link.fails("b", "put", {"value": b"mine"})
    assert isinstance(link.outcome("a", "ping", {"peer": str(B)}), Ok)

    disk.full = False
    sent = stranger.send(stranger.datagram(store, token=stranger.token()))
    assert m.Stored in [type(message) for message in messages(sent)]
    assert link.command("b", "status")["records"] == 1
    assert len(link.b.dht.store._quota) == 1, "charged once"  # type: ignore[attr-defined]
