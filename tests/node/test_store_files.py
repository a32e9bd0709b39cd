"""The file of a store: older and newer versions, foreign and damaged files, torn logs, permissions."""

from __future__ import annotations

import random
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from p2pnode.store import Store, StoreError, check_store, open_store, schema
from tests.support.store_process import wait_for

HERE = Path(__file__).parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


def _make_v1(file: Path) -> dict[bytes, bytes]:
    connection = sqlite3.connect(file)
    connection.executescript((HERE / "store_v1.sql").read_text())
    connection.close()
    return {b"\x00\xff": b"", b"r1": b"value", b"r2": bytes(1200)}


def _contents(file: Path) -> dict[bytes, bytes]:
    store = open_store(file)
    try:
        return dict(store.scan(b""))
    finally:
        store.close()


def _tables(file: Path) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        connection.close()


def test_a_store_of_version_1_opens_with_all_records(file: Path) -> None:
    expected = _make_v1(file)
    assert _contents(file) == expected
    assert _contents(file) == expected  # and as version 2
    new = file.with_name("new.db")
    _contents(new)
    assert _tables(file) == _tables(new)


def test_a_step_that_fails_leaves_the_older_version_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _make_v1(file)
    before = _tables(file)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", ((*schema.STEPS[0][:-1], "INSERT INTO nowhere VALUES(0)"),))
        with pytest.raises(StoreError, match="nowhere"):
            open_store(file)
    assert _tables(file) == before
    assert _contents(file) == expected


def test_a_newer_version_is_refused_and_left_alone(file: Path) -> None:
    _contents(file)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE meta SET value=99")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="newer p2pnode") as caught:
        open_store(file)
    assert caught.value.facts["its version"] == "99"
    assert file.read_bytes() == before


@pytest.mark.parametrize("sql", ["CREATE TABLE other(x)", "CREATE TABLE meta(name, value)"])
def test_a_database_of_another_program_is_refused(sql: str, file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute(sql)
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        open_store(file)


def test_a_file_that_is_no_database_is_named_with_what_to_do(file: Path) -> None:
    file.write_bytes(b"not a database " * 1000)
    with pytest.raises(StoreError, match="the store is damaged") as caught:
        open_store(file)
    assert caught.value.facts["file"] == str(file)
    assert f"mv '{file.parent}/node.db'*" in caught.value.facts["start afresh"]


def _filled(file: Path, *, rows: int) -> Store:
    store = open_store(file)
    for n in range(rows):
        store.put(b"%04d" % n, bytes(1000))
        assert wait_for(store.commit) is None
    return store


def test_damage_inside_is_an_error_on_reading_and_seen_by_the_check(file: Path) -> None:
    _filled(file, rows=100).close()
    assert check_store(file) is None
    data = bytearray(file.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = b"\xaa" * 100
    file.write_bytes(data)
    assert "the store is damaged" in str(check_store(file))
    store = open_store(file)
    with pytest.raises(StoreError, match="damaged"):
        list(store.scan(b""))
    with pytest.raises(StoreError, match="damaged"):
        [store.get(b"%04d" % n) for n in range(100)]
    store.close()


def test_a_torn_log_opens_at_a_commit(file: Path) -> None:
    """The log cut or overwritten anywhere: the first so many commits are there, whole, and the rest is not."""
    store = _filled(file, rows=6)
    copy = file.with_name("copy.db")
    log = Path(f"{file}-wal").read_bytes()
    chance = random.Random(1)
    seen = set()
    for cut in [*range(0, len(log), 1361), len(log)]:  # a frame has 4,120 bytes
        for torn in (log[:cut], log[:cut] + chance.randbytes(len(log) - cut)):
            shutil.copyfile(file, copy)
            Path(f"{copy}-wal").write_bytes(torn)
            found = list(_contents(copy))
            assert found == [b"%04d" % n for n in range(len(found))]
            seen.add(len(found))
    assert seen == set(range(7))
    store.close()


def test_a_closed_store_is_one_file_for_the_owner_alone(file: Path) -> None:
    store = open_store(file)
    store.put(b"key", b"value")
    assert wait_for(store.commit) is None
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {"node.db": 0o600, "node.db-wal": 0o600, "node.db-shm": 0o600}
    store.put(b"other", b"value")
    store.close()
    store.close()
    assert [path.name for path in file.parent.iterdir()] == ["node.db"]
    assert set(_contents(file)) == {b"key", b"other"}


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        open_store(tmp_path / "nowhere" / "node.db")


def test_a_closed_store_refuses_to_commit(file: Path) -> None:
    store = open_store(file)
    store.close()
    assert "closed" in str(wait_for(store.commit))
