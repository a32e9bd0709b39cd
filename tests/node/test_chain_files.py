"""The file of a chain: versions, foreign and damaged files, who may read it, and what readers see."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from apps.chain.core.rows import Account, ActiveRow
from apps.chain.core.store import Table
from apps.chain.shell import schema
from apps.chain.shell.schema import DiskError
from apps.chain.shell.store import SqliteStore, open_store
from apps.chain.shell.view import open_view
from overlay.errors import LocalError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chain.db"

KEY = b"k" * 32


def push(store: SqliteStore, *heights: int) -> None:
    """One transaction."""
    store.begin()
    write(store, *heights)
    store.commit()


def write(store: SqliteStore, *heights: int) -> None:
    for height in heights:
        store.push_active(ActiveRow(height, bytes([height]) * 32, height, 256, bytes(32), 0, 0, 0, 0))
        store.put_accounts([Account(KEY, height, 0)])


def height_of(file: Path) -> int:
    with open_view(file) as view:
        height = view.tip().height
        assert view.accounts([KEY]) == {KEY: Account(KEY, height, 0)}
    return height


def tables(file: Path) -> list[tuple[object, ...]]:
    db = sqlite3.connect(file)
    try:
        return db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        db.close()


def change(file: Path, sql: str) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute(sql)
    db.close()


# --- versions ------------------------------------------------------------------------------


def test_a_chain_of_an_older_version_is_brought_up_to_date(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(file)
    push(store, 0, 1)
    store.close()
    monkeypatch.setattr(schema, "STEPS", (("ALTER TABLE active ADD COLUMN more INTEGER NOT NULL DEFAULT 7",),))
    with pytest.raises(DiskError, match="older p2pnode") as caught, open_view(file):
        pass
    assert caught.value.facts["bring it up to date"] == "p2pnode run"
    store = open_store(file)
    assert store.tip().height == 1
    store.close()
    open_store(new := file.with_name("new.db")).close()
    assert tables(file) == tables(new)
    assert height_of(file) == 1


def test_a_step_that_fails_leaves_the_older_version_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(file)
    push(store, 0)
    store.close()
    before = tables(file)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", (("DROP TABLE account", "INSERT INTO nowhere VALUES(0)"),))
        with pytest.raises(DiskError, match="nowhere"):
            open_store(file)
    assert tables(file) == before
    assert height_of(file) == 0


def test_a_newer_version_is_refused_and_left_alone(file: Path) -> None:
    open_store(file).close()
    change(file, "PRAGMA user_version=99")
    before = file.read_bytes()
    with pytest.raises(DiskError, match="newer p2pnode") as caught:
        open_store(file)
    assert caught.value.facts["its version"] == "99"
    with pytest.raises(DiskError, match="newer p2pnode"), open_view(file):
        pass
    assert file.read_bytes() == before


# --- what is no chain ----------------------------------------------------------------------


def test_a_database_of_another_program_is_refused(file: Path) -> None:
    change(file, "CREATE TABLE account(x)")
    with pytest.raises(DiskError, match="no chain"):
        open_store(file)
    with pytest.raises(DiskError, match="no chain"), open_view(file):
        pass


def test_a_file_that_is_no_database_is_named_with_what_to_do(file: Path) -> None:
    file.write_bytes(b"not a database " * 1000)
    with pytest.raises(DiskError, match="the chain is damaged") as caught:
        open_store(file)
    assert f"mv '{file.parent}/chain.db'*" in caught.value.facts["start afresh"]
    with pytest.raises(DiskError, match="the chain is damaged"), open_view(file):
        pass


def test_damage_inside_is_an_error_on_reading(file: Path) -> None:
    store = open_store(file)
    store.begin()
    store.put_accounts([Account(b"%032d" % n, n, 0) for n in range(2_000)])
    store.commit()
    store.close()
    data = bytearray(file.read_bytes())
    for page in range(20, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = b"\xaa" * 100
    file.write_bytes(data)
    with open_view(file) as view:
        with pytest.raises(DiskError, match="damaged"):
            list(view.rows(Table.ACCOUNTS))
        with pytest.raises(DiskError, match="damaged"):
            view.accounts([b"%032d" % n for n in range(2_000)])


def test_a_file_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="there is no chain here"), open_view(tmp_path / "chain.db"):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DiskError, match="No such file"):
        open_store(tmp_path / "nowhere" / "chain.db")
    with pytest.raises(DiskError, match="cannot be read"), open_view(tmp_path / ("x" * 300)):
        pass


def test_a_chain_without_a_block_says_so(file: Path) -> None:
    open_store(file).close()
    with open_view(file) as view:
        with pytest.raises(DiskError, match="no block yet"):
            view.tip()
        with pytest.raises(DiskError, match="no block yet"):
            view.best_header()


# --- readers beside a writer ---------------------------------------------------------------


def test_a_reader_sees_one_moment_and_whole_transactions(file: Path) -> None:
    store = open_store(file)
    push(store, 0, 1)
    store.begin()
    write(store, 2)
    assert height_of(file) == 1
    with open_view(file) as early:
        assert early.tip().height == 1
        write(store, 3)
        store.savepoint()
        write(store, 4)
        assert height_of(file) == 1
        store.commit()
        assert height_of(file) == 4
        push(store, 5)  # nobody waits for a reader
        assert early.tip().height == 1
        assert list(early.accounts([KEY]).values()) == [Account(KEY, 1, 0)]
    store.close()


def test_a_reader_chooses_its_moment_when_it_is_opened(file: Path) -> None:
    store = open_store(file)
    push(store, 0)
    with open_view(file) as view:
        push(store, 1)
        assert view.tip().height == 0
    store.close()


def test_a_reader_stays_while_the_writer_leaves(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_S", 3_600)  # whoever waits for the reader hangs
    store = open_store(file)
    push(store, 0)
    with open_view(file) as view:
        push(store, 1)
        store.close()
        assert view.tip().height == 0
        again = open_store(file)
        push(again, 2)
        assert view.tip().height == 0
        again.close()
    assert height_of(file) == 2


def test_a_call_that_fails_takes_the_transaction_with_it(file: Path) -> None:
    store = open_store(file)
    push(store, 0)
    store.begin()
    write(store, 1)
    with pytest.raises(DiskError, match="NOT NULL"):
        store.put_accounts([Account(KEY, None, 0)])  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="only be rolled back"):
        write(store, 2)
    with pytest.raises(LocalError, match="only be rolled back"):
        store.commit()
    store.rollback()
    with pytest.raises(LocalError, match="no transaction"):
        store.rollback()
    assert height_of(file) == store.tip().height == 0
    push(store, 1)
    assert height_of(file) == 1
    store.close()


def test_calls_out_of_turn_are_refused(file: Path) -> None:
    store = open_store(file)
    for call in (store.commit, store.rollback, store.savepoint, store.release, store.rollback_to):
        with pytest.raises(LocalError, match="no transaction"):
            call()
    with pytest.raises(LocalError, match="no transaction"):
        write(store, 0)
    store.begin()
    with pytest.raises(LocalError, match="open already"):
        store.begin()
    with pytest.raises(LocalError, match="not the next, 0"):
        write(store, 1)
    with pytest.raises(LocalError, match="header of block"):
        store.put_block(b"id", b"raw")
    for call in (store.release, store.rollback_to):
        with pytest.raises(LocalError, match="no savepoint"):
            call()
    store.savepoint()
    with pytest.raises(LocalError, match="savepoint already"):
        store.savepoint()
    store.close()


def test_a_reader_cannot_write(file: Path) -> None:
    store = open_store(file)
    push(store, 0)
    store.close()
    with open_view(file) as view:
        writer = SqliteStore(view._db, file)
        writer._db.execute("COMMIT")
        with pytest.raises(DiskError, match="cannot be written"):
            push(writer, 1)


def test_nothing_of_the_schema_of_a_strangers_file_is_run(file: Path) -> None:
    """A view in place of a table may call functions; those with effects are refused."""
    open_store(file).close()
    change(file, "DROP TABLE account")
    change(file, "CREATE VIEW account(key, balance, nonce) AS SELECT load_extension('x'), 1, 1")
    with open_view(file) as view, pytest.raises(DiskError, match="unsafe use of load_extension"):
        list(view.rows(Table.ACCOUNTS))


def test_what_a_killed_writer_left_in_its_log_counts(file: Path) -> None:
    store = open_store(file)
    push(store, 0, 1)
    copy = file.with_name("copy.db")
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
    store.close()
    assert height_of(copy) == 1


def test_a_closed_chain_is_one_file_for_the_owner_alone(file: Path) -> None:
    store = open_store(file)
    push(store, 0)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {"chain.db": 0o600, "chain.db-wal": 0o600, "chain.db-shm": 0o600}
    store.begin()
    write(store, 1)
    store.close()  # what was not committed is not there
    assert [path.name for path in file.parent.iterdir()] == ["chain.db"]
    assert height_of(file) == 0
