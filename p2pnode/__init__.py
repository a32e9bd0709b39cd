"""One peer on a real network: trio, UDP, a disk, a command line around the core in `overlay`."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    # importlib.metadata costs 33 ms, more than the rest of a short command; so only who asks pays.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version("p2pnode")
    except metadata.PackageNotFoundError:
        return "0+source"  # run from a source tree that is not installed
