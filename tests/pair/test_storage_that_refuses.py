"""A disk that does not keep up makes the store refuse writes (LimitError). A node that cannot write still serves."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from overlay.app_storage import AppStorage
from overlay.errors import LimitError
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.runtime.ports import Effect, Failed
from simulations.storage import MemoryStorage
from tests.support.pair import Pair, make_peer


@attrs.define
class Refusing:
    """The Storage port; once `full`, it takes no write."""

    inside: MemoryStorage = attrs.Factory(MemoryStorage)
    full: bool = False

    def get(self, key: bytes) -> bytes | None:
        return self.inside.get(key)

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self.inside.scan(prefix, after=after)

    def put(self, key: bytes, value: bytes) -> None:
        self._check()
        self.inside.put(key, value)

    def delete(self, key: bytes) -> None:
        self._check()
        self.inside.delete(key)

    def _check(self) -> None:
        if self.full:
            raise LimitError("the store is behind")


@pytest.fixture
def storage() -> Refusing:
    return Refusing()


@pytest.fixture
def link(storage: Refusing) -> Pair:
    made = Pair(make_peer(1), make_peer(2, storage=storage))
    made.start()
    made.advance(1)
    return made.met()


def test_what_others_want_to_store_is_refused(link: Pair, storage: Refusing) -> None:
    storage.full = True

    assert link.command("a", "put", {"value": b"blob"})["stored"] == 1  # a itself
    assert link.command("a", "put", {"value": b"signed", "name": "n"})["stored"] == 1
    assert link.command("a", "provide", {"key": "ab" * 32})["stored"] == 0
    assert link.command("a", "ping", {"peer": link.id_text("b")})["id"] == link.id_text("b")


@pytest.mark.parametrize(
    ("name", "args"),
    [("put", {"value": b"x"}), ("put", {"value": b"x", "name": "n"}), ("provide", {"key": "ab" * 32})],
)
def test_what_its_user_wants_fails_in_words(link: Pair, storage: Refusing, name: str, args: dict[str, object]) -> None:
    storage.full = True

    assert link.fails("b", name, args) == Failed("failed", "the store is behind")


def test_upkeep_goes_on_for_a_day_and_writes_again_after(link: Pair, storage: Refusing) -> None:
    link.command("b", "put", {"value": b"ends", "ttl_s": 60})
    link.command("a", "put", {"value": b"held for a", "ttl_s": 60})
    storage.full = True
    for _ in range(48):
        link.advance(1800)
        link.settle(2)
    assert link.command("b", "ping", {"peer": link.id_text("a")})["id"] == link.id_text("a")

    storage.full = False
    link.settle(20)

    assert link.command("b", "put", {"value": b"again"})["stored"] == 2
    assert [own["expires_s"] for own in link.command("b", "own")] == [None]


def test_an_application_pays_only_for_what_was_written(storage: Refusing) -> None:
    loop = Loop()
    effects: list[Effect] = []
    app = AppStorage.of(Journal(loop, storage, effects.append, lambda: 1), "files")
    app.put(b"there", bytes(90))
    storage.full = True
    for _ in range(3):
        with pytest.raises(LimitError, match="behind"):
            app.put(b"new", bytes(1000))
        with pytest.raises(LimitError, match="behind"):
            app.delete(b"there")
    assert app.used == 95


def test_a_leaving_node_says_goodbye(link: Pair, storage: Refusing) -> None:
    storage.full = True

    assert link.command("b", "leave") == {"told": 1}
