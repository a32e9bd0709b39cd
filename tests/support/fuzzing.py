"""What a fuzz target is: fuzz_targets.py has all of them, chain_targets.py those of the chain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import attrs

from overlay.errors import BadMessage, LocalError


@attrs.frozen
class Target:
    run: Callable[[bytes], object]
    #: Dotted names of the functions that it covers.
    covers: tuple[str, ...]
    #: Good inputs from which to mutate.
    seeds: tuple[bytes, ...]


def allowing(*allowed: type[Exception]) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    def decorate(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        def target(data: bytes) -> None:
            with contextlib.suppress(*allowed):
                run(data)

        return target

    return decorate


bad = allowing(BadMessage)
local = allowing(LocalError)


def accept_all(key: bytes, data: bytes, signature: bytes) -> bool:
    """A verifier for whom every signature is good: what a hostile peer signs is still to be read."""
    return True


def as_text(data: bytes) -> str:
    """As argv gives what is not UTF-8: with halves of surrogate pairs."""
    return data.decode(errors="surrogateescape")


def as_utf8(*texts: str) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in texts)
