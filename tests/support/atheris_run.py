"""`python -m tests.support.atheris_run TARGET CORPUS [libFuzzer options]`: one fuzz target with coverage guidance.

Ends with 0 after -max_total_time; an exception that a target lets through is printed and ends it with another code.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["apps.chain.core", "overlay", "p2pnode"]):
    from tests.support.fuzz_targets import TARGETS

#: A target with a fault, to see that one is found.
PLANTED = "planted"


def _planted(data: bytes) -> None:
    TARGETS["cbor"].run(data)
    if data[:1] == b"\xff":
        raise ZeroDivisionError


def main(name: str, corpus: str, *options: str) -> None:
    target = _planted if name == PLANTED else TARGETS[name].run
    atheris.Setup([sys.argv[0], corpus, *options], target, enable_python_coverage=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
