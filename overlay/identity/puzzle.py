"""Static crypto puzzle (S/Kademlia, Baumgart and Mies 2007, section 4.1): an identity costs work.

It is friction for who wants thousands of identities, not a defence by itself. The work is done
once per identity; the search is stepped by its caller, who shows progress and may stop.
"""

from __future__ import annotations

import hashlib

import attrs

from overlay.errors import LocalError
from overlay.identity.keys import SEED_BYTES, KeyPair
from overlay.identity.node_id import node_id_of
from overlay.limits import MAX_PUZZLE_BITS
from overlay.runtime.ports import Entropy


def solves(node_id: bytes, bits: int) -> bool:
    """Whether SHA-256(NodeId) begins with `bits` zero bits."""
    return work_of(node_id) >= bits


def work_of(node_id: bytes) -> int:
    """The hardest puzzle that an id solves: leading zero bits of its SHA-256, counted up to 64."""
    return 64 - int.from_bytes(hashlib.sha256(node_id).digest()[:8], "big").bit_length()


@attrs.define(slots=True)
class KeySearch:
    """Looks for a key that solves the puzzle of a network, some tries at a time."""

    bits: int
    _entropy: Entropy = attrs.field(alias="entropy")
    #: Keys tried so far.
    tries: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.bits <= MAX_PUZZLE_BITS:
            raise LocalError(f"a puzzle has 0 to {MAX_PUZZLE_BITS} bits, not {self.bits}")

    @property
    def expected(self) -> int:
        """Mean number of tries; 63 % of searches need fewer, 1 % more than 4.6 times as many."""
        return 1 << self.bits

    def step(self, tries: int) -> KeyPair | None:
        """Tries so many fresh keys (about 30 us each); the one that solves the puzzle, or None."""
        for _ in range(tries):
            self.tries += 1
            pair = KeyPair.from_seed(self._entropy(SEED_BYTES))
            if solves(node_id_of(pair.key), self.bits):
                return pair
        return None
