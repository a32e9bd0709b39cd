"""A contract that notices nothing protects nothing: each one of setup.cfg is broken here, in a copy."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("overlay", "p2pnode", "apps", "simulations")
IMPURE = (
    *("trio", "socket", "ssl", "sqlite3", "asyncio", "threading", "multiprocessing", "subprocess"),
    *("time", "datetime", "random", "secrets", "uuid", "os", "logging"),
)


@attrs.frozen
class Plant:
    """Files (path -> text) that break `contract`; `complaint` must stand in the report."""

    contract: str
    files: dict[str, str]
    complaint: str


def _app(**files: str) -> dict[str, str]:
    """An application `planted`; core, shell and cli exist even where a test does not fill them."""
    texts = {"__init__": "", "core": "", "shell": "", "cli": ""} | files
    return {f"apps/planted/{name}.py": text for name, text in texts.items()}


PLANTS = {
    "overlay knows the node": Plant(
        "column", {"overlay/wire/planted.py": "import p2pnode"}, "overlay is not allowed to import p2pnode"
    ),
    "the node knows an application": Plant(
        "column", {"p2pnode/store/planted.py": "import apps"}, "p2pnode is not allowed to import apps"
    ),
    "the node knows simulations": Plant(
        "column", {"p2pnode/store/planted.py": "import simulations"}, "p2pnode is not allowed to import simulations"
    ),
    "an application knows simulations": Plant(
        "column", _app(shell="import simulations"), "apps is not allowed to import simulations"
    ),
    **{
        f"overlay imports {module}": Plant(
            "overlay-pure",
            {"overlay/wire/planted.py": f"def late():\n    import {module}\n    return {module}"},
            f"overlay.wire.planted -> {module} ",
        )
        for module in IMPURE
    },
    "a core imports each of the impure": Plant(
        "apps-pure", _app(core="\n".join(f"import {m}" for m in IMPURE)), "apps.planted.core -> time "
    ),
    "a core knows the node": Plant(
        "apps-pure", _app(core="import p2pnode"), "apps.planted.core is not allowed to import p2pnode"
    ),
    "a core knows its shell": Plant(
        "apps-core-column",
        _app(core="import apps.planted.shell"),
        "apps.planted.core is not allowed to import apps.planted.shell",
    ),
    "an application knows another": Plant(
        "apps-independent",
        {**_app(core="import apps.other"), "apps/other/__init__.py": ""},
        "apps.planted is not allowed to import apps.other",
    ),
    "a shell reaches behind p2pnode.api": Plant(
        "node-api",
        {**_app(shell="import p2pnode.store.planted"), "p2pnode/store/planted.py": ""},
        "apps.planted.shell -> p2pnode.store.planted ",
    ),
    "simulations reach the node, and not from their command line": Plant(
        "node-api",
        {"simulations/planted.py": "import p2pnode.api", "p2pnode/api.py": ""},
        "simulations.planted -> p2pnode.api ",
    ),
    "simulations run a shell": Plant(
        "simulations-cores",
        {**_app(), "simulations/planted.py": "import apps.planted.shell"},
        "simulations is not allowed to import apps.planted.shell",
    ),
    "wire knows dht": Plant(
        "overlay-layers",
        {"overlay/wire/planted.py": "import overlay.dht"},
        "overlay.wire is not allowed to import overlay.dht",
    ),
    "trust knows rpc": Plant(
        "overlay-layers",
        {"overlay/trust/planted.py": "import overlay.rpc"},
        "overlay.trust is not allowed to import overlay.rpc",
    ),
    "streams know rpc, their equal": Plant(
        "overlay-layers",
        {"overlay/streams/planted.py": "import overlay.rpc"},
        "overlay.streams is not allowed to import overlay.rpc",
    ),
    "secure knows streams": Plant(
        "overlay-layers",
        {"overlay/secure/planted.py": "import overlay.streams"},
        "overlay.secure is not allowed to import overlay.streams",
    ),
    "gossip knows dht, its equal": Plant(
        "overlay-layers",
        {"overlay/gossip/__init__.py": "import overlay.dht"},
        "overlay.gossip is not allowed to import overlay.dht",
    ),
    "a module of overlay without a place": Plant(
        "overlay-layers", {"overlay/planted.py": ""}, "not listed as layers: - overlay.planted"
    ),
    "the store knows the control server": Plant(
        "node-layers",
        {"p2pnode/store/planted.py": "import p2pnode.control"},
        "p2pnode.store is not allowed to import p2pnode.control",
    ),
    "the store knows the transport, its equal": Plant(
        "node-layers",
        {"p2pnode/store/planted.py": "import p2pnode.transport"},
        "p2pnode.store is not allowed to import p2pnode.transport",
    ),
    "a module of p2pnode without a place": Plant(
        "node-layers", {"p2pnode/planted.py": ""}, "not listed as layers: - p2pnode.planted"
    ),
}

#: What shells and command lines are allowed: it must stay allowed.
ALLOWED = {
    **_app(core="import overlay.errors", shell="import p2pnode.api", cli="import p2pnode.ui, apps.planted.shell"),
    "p2pnode/api.py": "",
}


def _contracts() -> list[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return [name.rpartition(":")[2] for name in config.sections() if name.startswith("importlinter:contract:")]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the product: packages and contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def _plant(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def _lint(tree: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and report. The copy stands first on sys.path, before the installed packages."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run(
        [sys.executable, "-c", program, "--config", "setup.cfg", "--no-cache", "--no-logo", *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "COLUMNS": "200", "NO_COLOR": "1", "PYTHONPATH": str(tree)},
    )
    # The report breaks long lines.
    return run.returncode, " ".join((run.stdout + run.stderr).split())


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    code, report = _lint(tree)
    assert code == 0, report
    assert f"{len(_contracts())} kept, 0 broken" in report


def test_what_shells_need_is_allowed(tree: Path) -> None:
    _plant(tree, ALLOWED)
    code, report = _lint(tree)
    assert code == 0, report


@pytest.mark.parametrize("case", PLANTS)
def test_a_planted_violation_is_caught(tree: Path, case: str) -> None:
    plant = PLANTS[case]
    _plant(tree, plant.files)
    code, report = _lint(tree, "--contract", plant.contract)
    assert code == 1, report
    assert "0 kept, 1 broken" in report
    assert plant.complaint in report


def test_every_contract_is_planted() -> None:
    assert sorted({plant.contract for plant in PLANTS.values()}) == sorted(_contracts())
