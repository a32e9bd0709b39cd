"""Settings: where they come from, which one wins, and what is said about those that cannot be used."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core import limits as chain_limits
from p2pnode import config as settings
from p2pnode import config_load, config_text
from p2pnode.config import Config, ConfigError, NetworkConfig
from p2pnode.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def load(home: Home, text: str = "", *, environ: dict[str, str] | None = None, **options: Any) -> Config:
    home.config.write_text(text)
    return config_load.load(home, environ=environ or {}, options={k.replace("__", "."): v for k, v in options.items()})


def problems_of(home: Home, text: str = "", **kwargs: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(home, text, **kwargs)
    return caught.value.problems


def test_without_a_file_all_is_default(home: Home) -> None:
    assert config_load.load(home, environ={}) == Config()


def test_the_sample_parses_to_the_defaults_commented_and_not(home: Home) -> None:
    sample = config_text.defaults_text()
    assert tomllib.loads(sample) == {"network": {}, "log": {}}
    active = re.sub(r"^#(?=[a-z])", "", sample, flags=re.MULTILINE)
    loaded = load(home, active)
    assert loaded == Config()
    assert set(loaded.sources) == set(settings.OPTIONS)


def test_the_sample_explains_every_setting() -> None:
    sample = config_text.defaults_text()
    for path, option in settings.OPTIONS.items():
        assert f"\n#{path.rpartition('.')[2]} = " in sample
        assert option.help.splitlines()[0] in sample
        assert settings.variable_of(path) in sample


def test_later_sources_win_and_are_remembered(home: Home) -> None:
    text = 'lan = false\n[network]\nname = "file"\npuzzle_bits = 1'
    environ = {"P2PNODE_NETWORK_NAME": "variable", "P2PNODE_NETWORK_PUZZLE_BITS": "2"}
    loaded = load(home, text, environ=environ, network__name="option", join=(), bridge=None)
    assert loaded == Config(lan=False, network=NetworkConfig(name="option", puzzle_bits=2))
    assert dict(loaded.sources) == {
        "lan": "node.toml",
        "network.name": "command line",
        "network.puzzle_bits": "P2PNODE_NETWORK_PUZZLE_BITS",
    }
    shown = config_text.as_toml(loaded)
    assert 'name = "option"  # command line' in shown
    assert "#bridge" in shown
    assert load(home, shown) == loaded


def test_variables_are_read_as_the_type_of_their_setting(home: Home) -> None:
    environ = {"P2PNODE_LAN": "No", "P2PNODE_LISTEN": "127.0.0.1:1, [::1]:2", "P2PNODE_PORT": "tcp://10.0.0.1:80"}
    loaded = load(home, environ=environ)
    assert loaded.lan is False
    assert loaded.listen == ("127.0.0.1:1", "[::1]:2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[network]\npuzzle_bits = "12"', "node.toml: network.puzzle_bits: expected int, got str"),
        ("[network]\npuzzle_bits = true", "node.toml: network.puzzle_bits: expected int, got bool"),
        ("[network]\npuzzle_bits = 33", "node.toml: network.puzzle_bits: expected 0 to 32, got 33"),
        ("[network]\npuzzle_bit = 3", "node.toml: network.puzzle_bit: unknown key; did you mean network.puzzle_bits?"),
        ("puzzle_bits = 3", "node.toml: puzzle_bits: unknown key; did you mean network.puzzle_bits?"),
        ("colour = 3", "node.toml: colour: unknown key"),
        ("[newtork]\nname = 'x'", "node.toml: newtork: unknown key; did you mean network.name?"),
        ("network = 'x'", "node.toml: network: expected table, got str"),
        ("[network]\nname = ''", "node.toml: network.name: expected 1 to 64 bytes of printable text, got ''"),
        ("lan = 1", "node.toml: lan: expected bool, got int"),
        ("join = 'x'", "node.toml: join: expected list, got str"),
        ("join = ['x', 2.5]", "node.toml: join[1]: expected str, got float"),
        ("listen = ['x']", "node.toml: listen: expected HOST:PORT or [IPV6]:PORT, not 'x'"),
        ("listen = ['::1:80']", "node.toml: listen: expected HOST:PORT or [IPV6]:PORT, not '::1:80'"),
        ("listen = ['h:65536']", "node.toml: listen: expected HOST:PORT or [IPV6]:PORT, not 'h:65536'"),
        ("bridge = 'x'", "node.toml: bridge: expected PORT or HOST:PORT, got 'x'"),
        ("prune = 287", "node.toml: prune: expected 0, or 288 and more, got 287"),
        ("prune = -1", "node.toml: prune: expected 0, or 288 and more, got -1"),
        (
            "assume_valid = '5:ab'",
            "node.toml: assume_valid: expected HEIGHT:ID, a height above 0 and an id of 64 hex digits, got '5:ab'",
        ),
        ("[log]\nlevel = 'loud'", "node.toml: log.level: expected one of error, warning, info, debug, got 'loud'"),
        ("[log]\nfile = 2026-01-01", "node.toml: log.file: expected str, got date"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path(text: str, problem: str, home: Home) -> None:
    assert problems_of(home, text) == [problem]


def test_the_block_that_is_assumed_valid_is_a_height_and_an_id(home: Home) -> None:
    assert load(home, environ={}).assumed_block is None
    loaded = load(home, environ={"P2PNODE_ASSUME_VALID": "100:" + "0a" * 32})
    assert loaded.assumed_block == (100, b"\n" * 32)


def test_nothing_is_pruned_that_a_chain_has_to_keep(home: Home) -> None:
    assert settings.MIN_KEPT == chain_limits.MIN_KEPT
    assert load(home, environ={"P2PNODE_PRUNE": str(settings.MIN_KEPT)}).prune == settings.MIN_KEPT


def test_all_faults_of_all_sources_are_told_at_once(home: Home) -> None:
    environ = {"P2PNODE_LAN": "perhaps", "P2PNODE_NETWORK_PUZZLE_BITS": "9" * 5000}
    assert problems_of(home, "lan = 1", environ=environ, network__puzzle_bits=99) == [
        "node.toml: lan: expected bool, got int",
        "P2PNODE_LAN: expected true or false, got 'perhaps'",
        f"P2PNODE_NETWORK_PUZZLE_BITS: expected a whole number, got '{'9' * 40}'",
        "command line: network.puzzle_bits: expected 0 to 32, got 99",
    ]


@pytest.mark.parametrize("text", ["lan = ", "x" * 10, "lan = " + "9" * 5000])
def test_a_file_that_is_not_toml_is_named(text: str, home: Home) -> None:
    (problem,) = problems_of(home, text)
    assert problem.startswith(f"{home.config}: not TOML: ")


def test_files_that_cannot_be_read_or_are_something_else_are_named(home: Home) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        config_load.load(home, file=home.dir / "missing.toml", environ={})
    home.config.write_text("#" * (config_load.MAX_FILE + 1))
    with pytest.raises(ConfigError, match="larger than"):
        config_load.load(home, environ={})


def test_paths_count_from_the_folder_of_the_file_that_names_them(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    loaded = load(home, '[network]\nkey_file = "psk"\n[log]\nfile = "/var/log/node.log"')
    assert loaded.network.key_file == tmp_path / "psk"
    assert loaded.log.file == Path("/var/log/node.log")
    assert load(home, network__key_file=Path("psk")).network.key_file == Path("/psk")
    assert load(home, '[network]\nkey_file = "psk"', network__key_file="").network.key_file is None


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_any_text_survives_the_way_through_toml(texts: list[str]) -> None:
    shown = config_text.as_toml(Config(join=tuple(texts), sources={"join": "test"}))
    assert tomllib.loads(shown)["join"] == texts


def test_importing_it_is_cheap() -> None:
    """A command that only asks a node must start in 200 ms: the list of what may not be loaded is that goal's."""
    heavy = {"trio", "cryptography", "nacl", "rich", "starlette", "overlay", "platformdirs", "difflib", "sqlite3"}
    script = "import sys, p2pnode.config_load, p2pnode.paths, p2pnode.lock, p2pnode.trace; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert heavy.isdisjoint(loaded.split())
