"""What an answer to a stranger costs must not grow with the store."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from overlay.wire import messages as m
from overlay.wire.records import blob_key
from simulations.storage import MemoryStorage
from tests.support.pair import Stranger, make_peer, pair


@attrs.define(slots=True)
class Counting:
    """A storage that counts the rows that are read."""

    inner: MemoryStorage = attrs.Factory(MemoryStorage)
    read: int = 0

    def get(self, key: bytes) -> bytes | None:
        self.read += 1
        return self.inner.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.inner.put(key, value)

    def delete(self, key: bytes) -> None:
        self.inner.delete(key)

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for row in self.inner.scan(prefix, after=after):
            self.read += 1
            yield row


@pytest.mark.parametrize("records", [1, 500])
@pytest.mark.parametrize(
    "question",
    [
        m.Ping(), m.FindNode(bytes(32), 3), m.FindValue(bytes(32), 3), m.FindValue(blob_key(b"0"), 3),
        m.FindProviders(bytes(32)),
    ],
    ids=lambda question: question.KIND.name,
)  # fmt: skip
def test_an_answer_reads_one_row_however_many_there_are(question: m.Message, records: int) -> None:
    link = pair()
    storage = Counting()
    link.replace("b", make_peer(2, storage=storage))
    link.advance(1)
    link.met()
    stranger = Stranger(link)
    for n in range(records):
        value = str(n).encode()
        link.b.dht.store.put_blob(
            blob_key(value), value, wall_ms=link.now.wall_ms, ttl_s=600, author=link.a.id, group=b""
        )
    assert len(link.b.dht.store) == records
    storage.read = 0
    assert stranger.send(stranger.datagram(question, token=stranger.token()))
    assert storage.read <= 1
