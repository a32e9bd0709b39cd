"""What every test stands on: profiles of hypothesis, markers given by the folder, tools that must be there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
#: A Debian 13, once `make trixie` is through.
TRIXIE = HERE.parent / ".cache" / "trixie.stamp"

# No profile has a deadline: a deadline reads the wall clock, and a busy machine is not a bug.
_common = settings(deadline=None, print_blob=True)
#: At a desk: new examples with every run; a failing one is printed with its blob and kept in .hypothesis/.
settings.register_profile("desk", _common, max_examples=60)
#: In CI: the same examples with every run, so that a change is judged by what it changed.
settings.register_profile("ci", _common, max_examples=60, derandomize=True)
#: `make nightly`, tests/property: half an hour of new ones.
settings.register_profile("deep", _common, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
#: `make soak`: many, and new ones.
settings.register_profile(
    "soak", _common, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "desk"))

#: Folders whose tests carry a marker without saying so.
MARKED_FOLDERS = ("interop", "lan", "soak", "web")

#: Tool -> Debian package.
PACKAGES = {
    "avahi-browse": "avahi-utils",
    "avahi-daemon": "avahi-daemon",
    "chromium": "chromium",
    "dbus-daemon": "dbus",
    "ip": "iproute2",
    "nft": "nftables",
    "qbittorrent-nox": "qbittorrent-nox",
    "tc": "iproute2",
}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parts = item.path.relative_to(HERE).parts if item.path.is_relative_to(HERE) else ()
        if parts and parts[0] in MARKED_FOLDERS:
            item.add_marker(parts[0])


def missing_tools(names: tuple[str, ...]) -> list[str]:
    """Of `names`, what this machine lacks, and how to get it. "root": uid 0; "trixie": what `make trixie` makes."""
    lacking = []
    for name in names:
        if name == "root":
            if os.geteuid() != 0:
                lacking.append("root (namespaces cannot be made without it)")
        elif name == "trixie":
            if not TRIXIE.exists():
                lacking.append("a Debian 13 in .cache/trixie (as root, with debootstrap: make trixie)")
        elif shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            lacking.append(f"{name} (Debian: apt install {PACKAGES.get(name, name)})")
    return lacking


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("root", "nft")`: a tool that is missing fails the test, here and in CI. It never skips.

    Whoever runs such a test asked for it (`make lan`), so a skip would look like a pass.
    """
    names = tuple(name for mark in item.iter_markers("needs") for name in mark.args)
    if lacking := missing_tools(names):
        pytest.fail("this test needs " + ", ".join(lacking), pytrace=False)
