"""Mining by chance in virtual time: a node with a hash rate finds a nonce after a time that has no memory.

The nonce is a real one, since every node checks it: with difficulties of a thousand or so it takes a millisecond of the
machine below. Difficulty follows the hash rates of all miners as on any network.
"""

from __future__ import annotations

import attrs

from apps.chain.core.limits import NONCE_BYTES
from apps.chain.core.miner import Fresh, How
from apps.chain.core.work import Pow, search
from overlay.runtime.chance import Rng
from overlay.runtime.loop import Loop
from simulations.draws import exponential_ns

#: Nonces that are tried before time is looked at again; each is good once in `difficulty`.
_TRIES = 1 << 20


@attrs.define(slots=True, eq=False)
class Luck:
    """A `miner.Miner`."""

    #: Hashes a second.
    rate: float
    rng: Rng
    loop: Loop | None = None

    async def solve(self, fresh: Fresh, how: How) -> bytes:
        work = await fresh()
        assert self.loop is not None
        await self.loop.sleep(exponential_ns(self.rng, work.difficulty / self.rate))
        while True:
            work = await fresh()  # with the time, and the transactions, of now
            raw = search(
                work.prefix, work.difficulty, Pow(work.pow), start=self.rng.u64() >> NONCE_BYTES, tries=_TRIES
            )
            if raw is not None:
                return raw
