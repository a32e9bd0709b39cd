"""Which folder is the home, what is in it, and when it is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from p2pnode.paths import Home, HomeError, find_home


def test_the_option_beats_the_variable_beats_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))  # platformdirs reads it itself
    environ = {"P2PNODE_HOME": str(tmp_path / "variable")}
    assert find_home(tmp_path / "option", environ=environ).dir == tmp_path / "option"
    assert find_home(None, environ=environ).dir == tmp_path / "variable"
    assert find_home("", environ={"P2PNODE_HOME": ""}).dir.name == "p2pnode"


def test_a_home_is_absolute_wherever_the_program_goes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home("here", environ={}).dir == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_home("~/there", environ={}).dir == tmp_path / "there"


def test_a_new_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b").make()
    assert stat.S_IMODE(home.dir.stat().st_mode) == 0o700
    assert home.make() == home
    assert {path.parent for label, path in home.files().items() if label != "home"} == {home.dir}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_home_that_others_may_write_to_is_refused_with_the_command(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(HomeError, match="others may write") as caught:
        Home(folder).make()
    assert caught.value.facts["close it"] == f"chmod go-w '{folder}'"


def test_a_home_that_others_may_read_will_do(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    Home(tmp_path / "home").make()


def test_a_home_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match=r"cannot be made .*reason: "):
        Home(tmp_path / "file").make()
    with pytest.raises(HomeError, match="cannot be made"):
        Home(tmp_path / "file" / "home").make()
