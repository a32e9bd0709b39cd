"""The doctor: each row, and what it says about this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from overlay.identity.network import Network
from overlay.wire.ticket import make_ticket
from p2pnode.cli import checks
from tests.cli.conftest import Run
from tests.support.fake_node import KEY, FakeNode


def test_firewalls_are_seen(tmp_path: Path) -> None:
    assert checks.firewall(4433, root=tmp_path).state == "ok"
    (tmp_path / "etc/ufw").mkdir(parents=True)
    (tmp_path / "etc/ufw/ufw.conf").write_text("# ENABLED=yes\nENABLED=no\n")
    assert checks.firewall(4433, root=tmp_path).state == "ok"
    (tmp_path / "etc/ufw/ufw.conf").write_text("ENABLED=yes\n")
    row = checks.firewall(4433, root=tmp_path)
    assert (row.state, "ufw allow 4433" in row.next) == ("warn", True)
    (tmp_path / "etc/ufw/ufw.conf").unlink()
    (tmp_path / "etc/nftables.conf").write_text("type filter hook input priority 0; policy drop;\n")
    assert checks.firewall(4433, root=tmp_path).state == "warn"
    (tmp_path / "etc/nftables.conf").unlink()
    (tmp_path / "run/firewalld").mkdir(parents=True)
    assert "firewall-cmd" in checks.firewall(4433, root=tmp_path).next


def test_clock() -> None:
    assert checks.clock(now=0, newest_write=None).state == "fail"
    assert checks.clock(now=checks.RELEASED + 1, newest_write=None).state == "ok"
    assert checks.clock(now=checks.RELEASED + 1, newest_write=checks.RELEASED + 1).state == "ok"
    assert checks.clock(now=checks.RELEASED + 1, newest_write=checks.RELEASED + 86400).state == "warn"


def test_port_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        [row] = checks.port([endpoint])
        assert checks.port([endpoint], chosen=False)[0].state == "warn"  # run takes another
    assert row.state == "fail"
    assert row.text.startswith("udp 127.0.0.1:")
    assert checks.port(["127.0.0.1:0"])[0].state == "ok"


@pytest.mark.parametrize(
    ("hard", "state", "text"), [(1_048_576, "ok", "1,048,576"), (-1, "ok", "any number"), (1_024, "warn", "fewer")]
)
def test_files_that_may_be_open(hard: int, state: str, text: str) -> None:
    row = checks.files(hard=hard)
    assert (row.state, bool(row.next)) == (state, state == "warn")
    assert text in row.text


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row.name for row in checks.disk(tmp_path)] == ["disk", "fsync"]
    assert list(tmp_path.iterdir()) == []
    assert len(checks.disk(tmp_path / "not" / "yet")) == 1

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert checks.disk(tmp_path)[1].state == "fail"
    assert list(tmp_path.iterdir()) == []


def test_puzzle() -> None:
    assert checks.key(bits=12, solves=None).state == "ok"
    assert checks.key(bits=12, solves=True).state == "ok"
    assert checks.key(bits=12, solves=False).state == "warn"


def test_a_key_that_others_can_read_is_closed_by_the_next_command(run: Run, home: Path) -> None:
    run("id", "new", "--puzzle-bits", "0")
    (home / "node.key").chmod(0o644)
    ran = run("doctor")
    assert ran.code == 1
    assert f"next: chmod 600 '{home}/node.key'" in ran.out


def test_a_key_that_was_cut_is_named_with_what_run_says(run: Run, home: Path) -> None:
    run("id", "new", "--puzzle-bits", "0")
    key = home / "node.key"
    key.write_bytes(key.read_bytes()[:40])
    next_command = f"mv '{key}' '{key}.old'"
    ran = run("doctor")
    assert ran.code == 1
    assert f"next: {next_command}" in ran.out
    assert next_command in run("run", "--listen", "127.0.0.1:0", "--no-lan").err


@pytest.mark.parametrize("content", [b"garbage " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_store_is_in_the_way(run: Run, home: Path, content: bytes) -> None:
    (home / "node.db").write_bytes(content)
    rows = {row["name"]: row for row in run("doctor", "--json").json["rows"]}
    assert rows["store"]["state"] == "fail"
    assert "the store is damaged" in rows["store"]["text"]
    assert "damaged" in rows["store"]["next"]
    assert run("doctor").code == 1


def test_a_database_of_another_program_is_in_the_way(run: Run, home: Path) -> None:
    with contextlib.closing(sqlite3.connect(home / "node.db")) as other, other:
        other.execute("CREATE TABLE recipes(name)")
    assert run("doctor").code == 1
    with contextlib.closing(sqlite3.connect(home / "node.db")) as other, other:
        other.execute("DROP TABLE recipes")
    rows = {row["name"]: row for row in run("doctor", "--json").json["rows"]}
    assert rows["store"]["state"] == "ok"  # an empty one is filled by the first run


def test_machine_without_a_network() -> None:
    assert checks.multicast([])[0].state == "warn"


def test_multicast_on_an_address_that_is_not_here() -> None:
    assert checks.multicast(["192.0.2.1"])[0].state == "warn"


def test_every_row_that_is_not_ok_says_what_to_do(run: Run, home: Path) -> None:
    (home / "node.toml").write_text('listen = ["127.0.0.1:0"]\n')
    answer = run("doctor", "--json").json
    assert {"home", "node", "identity", "port", "multicast", "firewall", "clock", "disk"} <= {
        row["name"] for row in answer["rows"]
    }
    assert all(row["next"] for row in answer["rows"] if row["state"] != "ok")
    assert answer["ok"] == all(row["state"] != "fail" for row in answer["rows"])


def test_doctor_beside_a_running_node(run: Run, node: FakeNode) -> None:
    rows = {row["name"]: row for row in run("doctor", "--json").json["rows"]}
    assert rows["node"]["text"] == "running, 3 peers, 3 in the table"
    assert "port" not in rows


def test_the_puzzle_is_that_of_the_running_node(run: Run, home: Path, node: FakeNode) -> None:
    run("id", "new", "--puzzle-bits", "0")
    for bits, state in ((0, "ok"), (32, "warn")):
        node.ticket = make_ticket(Network("p2pnode", puzzle_bits=bits), KEY, ())
        rows = {row["name"]: row for row in run("doctor", "--json").json["rows"]}
        assert rows["identity"]["state"] == state
        assert f"({bits} bits)" in rows["identity"]["text"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/null/below"])
def test_a_home_that_is_no_folder_is_a_row(run: Run, path: str) -> None:
    ran = run("doctor", "--json", before=("--home", path))
    [row] = ran.json["rows"]
    assert (ran.code, row["name"], row["state"]) == (1, "home", "fail")
    assert "Not a directory" in row["text"]
    assert "--home DIR" in row["next"]


def test_a_home_that_cannot_be_read_is_a_row(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def refused(path: object, *args: Any, **more: Any) -> int:
        if path == home:
            raise PermissionError(13, "Permission denied", str(home))
        return really(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refused)
    ran = run("doctor")
    assert ran.code == 1
    assert ran.out.startswith("fail  home       the home folder cannot be read;")
    assert "Permission denied" in ran.out


def test_wrong_settings_are_the_first_thing_to_say(run: Run, home: Path) -> None:
    (home / "node.toml").write_text("lan = 1\n")
    ran = run("doctor")
    assert ran.code == 1
    assert "node.toml: lan: expected bool, got int" in ran.out
