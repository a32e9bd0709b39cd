"""simulations.storage against a model that copies the whole content at every promise."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from simulations.storage import MemoryStorage

#: Few, so that they meet; one the prefix of another.
keys = st.sampled_from([b"a", b"ab", b"abc", b"b", b"\xff", b"\xff\xff"])


class Storages(RuleBasedStateMachine):
    """`marks` are promises under way: the content when they were asked for."""

    marks = Bundle("marks")

    def __init__(self) -> None:
        super().__init__()
        self.storage = MemoryStorage()
        self.data: dict[bytes, bytes] = {}
        #: Content at every position, 0 first; what is committed and synced are positions in it.
        self.history: list[dict[bytes, bytes]] = [{}]
        self.committed = self.synced = 0
        self.life = 0

    @rule()
    def compact(self) -> None:
        self.storage._compact()  # no run is long enough for it to happen by itself

    def changed(self) -> None:
        self.history.append(dict(self.data))

    @rule(key=keys, value=st.binary(max_size=2))
    def put(self, key: bytes, value: bytes) -> None:
        self.storage.put(key, value)
        self.data[key] = value
        self.changed()

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.storage.delete(key)
        self.data.pop(key, None)
        self.changed()

    @rule(target=marks)
    def mark(self) -> tuple[int, int, int]:
        return self.life, self.storage.mark(), len(self.history) - 1

    @rule(mark=consumes(marks))
    def commit(self, mark: tuple[int, int, int]) -> None:
        life, theirs, ours = mark
        if life == self.life:  # else whoever asked is dead
            self.storage.commit(theirs)
            self.committed = max(self.committed, ours)

    @rule(mark=consumes(marks))
    def sync(self, mark: tuple[int, int, int]) -> None:
        life, theirs, ours = mark
        if life == self.life:
            self.storage.sync(theirs)
            self.committed = max(self.committed, ours)
            self.synced = max(self.synced, ours)

    @rule()
    def crash(self) -> None:
        self.storage.crash()
        self.life += 1
        self.data = dict(self.history[self.committed])
        del self.history[self.committed + 1 :]

    @rule()
    def power_loss(self) -> None:
        self.storage.power_loss()
        self.life += 1
        self.data = dict(self.history[self.synced])
        del self.history[self.synced + 1 :]
        self.committed = self.synced

    @rule()
    def copy(self) -> None:
        old, self.storage = self.storage, self.storage.copy()
        self.life += 1  # marks are not copied
        old.put(b"ghost", b"")
        old.power_loss()

    @rule(prefix=st.binary(max_size=3), after=st.binary(max_size=3))
    def scan(self, prefix: bytes, after: bytes) -> None:
        expected = [(k, v) for k, v in sorted(self.data.items()) if k.startswith(prefix) and k > after]
        assert list(self.storage.scan(prefix, after=after)) == expected

    @rule(prefix=keys, key=keys, gone=keys)
    def write_while_scanning(self, prefix: bytes, key: bytes, gone: bytes) -> None:
        """Pairs that are there throughout are seen once, in order."""
        before, seen = dict(self.data), []
        for number, (at, _) in enumerate(self.storage.scan(prefix)):
            seen.append(at)
            if number == 0:
                self.put(key, b"new")
                self.delete(gone)
        assert seen == sorted(set(seen))
        steady = [k for k in before if k.startswith(prefix) and k in self.data]
        assert set(steady) <= set(seen)

    @invariant()
    def same_content(self) -> None:
        assert dict(self.storage.scan(b"")) == self.data
        assert len(self.storage) == len(self.data)
        assert all(self.storage.get(key) == value for key, value in self.data.items())


TestStorages = Storages.TestCase
TestStorages.settings = settings(max_examples=100)


def test_a_log_that_is_never_synced_stays_in_proportion() -> None:
    storage = MemoryStorage()
    for number in range(20_000):
        storage.put(b"%d" % (number % 50), b"%d" % number)
        if number % 10 == 0:
            storage.commit(storage.mark())
    assert len(storage._log) <= 600
    storage.crash()
    assert storage.get(b"40") == b"19990"
    assert storage.get(b"41") == b"19941", "19991 came after the last commit"
    assert len(storage) == 50


def test_compaction_keeps_what_a_promise_under_way_covers() -> None:
    storage = MemoryStorage()
    storage.put(b"a", b"1")
    promise = storage.mark()
    storage.put(b"a", b"2")
    storage._compact()
    storage.sync(promise)
    storage.power_loss()
    assert storage.get(b"a") == b"1"
