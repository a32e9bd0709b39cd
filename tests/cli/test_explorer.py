"""chain-explorer for scripts: JSON as described, exit codes, references, hostile texts, pipes, start."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from apps.chain.cli.explorer.main import LAZY
from apps.chain.core.operations import Anchor, SetName
from tests.cli.conftest import Explore
from tests.cli.explorer import NOW, Place, live, running
from tests.support.chains import key_of, pay
from tests.support.explored import HOSTILE, begin, file_in
from tests.support.schema import conforms

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "chain-explorer.schema.json").read_text())["commands"]

#: Command of the schema, line.
OBJECTS = [
    ("status", "status"), ("block", "block -1"), ("block", "block 0"), ("block", "block 17 --txs"),
    ("block", "block 4a87"), ("block", "block 8aeb"), ("block", "block 8aeb --txs"), ("tx", "tx 9f13"),
    ("tx", "tx ae28"), ("address", "address edge-3"), ("address", "address " + "ab" * 32), ("name", "name cam-1"),
    ("supply", "supply"), ("stats", "stats"), ("stats", "stats --plot difficulty"), ("stats", "stats --plot miners"),
    ("verify", "verify"), ("verify", "verify --level 4"), ("proof make", "proof make 9f13"),
    ("proof make", "proof make report.txt -o p"), ("anchor", "anchor report.txt"),
]  # fmt: skip
LISTS = [
    ("blocks", "blocks"), ("address --history", "address cam-1 --history"), ("search", "search edge-3"),
    ("search", "search 30de"), ("search", "search lab/"), ("anchor", "anchor report.txt d40b"), ("names", "names"),
    ("evidence", "evidence"), ("forks", "forks"), ("export blocks", "export blocks"), ("export txs", "export txs"),
    ("export headers", "export headers"), ("export address", "export address cam-1"),
]  # fmt: skip


# --- JSON ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "line"), OBJECTS)
def test_an_object_is_as_described(explore: Explore, name: str, line: str) -> None:
    ran = explore(*line.split(), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == 1
    conforms(ran.json, SCHEMA[name])


@pytest.mark.parametrize(("name", "line"), LISTS)
def test_lines_are_as_described(explore: Explore, name: str, line: str) -> None:
    ran = explore(*line.split(), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines
    for one in ran.lines:
        conforms(one, SCHEMA[name])


def test_what_a_running_node_adds_is_as_described(explore: Explore, place: Place) -> None:
    with running(place) as (node, token):
        status = explore("status", "--json").json
        pending = explore("tx", explore("mempool", "--json").lines[0]["txid"][:8], "--json").json
        waiting = explore("mempool", "--json").lines
        account = explore("address", "cam-1", "--json").json
        thread = live(place, node, token)
        watched = explore("watch", "--count", "2", "--json").lines
        thread.join()
    conforms(status, SCHEMA["status"])
    assert (status["mempool"], status["peers"], status["synced"]) == (3, 3, True)
    conforms(pending, SCHEMA["tx"])
    assert pending["status"] == "pending"
    for one in waiting:
        conforms(one, SCHEMA["mempool"])
    assert [one["fee"] for one in waiting] == [4000, 900, 100]
    assert account["pending"] == -(100 + 4000 + 500)
    for one in watched:
        conforms(one, SCHEMA["watch"])
    assert [one["kind"] for one in watched] == ["tx", "block"]
    assert watched[1]["height"] == 31


def test_status_says_that_the_node_can_write_nothing(explore: Explore, place: Place) -> None:
    with running(place) as (node, _):
        node.answers["chain", "status"] = {"synced": False, "headers": 30, "trouble": "the disk is full"}
        assert "TROUBLE   the disk is full" in explore("status").out
        status = explore("status", "--json").json
    assert (status["synced"], status["trouble"]) == (False, "the disk is full")


def test_a_change_of_branch_is_told_with_the_blocks_that_count_now(explore: Explore, place: Place) -> None:
    with running(place) as (node, token):
        thread = live(place, node, token, reorg=True)
        watched = explore("watch", "--blocks", "--count", "3", "--json").lines
        thread.join()
    for one in watched:
        conforms(one, SCHEMA["watch"])
    assert [one["kind"] for one in watched] == ["reorg", "block", "block"]
    assert (watched[0]["fork"], watched[0]["old_height"], watched[0]["new_height"]) == (30, 31, 32)
    assert [one["height"] for one in watched[1:]] == [31, 32]
    assert watched[2]["id"] == watched[0]["new"]


#: Of the tip, as many digits as --trust asks for.
TIP = "7ec6457a9df815cc1377a028"


def test_proof_check_and_decode_are_as_described(explore: Explore, tmp_path: Path) -> None:
    explore("proof", "make", "9f13", "-o", "p")
    conforms(explore("proof", "check", "p", "--trust", "none", "--json").json, SCHEMA["proof check"])
    conforms(explore("proof", "check", "p", "--trust", TIP, "--json").json, SCHEMA["proof check"])
    for line in (["p"], ["-"]):
        raw = explore("block", "19", "--raw").out.encode()
        conforms(explore("decode", *line, "--json", stdin=raw).json, SCHEMA["decode"])


def test_a_proof_that_no_known_block_ties_is_no_proof(explore: Explore, tmp_path: Path) -> None:
    """Anybody can do so little work: whoever knows no block of it must say that he wants none."""
    explore("proof", "make", "report.txt", "-o", "p")
    here = explore("proof", "check", "p", "--file", "report.txt", "--json").json  # the chain of the home
    assert (here["ok"], here["trusted"][:8]) == (True, "7ec6457a")
    elsewhere = ("--home", str(tmp_path / "nowhere"), "proof", "check", "p", "--file", "report.txt")
    ran = explore(*elsewhere)
    assert (ran.code, ran.out) == (5, "")
    assert "not tied to a block that you trust" in ran.err
    assert "--trust ID" in ran.err
    ran = explore(*elsewhere, "--trust", "none")
    assert (ran.code, "NONE" in ran.out, "existed" in ran.out, ran.out.startswith("ok")) == (0, True, False, False)
    assert explore(*elsewhere, "--trust", "none", "--json").json["ok"] is False
    assert explore(*elsewhere, "--trust", TIP).code == 0
    # A block that begins like a short one can be made.
    assert explore(*elsewhere, "--trust", TIP[:-1]).code == 2
    assert explore(*elsewhere, "--trust", TIP[:-1] + "0").code == 5


def test_status_holds_its_contract(explore: Explore) -> None:
    status = explore("status", "--json").json
    promised = ["v", "chain_id", "height", "tip", "time", "difficulty", "work", "mempool", "peers", "synced"]
    assert [key for key in promised if key not in status] == []
    assert (status["v"], status["height"], status["synced"]) == (1, 30, True)


def test_amounts_are_whole_units(explore: Explore) -> None:
    assert explore("address", "edge-3", "--json").json["balance"] == 427_748_900
    assert explore("address", "edge-3", "-f", "balance").out == "427748900\n"


def test_a_folder_and_a_home_give_the_same_output(explore: Explore, place: Place) -> None:
    for line in ("blocks", "block 17 --txs", "address cam-1 --history", "forks", "supply", "stats", "names"):
        in_folder = explore("--data", str(place.data), *line.split())
        assert in_folder.out == explore(*line.split()).out
        assert explore("--data", str(place.home), *line.split()).out == in_folder.out


def test_a_field_that_is_not_there_is_named_with_those_that_are(explore: Explore) -> None:
    ran = explore("block", "-1", "-f", "hieght")
    assert ran.code == 2
    assert "height" in ran.err


@pytest.mark.parametrize(
    "line", ["blocks", "block 17 --txs", "address cam-1 --history", "names", "forks", "supply", "evidence",
             "search 30de6f50"],
)  # fmt: skip
def test_ids_in_full_are_whole_at_a_terminal_of_80_columns(
    explore: Explore, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    ids = re.findall(r"\b(?:[0-9a-f]{64}|xs1[a-z0-9]{59})\b", explore(*line.split(), "--full").out)
    assert ids
    monkeypatch.setattr("p2pnode.ui.render.is_fancy", lambda: True)
    shown = explore(*line.split(), "--full").out
    assert [one for one in ids if one not in shown] == []
    assert [row for row in shown.splitlines() if len(row) > 100] == []


@pytest.mark.parametrize(
    ("field", "told"),
    [("height.x", "height"), ("why.x", "nothing"), ("children.0.x", "no parts"), ("children.5", "0 to 0"),
     ("id.0", "parts")],
)  # fmt: skip
def test_what_has_no_parts_has_no_fields(explore: Explore, field: str, told: str) -> None:
    ran = explore("block", "17", "-f", field)
    assert (ran.code, told in ran.err, "a bug" in ran.err) == (2, True, False), ran


def test_an_anchor_that_waits_is_not_said_never_to_be(explore: Explore, place: Place) -> None:
    digest = "07" * 32
    with running(place):
        ran = explore("anchor", digest)
        assert (ran.code, "waiting  not yet in a block" in ran.out, "never" in ran.out) == (4, True, False), ran
        found = explore("anchor", digest, "--json").json
        txid = found["waiting"][0]
        for what in (digest, txid, txid[:8]):
            ran = explore("proof", "make", what)
            assert (ran.code, "it waits in the mempool" in ran.err, txid in ran.err) == (4, True, True), ran
    conforms(found, SCHEMA["anchor"])
    assert "never" in explore("anchor", digest).out


@pytest.mark.parametrize("line", [("anchor",), ("proof", "make"), ("proof", "check", "p", "--trust", "none", "--file")])
def test_pipes_and_devices_have_no_digest(explore: Explore, tmp_path: Path, line: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "fifo")
    explore("proof", "make", "9f13", "-o", "p")
    for what in ("fifo", "/dev/zero"):
        ran = explore(*line, what)
        assert (ran.code, "a pipe or a device" in ran.err) == (2, True), ran


def test_a_branch_lacks_what_it_would_need_to_count(explore: Explore) -> None:
    tip = explore("block", "-1", "-f", "work").out
    for branch in [one for one in explore("forks", "--json").lines if one["kind"] == "branch"]:
        lacks = int(tip) - int(explore("block", branch["id"], "-f", "work").out)
        assert branch["behind"] == lacks > 0


def test_a_proof_has_few_headers_unless_all_are_asked_for(
    explore: Explore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    world = begin(folder)
    world.empty(14)
    world.block(world.tx("edge-3", Anchor(b"\x07" * 32)))
    world.empty(120)
    world.store.close()
    line = ("--data", str(folder), "proof", "make", "07" * 32)
    assert explore(*line, "-f", "last").code == 2
    ran = explore(*line, "-o", "p")
    assert (ran.code, "100 headers on top" in ran.out, "newest 20 headers are left out" in ran.err) == (0, True, True)
    assert explore(*line, "--json", "--headers", "all").json["last"] == 135
    monkeypatch.setattr("apps.chain.cli.explorer.commands.proof._SCREEN_BYTES", 1_000)
    assert explore(*line).code == 0
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ran = explore(*line)
    assert (ran.code, ran.out, "-o FILE" in ran.err) == (2, "", True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:surrogateescape", "cp1252"])
@pytest.mark.parametrize("line", ["forks --tree", "blocks", "names", "--home nowhere status", "stats --plot interval"])
def test_no_terminal_is_too_plain(explore: Explore, monkeypatch: pytest.MonkeyPatch, encoding: str, line: str) -> None:
    code = explore(*line.split()).code
    name, _, errors = encoding.partition(":")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=name, errors=errors or "strict")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    assert explore(*line.split()).code == code
    assert b"a bug" not in stream.buffer.getvalue()  # type: ignore[attr-defined]


# --- exit codes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("block zz", 2, "four or more digits"),
        ("block 5000", 4, "no block has height 5,000"),
        ("block -32", 4, "the first one is -31"),
        ("block abcdef", 4, "no block of this chain"),
        ("block @1999-01-01", 4, "first block  chain-explorer block @"),
        ("block @2020", 2, "expected"),
        ("block @yesterday", 2, "not a time"),
        ("block -1 --txz", 2, "--txs"),
        ("block -x", 2, "-x"),
        ("tx 00000000", 4, "no transaction"),
        ("tx xyz", 2, "four or more digits"),
        ("address nobody-has-this", 4, "nobody has the name"),
        ("address xs1qqq", 2, "at least 4 letters"),
        ("address xn1qqq", 2, "another sort of network"),
        ("address name:nobody-has-this", 4, "nobody has the name"),
        ("address xs1qvdpcujyge4vctzysvshz4k6qfk64z6qnkmgs5wtfjyntvem36wjsp2kanq", 2, "mistyped"),
        ("name NOBODY", 2, "a-z"),
        ("name nobody", 4, "nobody has the name"),
        ("anchor no-such-file", 4, "no such file"),
        ("anchor " + "00" * 32, 4, ""),
        ("search zzzzzz", 4, "nothing in this chain"),
        # Bytes that are not UTF-8, as argv gives them.
        ("search \udcff\udcff\udcff\udcff", 4, "nothing in this chain"),
        ("search ääää", 4, "nothing in this chain"),
        ("search 00000000000000001", 4, "nothing in this chain"),
        ("names --after \udcff", 2, "not a name"),
        ("blocks --from 5 --before 0", 0, "no block"),
        ("mempool", 3, "p2pnode run"),
        ("watch", 3, "p2pnode run"),
        ("verify --from 31", 4, "no block has height 31"),
        ("proof make abcd", 4, "no transaction"),
        ("proof check no-such-file", 2, "neither a file"),
        ("proof check 83010203", 5, "proves nothing"),
        ("proof check p --trust none --headers report.txt", 2, "two ways"),
        ("export address", 2, "needs an account"),
        ("export blocks --csv --json", 2, "two forms"),
        ("export blocks --from 31", 4, "no block has height 31 yet"),
        ("export txs --from 9 --to 8", 2, "is below"),
        ("proof make 9f13 --headers few", 2, "nor `all`"),
        ("export blocks -o no/such/folder", 2, "no such folder"),
        ("decode zz", 2, "neither a file"),
        ("decode 83010203", 5, "has such items"),
        ("statsu", 2, "chain-explorer stat"),
        ("--home x --data y status", 2, "two ways"),
    ],
)
def test_exit_codes(explore: Explore, line: str, code: int, told: str) -> None:
    ran = explore(*line.split())
    assert ran.code == code, ran
    assert told in ran.out + ran.err


@pytest.mark.parametrize("option", ["--home", "--data"])
def test_without_node_and_chain_it_says_what_to_do(explore: Explore, tmp_path: Path, option: str) -> None:
    (tmp_path / "empty").mkdir()
    ran = explore(option, str(tmp_path / "empty"), "status")
    assert ran.code == 3
    assert "chain.db" in ran.err
    assert explore(option, str(tmp_path / "empty"), "status", "--json").json["error"]["code"] == "no_node"


def test_a_file_that_is_no_chain_is_no_bug(explore: Explore, tmp_path: Path) -> None:
    (tmp_path / "chain.db").write_bytes(b"nothing\n" * 1_000)
    ran = explore("--data", str(tmp_path), "status")
    assert ran.code == 1
    assert "a bug" not in ran.err


def test_a_corrupt_block_is_found_at_its_height(explore: Explore, place: Place) -> None:
    place.world.store.close()
    db = _sqlite(place)
    ((n, raw),) = db.execute("SELECT n, raw FROM body WHERE n=(SELECT n FROM header WHERE height=22)").fetchall()
    db.execute("UPDATE body SET raw=? WHERE n=?", (raw[:-1] + bytes([raw[-1] ^ 1]), n))
    db.commit()
    db.close()
    assert explore("verify", "--level", "0").code == 0
    ran = explore("verify", "--level", "1", "--json")
    assert ran.code == 5
    assert (ran.json["fault"]["height"], ran.json["fault"]["code"]) == (22, "B3")


@pytest.mark.parametrize(
    ("change", "level", "code"),
    [
        ("UPDATE account SET balance=balance+1 WHERE balance=(SELECT max(balance) FROM account)", 4, "STORE"),
        ("UPDATE undo SET undo=x'828080' WHERE n=(SELECT n FROM header WHERE height=17)", 3, "STORE"),
        ("DELETE FROM undo WHERE n=(SELECT n FROM header WHERE height=17)", 3, "STORE"),
        ("UPDATE active SET fees=fees+1 WHERE height=19", 3, "STORE"),
        ("UPDATE active SET size=size+1 WHERE height=19", 1, "STORE"),
        ("UPDATE header SET status=-2 WHERE height=12", 0, "STORE"),
        ("UPDATE header SET seq=0 WHERE height=12", 0, "STORE"),
        ("UPDATE header SET time=time+1 WHERE height=9", 0, "STORE"),
        ("UPDATE header SET raw=(SELECT raw FROM header WHERE height=8) WHERE height=9", 0, "H6"),
        ("DELETE FROM anchor WHERE height=19", 4, "STORE"),
    ],
)
def test_every_level_finds_what_the_lower_ones_cannot(
    explore: Explore, place: Place, change: str, level: int, code: str
) -> None:
    place.world.store.close()
    db = _sqlite(place)
    db.execute(change)
    db.commit()
    db.close()
    if level:
        assert explore("verify", "--level", str(level - 1)).code == 0
    ran = explore("verify", "--level", str(level), "--json")
    assert (ran.code, ran.json["fault"]["code"]) == (5, code)


@pytest.fixture
def pruned(place: Place) -> Place:
    """Blocks below 19 are forgotten, among them 17 and 18, which have transactions."""
    store = place.world.store
    store.begin()
    store.forget_below(19)
    store.commit()
    store.close()
    return place


@pytest.mark.parametrize(("level", "bodies", "done"), [(0, 0, 0), (1, 13, 0), (2, 13, 0), (3, 13, 12), (4, 13, 12)])
def test_a_pruned_chain_is_verified_as_far_as_it_is_there(
    explore: Explore, pruned: Place, level: int, bodies: int, done: int
) -> None:
    ran = explore("verify", "--level", str(level), "--json")
    conforms(ran.json, SCHEMA["verify"])
    assert (ran.code, ran.json["kept_from"], ran.json["headers"], ran.json["bodies"]) == (0, 19, 31, bodies)
    assert (ran.json["replayed"], ran.json["undone"], ran.json["equal"]) == (done, done, True if done else None)
    said = "blocks below 19 were forgotten (--prune): their headers are verified, not their bodies"
    assert said in explore("verify", "--level", str(level)).out


@pytest.mark.parametrize(
    ("change", "level", "code", "height"),
    [
        ("UPDATE header SET time=time+1 WHERE height=9", 0, "STORE", 9),
        ("DELETE FROM body WHERE n=(SELECT n FROM header WHERE height=25)", 1, "STORE", 25),
        ("DELETE FROM undo WHERE n=(SELECT n FROM header WHERE height=25)", 3, "STORE", 25),
        ("UPDATE undo SET undo=x'8080' WHERE n=(SELECT n FROM header WHERE height=25)", 3, "STORE", 25),
        ("UPDATE undo SET undo=x'82818300000080' WHERE n=(SELECT n FROM header WHERE height=25)", 3, "STORE", 25),
        ("UPDATE undo SET undo=x'828080' WHERE n=(SELECT n FROM header WHERE height=19)", 3, "S2", 19),
        ("UPDATE active SET fees=fees+1 WHERE height=19", 3, "STORE", 19),
        ("DELETE FROM anchor WHERE height=19", 3, "STORE", 30),
    ],
)
def test_what_is_wrong_in_a_pruned_chain_is_found(
    explore: Explore, pruned: Place, change: str, level: int, code: str, height: int
) -> None:
    db = _sqlite(pruned)
    db.execute(change)
    db.commit()
    db.close()
    ran = explore("verify", "--level", str(level), "--json")
    assert (ran.code, ran.json["fault"]["code"], ran.json["fault"]["height"]) == (5, code, height)


def test_what_was_forgotten_is_said(explore: Explore, pruned: Place) -> None:
    assert "bodies 19 to 30/30 (pruned)" in explore("status").out
    status = explore("status", "--json").json
    conforms(status, SCHEMA["status"])
    assert status["kept_from"] == 19
    ran = explore("export", "txs")
    assert (ran.code, ran.out) == (4, "")
    assert "--from 19" in ran.err
    ran = explore("export", "txs", "--to", "16", "--json")
    assert (ran.code, ran.out) == (0, "")
    assert "blocks below 19 were forgotten (--prune): by their headers, those from 1 to 16 have no" in ran.err
    assert explore("export", "txs", "--from", "19").err == ""


TABLES = ("header", "body", "undo", "reorg", "active", "account", "name", "anchor", "evidence", "tx", "touch", "note")


@pytest.mark.parametrize("table", TABLES)
def test_a_folder_of_a_stranger_with_rows_of_other_types_fails_cleanly(
    explore: Explore, place: Place, table: str
) -> None:
    """Columns of sqlite3 take anything: each is given a text, a number and other bytes, and nothing is a bug."""
    place.world.store.close()
    original = file_in(place.data).read_bytes()
    db = _sqlite(place)
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "n"]
    db.close()
    for column in columns:
        for value in ("'text'", "7", "x'ff07'"):
            file_in(place.data).write_bytes(original)
            db = _sqlite(place)
            try:
                db.execute(f"UPDATE OR IGNORE {table} SET {column}={value}")
                db.commit()
            except sqlite3.IntegrityError:  # a key that must be a number
                continue
            finally:
                db.close()
            for line in _SCREENS_OF[table]:
                ran = explore(*line.split())
                assert "a bug in" not in ran.err, (column, value, line, ran)


_SCREENS_OF = dict.fromkeys(TABLES, ("status", "address edge-3 --history")) | {
    "header": ("status", "block 17", "forks", "verify --level 0"), "body": ("block 17 --txs", "verify"),
    "undo": ("verify --level 4",), "reorg": ("status", "forks"), "active": ("status", "blocks", "verify", "stats"),
    "account": ("supply", "address edge-3", "verify --level 4"), "name": ("names", "name edge-3", "blocks"),
    "anchor": ("anchor report.txt", "search lab/"), "evidence": ("evidence",), "tx": ("tx 9f13", "proof make 9f13"),
}  # fmt: skip


def test_a_wrong_sum_is_told(explore: Explore, place: Place) -> None:
    place.world.store.close()
    db = _sqlite(place)
    db.execute("UPDATE account SET balance=balance+5 WHERE balance=(SELECT max(balance) FROM account)")
    db.commit()
    db.close()
    ran = explore("supply")
    assert ran.code == 5
    assert "WRONG by 0.000005" in ran.out


def _sqlite(place: Place):  # type: ignore[no-untyped-def]
    import sqlite3

    return sqlite3.connect(file_in(place.data))


def test_decode_names_the_rule_that_fails(explore: Explore, place: Place) -> None:
    raw = bytes.fromhex(explore("tx", "9f13", "--raw").out)
    cases = {
        raw: None, raw[:-1] + bytes([raw[-1] ^ 1]): "X7", raw.replace(b"relay", b"delay"): "X7",
        place.world.make.tx("anna", pay("cam-1", 5), nonce=0, fee=1): "X8",
        place.world.make.tx("anna", nonce=0, fee=100): "X4",
        place.world.make.tx("anna", pay("cam-1", 5), nonce=0, fee=100, chain_id=bytes(8)): "X3",
    }  # fmt: skip
    for given, rule in cases.items():
        ran = explore("decode", given.hex(), "--json")
        assert (ran.code, ran.json["rule"]) == (5 if rule else 0, rule)


def test_decode_without_a_chain_goes_by_what_bytes_say_of_themselves(explore: Explore, tmp_path: Path) -> None:
    raw = explore("tx", "9f13", "--raw").out.strip()
    ran = explore("--home", str(tmp_path / "nowhere"), "decode", raw)
    assert ran.code == 0
    assert "no chain is here" in ran.out


def test_hints_name_the_folder_of_the_line(explore: Explore, place: Place) -> None:
    for option in ("--data", "--home"):
        assert f"chain-explorer {option} {place.home} search" in explore(option, str(place.home), "tx", "00000000").err


# --- references ------------------------------------------------------------------------------


def test_ids_shown_in_tables_can_be_pasted(explore: Explore) -> None:
    assert explore("block", "7ec6457a…80bd", "-f", "height").out == "30\n"
    assert explore("block", "7ec6457a...80bd", "-f", "height").out == "30\n"
    assert explore("block", "7ec6457a…80be").code == 4
    shown = explore("supply").out.split()
    address = next(word for word in shown if word.startswith("xs1"))
    assert explore("address", address, "-f", "name").out == "edge-3\n"


def test_an_account_is_found_by_address_key_and_name(explore: Explore) -> None:
    address = explore("address", "edge-3", "-f", "address").out.strip()
    key = key_of("edge-3").key.hex()
    for text in (address, address.upper(), address[:12], key, key[:4], "edge-3"):
        assert explore("address", text, "-f", "key").out.strip() == key
    assert explore("address", key[:3]).code in (2, 4)


def test_an_ambiguous_beginning_names_what_it_may_be(explore: Explore, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    world = begin(folder)
    world.empty(14)
    digests = [bytes.fromhex("abcd") + bytes([n]) * 30 for n in range(3)]
    world.block(world.tx("edge-3", *map(Anchor, digests)))
    world.store.close()
    ran = explore("--data", str(folder), "anchor", "abcd")
    assert ran.code == 2
    assert "3 anchored digests begin with 'abcd'" in ran.err
    assert digests[2].hex() in ran.err
    assert explore("--data", str(folder), "anchor", "abcd0101").code == 0
    assert len(explore("--data", str(folder), "search", "abcd", "--json").lines) == 3


def test_lists_go_on_where_they_were_cut(explore: Explore) -> None:
    whole = explore("blocks", "--json").lines + explore("blocks", "--before", "11", "--json").lines
    assert [one["height"] for one in whole] == list(range(30, -1, -1))
    history = explore("address", "cam-1", "--history", "--json").lines
    parts, hint = [], "address cam-1 --history"
    while hint:
        ran = explore(*hint.split(), "--limit", "3", "--json")
        parts += ran.lines
        hint = ran.err.partition("more: chain-explorer ")[2].strip()
    assert parts == history
    assert len(history) == 8


def test_a_time_finds_the_block_that_was_newest_then(explore: Explore) -> None:
    tip = explore("block", "-1", "--json").json
    assert explore("block", f"@{tip['time']}", "-f", "height").out == "30\n"
    assert explore("block", f"@{tip['time'] - 1}", "-f", "height").out == "29\n"
    assert explore("block", "@-12s", "-f", "height").out == "30\n"
    assert explore("block", "@-13s", "-f", "height").out == "29\n"
    assert explore("block", "@2030-01-01", "-f", "height").out == "30\n"


# --- help ------------------------------------------------------------------------------------

COMMANDS = [(), *((name,) for name in LAZY), ("proof", "make"), ("proof", "check")]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_fits(explore: Explore, path: tuple[str, ...]) -> None:
    ran = explore(*path, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Example:\n  " in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_every_command_is_in_the_list_with_its_help(explore: Explore) -> None:
    assert [name for name in LAZY if f"\n  {name} " not in explore("--help").out] == []
    assert explore().out == explore("--help").out


# --- what strangers wrote ----------------------------------------------------------------------

SCREENS = [
    "status", "blocks", "block 17 --txs", "block -1", "tx {tx}", "address {key}", "address {key} --history", "names",
    "name {name}", "search {name}", "search aaaa", "forks --tree", "supply", "stats", "stats --plot miners",
    "anchor {digest}", "proof check p --trust none", "decode {raw}",
]  # fmt: skip


def test_hostile_texts_reach_no_terminal_and_fit(explore: Explore, tmp_path: Path) -> None:
    """Names of 32 letters, memos, tags, values and extra bytes of the worst that there is."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    world = begin(folder)
    world.empty(16)
    names = [bytes([letter]) * 32 for letter in b"ab"]
    worst = (HOSTILE * 8)[:128]
    digest = b"\x09" * 32
    block = world.block(
        world.tx("edge-3", *(SetName(name, worst) for name in names), fee=2_100_000),
        world.tx("cam-1", pay("edge-3", 123_456_789_012 % 40_000_000, memo=worst[:32]), Anchor(digest, tag=worst[:32])),
        extra=b"\x1b]0;x\x07\n\r\x9b31m"[:16],
    )
    world.empty(1)
    world.store.close()
    raw = block.txs[1]
    where = ("--data", str(folder))
    explore(*where, "proof", "make", digest.hex(), "-o", "p")
    given = {"tx": explore(*where, "block", "17", "--txs", "-f", "transactions.1.txid").out.strip()[:8],
             "key": key_of("edge-3").key.hex(), "name": names[0].decode(), "digest": digest.hex(),
             "raw": raw.hex()}  # fmt: skip
    for screen in SCREENS:
        ran = explore(*where, *screen.format(**given).split())
        assert ran.code == 0, ran
        for char in ran.out + ran.err:
            assert char == "\n" or char.isprintable(), (screen, char)
            assert unicodedata.bidirectional(char) not in ("R", "AL", "RLO", "LRO", "RLE", "LRE"), (screen, char)
        for line in ran.out.splitlines():
            assert len(line) <= 80, (screen, line)
    assert r"\u202e" in explore(*where, "tx", given["tx"]).out
    assert r"\x1b" in explore(*where, "block", "17").out


def test_no_colour_and_no_bars_where_stdout_is_no_terminal(explore: Explore) -> None:
    for line in ("status", "blocks", "stats --plot interval", "verify"):
        assert "\x1b" not in explore(*line.split()).out


# --- processes -------------------------------------------------------------------------------

LINE = [sys.executable, "-m", "apps.chain.cli.explorer.main"]
HEAVY = (
    *("trio", "cryptography", "nacl", "rich", "starlette", "hypercorn", "matplotlib", "plotext", "http", "ssl"),
    *("asyncio", "platformdirs"),
)
_SCRIPT = f"""
import sys
from apps.chain.cli.explorer.main import run_line
code = run_line(sys.argv[1:])
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("line", ["status", "blocks --limit 40", "block 17 --txs", "address edge-3 --json", "supply"])
def test_nothing_heavy_is_imported(place: Place, line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *line.split()], capture_output=True, text=True, timeout=60, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout
    assert done.stderr == "[]\n"


def test_a_reader_that_has_enough_ends_it_quietly(place: Place) -> None:
    line = f"'{sys.executable}' -m apps.chain.cli.explorer.main export headers | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (done.stderr, done.returncode) == ("", 0)


def test_nothing_is_written_to_a_chain_that_is_read(explore: Explore, place: Place, tmp_path: Path) -> None:
    place.world.store.close()
    copy = tmp_path / "copy"
    shutil.copytree(place.data, copy)
    before = file_in(copy).read_bytes()
    assert explore("--data", str(copy), "verify").code == 0
    assert file_in(copy).read_bytes() == before


def test_a_picture_is_drawn(explore: Explore, tmp_path: Path) -> None:
    ran = explore("stats", "--png", "all.png")
    assert ran.code == 0
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    assert explore("stats", "--png", "no/such/all.png").code == 2


def test_now_is_the_clock_of_the_session(explore: Explore) -> None:
    assert "12 s ago" in explore("status").out
    assert "in 8 s" in explore("status", now=NOW - 20).out
