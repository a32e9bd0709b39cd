"""--json of every command that reads: keys, order and form are a contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli import golden
from tests.cli.conftest import Run
from tests.support.fake_node import ID, OTHERS, FakeNode

KEY = "ab" * 32

LINES: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "ticket": ("ticket",),
    "id-show": ("id", "show"),
    "peers": ("peers",),
    "peers-list": ("peers", "list"),
    "peers-show": ("peers", "show", OTHERS[0][:6]),
    "peers-ping": ("peers", "ping", OTHERS[1], "--count", "2", "--interval", "0"),
    "dht-put-blob": ("dht", "put", "hello"),
    "dht-put-signed": ("dht", "put", "hello", "--name", "greeting", "--ttl", "1h", "--profile", "cheap"),
    "dht-get-signed": ("dht", "get", f"{ID[:9]}/known"),
    "dht-get-binary": ("dht", "get", f"{ID}/binary"),
    "dht-lookup": ("dht", "lookup", KEY),
    "dht-provide": ("dht", "provide", KEY),
    "dht-providers": ("dht", "providers", KEY),
    "dht-table": ("dht", "table"),
    "dht-own": ("dht", "own"),
    "dht-forget": ("dht", "forget", "known"),
    "topic-pub": ("topic", "pub", "news", "hello"),
    "topic-list": ("topic", "list"),
    "app-list": ("app", "list"),
    "app-ask": ("app", "ask", "chat", "say", "text=hello"),
    "error-not-found": ("dht", "get", f"{ID}/nothing"),
    "error-usage": ("dht", "get", "xyz"),
}


@pytest.mark.parametrize("name", LINES)
def test_json(run: Run, node: FakeNode, home: Path, name: str) -> None:
    node._put(b"a value", "known")
    node._put(b"\x00\xff", "binary")
    ran = run(*LINES[name], "--json")
    text = re.sub(r'"uptime_s": [0-9.]+', '"uptime_s": 1.0', ran.out)
    golden.check(f"json-{name}", f"exit {ran.code}\n{text.replace(str(home), 'HOME')}")
    assert ran.err == ""
    assert all(line["v"] == 1 for line in ran.lines)


def test_name_that_is_not_text_is_base64(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"key": KEY, "kind": "signed", "name": b"\xff\x00", "seq": 1, "expires_s": None}
    monkeypatch.setattr(FakeNode, "_own", lambda _: [own])
    assert run("dht", "own", "--json").json["records"] == [own | {"name": {"base64": "/wA="}}]
    assert "base64:/wA=" in run("dht", "own").out


def test_what_is_not_there_cannot_be_forgotten(run: Run, node: FakeNode) -> None:
    ran = run("dht", "forget", "nothing")
    assert ran.code == 4
    assert "publishes nothing under" in ran.err
    assert run("dht", "forget", "n" * 33).code == 2


def test_lost_swap_names_both_versions(run: Run, node: FakeNode, home: Path) -> None:
    facts = {"expected seq": "3", "found seq": "4", "read it": f"p2pnode dht get {KEY}"}
    node.fails["put"] = ("failed", "the record has seq 4, not 3: read it again and decide", facts)
    ran = run("dht", "put", "x", "--name", "n", "--cas", "3", "--json")
    assert (ran.code, ran.json["error"]["facts"]) == (1, facts | {"read it": f"p2pnode --home {home} dht get {KEY}"})


def test_contract_of_status(run: Run, node: FakeNode) -> None:
    status = run("status", "--json").json
    keys = ["v", "id", "network", "listen", "ticket", "peers", "table", "records", "uptime_s", "version", "role"]
    assert list(status)[: len(keys)] == keys


def test_contract_of_peers(run: Run, node: FakeNode) -> None:
    lines = run("peers", "list", "--json").lines
    assert [set(line) - {"v"} for line in lines] == [{"id", "address", "rtt_ms", "last_seen_s", "role", "score"}] * 3


def test_put_passes_on_what_was_said(run: Run, node: FakeNode) -> None:
    run("dht", "put", "x", "--name", "n", "--ttl", "90s", "--profile", "cheap", "--cas", "0")
    assert node.asked == [("put", {"value": b"x", "name": "n", "ttl_s": 90, "profile": "cheap", "cas": 0})]


@pytest.mark.parametrize("value", [b"", b"plain", b"two\nlines\n", b"\x00\xff\x1b[31m", "grüße".encode()])
def test_value_from_stdin_comes_back_byte_for_byte(run: Run, node: FakeNode, value: bytes) -> None:
    key = run("dht", "put", "-", "--json", stdin=value).json["key"]
    raw = run("dht", "get", key, "--raw")
    assert raw.out.encode(errors="surrogateescape") == value
    assert raw.err == ""


def test_value_that_is_not_text_never_reaches_the_terminal(run: Run, node: FakeNode) -> None:
    key = run("dht", "put", "-", "--json", stdin=b"\x1b]0;owned\x07").json["key"]
    ran = run("dht", "get", key)
    assert ran.out == "base64:G10wO293bmVkBw==\n"
    assert "--raw" in ran.err
