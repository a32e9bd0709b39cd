"""What a person sees: it fits into 80 columns, has no colour where none is wanted, and nothing of a peer in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from overlay.identity.network import Network
from overlay.wire.ticket import make_ticket
from p2pnode.ui.render import cut
from tests.cli.conftest import Run
from tests.support.fake_node import ID, KEY, OTHERS, FakeNode

TABLES = [("peers",), ("dht", "table"), ("dht", "own"), ("dht", "providers", "ab" * 32)]


@pytest.mark.parametrize("line", TABLES, ids=" ".join)
def test_tables_fit_into_80_columns(
    run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    name = "名" * 10 + "\x1b[31m" + "n" * 20
    own = {"key": "ab" * 32, "kind": "provider", "seq": 1795366034226, "expires_s": 86399.0}
    names = (name.encode(), b"\xff" * 32, b"n" * 24, None)
    monkeypatch.setattr(FakeNode, "_own", lambda _: [own | {"name": name} for name in names])
    node._provide("ab" * 32)
    out = run(*line).out
    assert len(out.splitlines()) >= 2
    assert max(len(text) for text in out.splitlines()) <= 80


def test_a_name_is_cut_to_columns_and_not_to_letters() -> None:
    assert cut("n" * 24, 24) == "n" * 24
    assert cut("n" * 25, 24) == "n" * 23 + "…"
    assert cut("名" * 13, 24) == "名" * 11 + "…"


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (Network("p2pnode"), ""),
        (Network("my office", puzzle_bits=3), "--network 'my office' --puzzle-bits 3 "),
        (Network("office", psk=bytes(32)), "--network office --network-key FILE "),
    ],
)
def test_who_has_no_peers_is_told_what_to_type_elsewhere(
    run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch, network: Network, options: str
) -> None:
    monkeypatch.setattr(FakeNode, "_peers", lambda _: [])
    node.ticket = make_ticket(network, KEY, ())
    for listen, where in ((["udp 127.0.0.1:1"], "from another home"), (["udp 0.0.0.0:1"], "on another machine")):
        node.listen = listen
        assert f"{where}:   p2pnode run {options}--join {node.ticket}\n" in run("peers").err


def test_table_shows_short_ids(run: Run, node: FakeNode) -> None:
    out = run("peers").out
    assert OTHERS[0][:9] in out
    assert OTHERS[0][:10] not in out


@pytest.mark.parametrize("variable", [None, "NO_COLOR"])
def test_colour_is_for_a_terminal(
    run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable is not None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv(variable, "1")
    sys.modules.pop("rich.table", None)
    assert "\x1b" not in run("peers").out
    assert "rich.table" not in sys.modules


def test_escape_sequence_in_a_field_is_defused(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = node._peers()[0] | {"role": "\x1b[31mfull\u202e"}
    monkeypatch.setattr(FakeNode, "_peers", lambda _: [peer])
    out = run("peers").out
    assert "?[31mfull?" in out
    assert "\x1b" not in out


def test_put_says_how_to_read_it_elsewhere(run: Run, node: FakeNode) -> None:
    ran = run("dht", "put", "hello", "--name", "greeting")
    assert ran.out.strip() == ran.out.split()[0]  # the key alone: for $(...)
    assert f"anywhere on the network:\np2pnode dht get {ran.out.strip()}\n" in ran.err
    assert f"where this node is known:   p2pnode dht get {ID[:9]}/greeting\n" in ran.err
    assert max(len(line) for line in ran.err.splitlines()) <= 80


def test_get_prints_the_value_alone(run: Run, node: FakeNode) -> None:
    node._put(b"hello", "greeting")
    ran = run("dht", "get", f"{ID}/greeting")
    assert ran.out == "hello\n"
    assert "signed by" in ran.err


def test_status_is_a_sentence_first(run: Run, node: FakeNode) -> None:
    assert run("status").out.splitlines()[0] == "connected: 3 peers, 3 in the table"


def test_stop_tells_the_node(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pnode.cli.commands.stop.ended", lambda _pid, *, within_s: True)  # it is this process
    assert run("stop", "--json").json == {"v": 1, "stopped": True}
    assert node.stopped.is_set()


def test_config_and_paths(run: Run, home: Path) -> None:
    assert run("config", "check").err.startswith("ok: 0 settings")
    (home / "node.toml").write_text("lan = false\n[network]\nname = 'office'\n")
    shown = run("config", "show", "--json").json
    assert shown["settings"]["network.name"] == "office"
    assert shown["sources"] == {"lan": "node.toml", "network.name": "node.toml"}
    assert run("config", "paths", "--json").json["socket"] == str(home / "control.sock")
    (home / "node.toml").write_text("[network]\nnmae = 'office'\n")
    wrong = run("config", "check")
    assert wrong.code == 2
    assert "network.nmae: unknown key; did you mean network.name?" in wrong.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('join = ["x"]', "cannot join 'x'"),
        ('[network]\nkey_file = "gone.key"', "network key: the key file cannot be read"),
        ('[network]\nname = " "', "not a network name"),
        ('listen = ["127.0.0.1:0", "127.0.0.1:1"]', "expected one IPv4 address, one IPv6 address or both"),
        ('listen = ["[::1]:0", "0.0.0.0:1", "[::]:1"]', "expected one IPv4 address, one IPv6 address or both"),
        ("listen = []", "expected one IPv4 address, one IPv6 address or both, not none"),
        ('apps = ["no.such:App"]', "an application cannot be loaded"),
    ],
)
def test_check_looks_at_what_settings_name(run: Run, home: Path, settings: str, said: str) -> None:
    (home / "node.toml").write_text(settings)
    ran = run("config", "check")
    assert ran.code == 2
    assert said in ran.err


def test_sample_of_settings_is_valid(run: Run, home: Path) -> None:
    (home / "node.toml").write_text(run("config", "show", "--defaults").out)
    assert run("config", "check").code == 0


def test_identity(run: Run, home: Path, tmp_path: Path) -> None:
    assert run("id", "show").code == 4
    made = run("id", "new", "--puzzle-bits", "0", "--json").json
    assert (home / "node.key").stat().st_mode & 0o777 == 0o600
    assert run("id", "show", "--json").json == made
    assert list(made)[:4] == ["v", "id", "key", "address"]
    again = run("id", "new")
    assert again.code == 1
    assert "never overwritten" in again.err
    copy = tmp_path / "copy.pem"
    assert run("id", "export", str(copy)).code == 0
    (home / "node.key").unlink()
    assert run("id", "import", str(copy), "--json").json == made


def test_a_failed_import_leaves_nothing_and_names_its_own_command(run: Run, home: Path, tmp_path: Path) -> None:
    home.rmdir()
    ran = run("id", "import", str(tmp_path / "gone.pem"))
    assert ran.code == 2
    (tmp_path / "bad.pem").write_text("no key")
    assert run("id", "import", str(tmp_path / "bad.pem")).code == 1
    assert not home.exists()
    run("id", "new", "--puzzle-bits", "0")
    assert "p2pnode --home DIR id import bad.pem\n" in run("id", "import", "bad.pem").err


def test_the_settings_of_a_running_node_may_be_others(run: Run, node: FakeNode) -> None:
    assert "perhaps with options of its own" in run("config", "show").err
    assert run("config", "show", "--defaults").err == ""


def test_identity_with_a_passphrase(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PNODE_PASSPHRASE", "correct horse")
    made = run("id", "new", "--puzzle-bits", "0", "--passphrase", "--json").json
    assert b"ENCRYPTED" in (home / "node.key").read_bytes()
    assert run("id", "show", "--json").json == made
    monkeypatch.setenv("P2PNODE_PASSPHRASE", "wrong")
    assert run("id", "show").code == 1


def test_network_key(run: Run, tmp_path: Path) -> None:
    from overlay.identity.network import parse_psk

    file = tmp_path / "office.key"
    assert run("network", "new", str(file)).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    first = parse_psk(file.read_text())
    assert run("network", "new", str(file)).code == 1  # never over another
    assert parse_psk(run("network", "new").out) != first


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, shell: str) -> None:
    assert "_P2PNODE_COMPLETE" in run("completion", shell).out


def test_completion_of_an_unknown_shell(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/unusual")
    assert run("completion").code == 2


@pytest.mark.parametrize(("name", "shown"), [("two words", "'{}/two words'"), ("a\x1b[31m\nb", "{key}")])
def test_put_says_it_so_that_a_shell_takes_it(run: Run, node: FakeNode, name: str, shown: str) -> None:
    ran = run("dht", "put", "hello", "--name", name)
    assert f"p2pnode dht get {shown.format(ID[:9], key=ran.out.strip())}\n" in ran.err
    assert "\x1b" not in ran.err


def test_put_without_a_peer_says_that_only_this_node_has_it(
    run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {"v": 1, "key": "ab" * 32, "kind": "blob", "stored": 1, "others": 0, "rpcs": 0, "expires_s": None}
    monkeypatch.setattr(FakeNode, "_put", lambda *_, **__: alone)
    assert "only this node has it" in run("dht", "put", "hello").err


def test_network_key_on_stdout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in [(), ("-",)]:
        assert run("network", "new", *line).out.startswith("p2pnode-key1:")
    assert not (tmp_path / "-").exists()
