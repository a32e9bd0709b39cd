"""A disk that takes nothing more costs the records that would go there, not the node."""

from __future__ import annotations

from overlay.errors import LimitError
from overlay.runtime.ports import Ok
from overlay.wire import messages as m
from overlay.wire.records import blob_key, encode_provider
from simulations.storage import MemoryStorage
from tests.support.pair import REALM, B, Pair, Stranger, make_peer, messages


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


def with_a_disk() -> tuple[Pair, FullDisk, Stranger]:
    disk = FullDisk()
    link = Pair(make_peer(1), make_peer(2, storage=disk))
    link.start()
    link.advance(1)
    link.met()
    return link, disk, Stranger(link)


def test_a_store_that_finds_no_room_on_disk_is_not_answered_and_leaves_nothing() -> None:
    link, disk, stranger = with_a_disk()
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


def test_what_expires_on_a_full_disk_goes_when_there_is_room_again() -> None:
    link, disk, stranger = with_a_disk()
    stranger.send(stranger.datagram(m.Store(1, b"value", 30), token=stranger.token()))
    record = encode_provider(stranger.keys, REALM, bytes(32), 1, link.now.wall_ms + 30_000)
    stranger.send(stranger.datagram(m.Provide(bytes(32), record), token=stranger.token()))
    held = link.b.dht.store  # type: ignore[attr-defined]
    assert (len(held), held.provider_count) == (1, 1)
    disk.full = True
    link.settle(130)
    assert (len(held), held.provider_count) == (1, 1)
    assert link.fails("a", "get", {"key": blob_key(b"value").hex()}).code == "not_found"

    disk.full = False
    link.settle(70)
    assert (len(held), held.provider_count) == (0, 0)
