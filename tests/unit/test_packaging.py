"""What is installed is what is in the tree, and it runs away from the tree."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("overlay", "p2pnode", "apps", "simulations")
BUILD_FILES = ("setup.cfg", "pyproject.toml", "README.md")


def _run(arguments: list[str], *, cwd: Path, **env: str) -> str:
    run = subprocess.run(arguments, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def _metadata(key: str) -> str:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config["metadata"][key]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders behind, and what an earlier one left would be packed again."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index", "--no-deps"]
    _run([*pip, "--no-build-isolation", "--wheel-dir", str(target), str(source)], cwd=target)
    (path,) = target.glob("p2pnode-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's content; the dependencies are those of the tests."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    _run([*pip, "--target", str(target), str(wheel)], cwd=target)
    return target


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == tree


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_shipped(wheel: Path, package: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert f"{package}/py.typed" in archive.namelist()


def test_the_installed_modules_are_used_outside_the_tree(installed: Path, tmp_path: Path) -> None:
    program = "import overlay, p2pnode; print(*overlay.__path__, *p2pnode.__path__)"
    places = _run([sys.executable, "-c", program], cwd=tmp_path, PYTHONPATH=str(installed)).split()
    assert places == [str(installed / "overlay"), str(installed / "p2pnode")]


def test_version_is_that_of_the_metadata(installed: Path, tmp_path: Path) -> None:
    said = _run([str(installed / "bin" / "p2pnode"), "--version"], cwd=tmp_path, PYTHONPATH=str(installed))
    assert _metadata("version") in said


def test_help_names_the_verbs(installed: Path, tmp_path: Path) -> None:
    said = _run([str(installed / "bin" / "p2pnode"), "--help"], cwd=tmp_path, PYTHONPATH=str(installed))
    words = said.split()
    assert [verb for verb in ("run", "status", "demo", "stop", "doctor", "peers", "dht") if verb not in words] == []


def test_importing_overlay_starts_nothing(installed: Path, tmp_path: Path) -> None:
    """The core must stay usable by a program without trio, sockets or a database."""
    program = "import sys, overlay; print(*sorted({'trio', 'sqlite3', 'asyncio'} & set(sys.modules)))"
    assert _run([sys.executable, "-c", program], cwd=tmp_path, PYTHONPATH=str(installed)).split() == []


def _imports(node: ast.AST) -> Iterator[str]:
    """Top-level names that are imported below `node` when the program runs."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
        yield from _imports(child)


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _distributions_of(paths: Iterable[Path]) -> set[str]:
    """Distributions that these files import, the standard library and our own packages apart."""
    names = {name for path in paths for name in _imports(ast.parse(path.read_text("utf-8")))}
    distributions = packages_distributions()
    foreign = names - set(sys.stdlib_module_names) - {*PACKAGES, "tests"}
    return {_normal(distributions.get(name, [name])[0]) for name in foreign}


def _required(section: str, option: str) -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config[section][option].splitlines()
    return {_normal(re.split(r"[^\w.-]", line)[0]) for line in lines if line and not line.startswith("#")}


def _extras(*, for_users: bool) -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    section = "options.extras_require"
    names = [name for name in config[section] if (name not in ("test", "soak")) is for_users]
    return set().union(*(_required(section, name) for name in names))


def test_what_is_imported_is_required_and_what_is_required_is_imported() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert _distributions_of(files) == _required("options", "install_requires") | _extras(for_users=True)


def test_what_tests_import_is_in_an_extra() -> None:
    known = _required("options", "install_requires") | _extras(for_users=False)
    assert _distributions_of((ROOT / "tests").rglob("*.py")) - known == set()
