"""What all nodes of one chain agree on before there is a block. Another value of any of it is another chain."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs

from apps.chain.core.address import REAL
from apps.chain.core.difficulty import next_difficulty
from apps.chain.core.header import Header, encode_header, id_of
from apps.chain.core.limits import CREDIT, MAX_NUMBER, MIN_MIN_DIFFICULTY
from apps.chain.core.merkle import EMPTY
from apps.chain.core.tx import CHAIN_ID_BYTES
from apps.chain.core.work import Pow
from overlay.errors import BadMessage, LocalError
from overlay.wire import cbor

#: 1 January 2026. The first two blocks are taken to have come in time, however late they come.
GENESIS_TIME = 1_767_225_600
#: About 2.5 s of one core.
SCRYPT_DIFFICULTY = 6_000
_FACTS = 10
_GENESIS = b"p2pnode-chain/genesis/1\0"
_CHAIN = b"p2pnode-chain/1\0"


@attrs.frozen(slots=True)
class Params:
    """One chain. `network_id`: overlay.identity.network, so every network has a chain of its own."""

    network_id: bytes
    pow: Pow = attrs.field(default=Pow.SCRYPT, kw_only=True)
    least_difficulty: int = attrs.field(default=SCRYPT_DIFFICULTY, kw_only=True)
    #: Seconds between blocks; the others count blocks (difficulty.py).
    target_s: int = attrs.field(default=15, kw_only=True)
    half_life: int = attrs.field(default=20, kw_only=True)
    clamp: int = attrs.field(default=12, kw_only=True)
    #: Block h is credited when block h + maturity connects.
    maturity: int = attrs.field(default=20, kw_only=True)
    #: Units for a block, halved every so many blocks: 21 million credits in all.
    subsidy: int = attrs.field(default=50 * CREDIT, kw_only=True)
    halving: int = attrs.field(default=210_000, kw_only=True)
    #: Blocks that a name lives without being renewed: 7 days.
    name_life: int = attrs.field(default=40_320, kw_only=True)
    genesis_time: int = attrs.field(default=GENESIS_TIME, kw_only=True)
    #: Human-readable part of addresses. The chain does not depend on it, nor on the next.
    hrp: str = attrs.field(default=REAL, kw_only=True)
    #: (height, id) of a block that is known to be good: no signature up to it is checked.
    assume_valid: tuple[int, bytes] | None = attrs.field(default=None, kw_only=True)
    genesis: Header = attrs.field(init=False, eq=False, repr=False)
    raw_genesis: bytes = attrs.field(init=False, eq=False, repr=False)
    genesis_id: bytes = attrs.field(init=False, eq=False)
    #: 8 bytes in every transaction.
    chain_id: bytes = attrs.field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.least_difficulty < MIN_MIN_DIFFICULTY:
            raise LocalError(f"the least difficulty is {MIN_MIN_DIFFICULTY} or more, not {self.least_difficulty}")
        if min(self.target_s, self.half_life, self.clamp, self.maturity, self.halving, self.name_life) < 1:
            raise LocalError("times and numbers of blocks of a chain are 1 or more")
        if not 0 <= 2 * self.subsidy * self.halving < MAX_NUMBER:
            raise LocalError("all rewards together are 2**53 units or more: some account could have so many")
        # The first block has no parent; in its place stands what the chain is.
        parent = hashlib.sha256(_GENESIS + cbor.encode(self.facts())).digest()
        genesis = Header(0, parent, EMPTY, 0, self.genesis_time, self.least_difficulty, bytes(32))
        raw = encode_header(genesis)
        object.__setattr__(self, "genesis", genesis)
        object.__setattr__(self, "raw_genesis", raw)
        object.__setattr__(self, "genesis_id", id_of(raw))
        object.__setattr__(self, "chain_id", hashlib.sha256(_CHAIN + raw).digest()[:CHAIN_ID_BYTES])

    def facts(self) -> list[int | bytes]:
        """All that the first block commits to, but its time."""
        return [
            self.network_id, int(self.pow), self.least_difficulty, self.target_s, self.half_life, self.clamp,
            self.maturity, self.subsidy, self.halving, self.name_life,
        ]  # fmt: skip

    @classmethod
    def of_facts(cls, facts: Sequence[Any], *, genesis_time: int = GENESIS_TIME) -> Params:
        """The chain of what `facts` gave; BadMessage or LocalError if there is none."""
        if len(facts) != _FACTS or type(facts[0]) is not bytes or any(type(fact) is not int for fact in facts[1:]):
            raise BadMessage(f"a chain has {_FACTS} facts: the id of its network, and numbers")
        network_id, pow, *numbers = facts
        if pow not in tuple(Pow) or not all(0 <= number < MAX_NUMBER for number in (*numbers, genesis_time)):
            raise BadMessage("a fact of a chain is out of its range")
        least, target_s, half_life, clamp, maturity, subsidy, halving, name_life = numbers
        return cls(
            network_id, pow=Pow(pow), least_difficulty=least, target_s=target_s, half_life=half_life, clamp=clamp,
            maturity=maturity, subsidy=subsidy, halving=halving, name_life=name_life, genesis_time=genesis_time,
        )  # fmt: skip

    def reward(self, height: int) -> int:
        """Units for the miner of this height, without fees. The first block was mined by nobody."""
        return self.subsidy >> height // self.halving if height else 0

    def difficulty_after(self, height: int, difficulty: int, solve_s: int) -> int:
        """Of the child of a block; `solve_s`: seconds between that block and its parent."""
        return next_difficulty(
            difficulty,
            # Between the first block, which is as old as the network's name, and the second lies no work.
            self.target_s if height <= 1 else solve_s,
            target_s=self.target_s, half_life=self.half_life, clamp=self.clamp, least=self.least_difficulty,
        )  # fmt: skip


def simulated(network_id: bytes, **changes: int) -> Params:
    """Of a swarm or a test: work that costs nothing. `changes`: numbers of `Params`."""
    settings: dict[str, int] = {"least_difficulty": MIN_MIN_DIFFICULTY} | changes
    return Params(network_id, pow=Pow.SHA256D, hrp="xs", **settings)  # type: ignore[arg-type]
