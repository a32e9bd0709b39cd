"""The chain of a network of real nodes: all of it follows from what makes the network.

Apart from the parameters themselves: who reads a chain alone need not load what makes networks.
"""

from __future__ import annotations

from apps.chain.core.limits import MIN_MIN_DIFFICULTY
from apps.chain.core.params import SCRYPT_DIFFICULTY, Params
from overlay.identity.network import DEFAULT_PUZZLE_BITS

#: Blocks until a reward is credited: deeper changes of branch are rare, and raise an alarm.
_MATURITY, _NO_MATURITY = 20, 2


def of_network(network_id: bytes, puzzle_bits: int) -> Params:
    """Where an identity costs less than by default a block does, too: half for each bit. Where it costs nothing, in a
    demo or for tests, a reward is there to be spent after three blocks."""
    least = max(MIN_MIN_DIFFICULTY, SCRYPT_DIFFICULTY >> max(0, DEFAULT_PUZZLE_BITS - puzzle_bits))
    return Params(network_id, least_difficulty=least, maturity=_MATURITY if puzzle_bits else _NO_MATURITY)
