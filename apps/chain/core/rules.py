"""The rules by their codes, and the one error that says which of them was broken.

H: headers, B: bodies, X: a transaction alone, S: a transaction in its place. docs/protocol/chain.md has the same table
with the tests. H6, H9, B1, B2 and B3 do not make a block invalid for ever: its parent or its time may come, and its
header does not say that there is no right body.
"""

from __future__ import annotations

import enum
from typing import Final

from overlay.errors import BadMessage


class Rule(enum.StrEnum):
    H1 = "H1"
    H2 = "H2"
    H3 = "H3"
    H4 = "H4"
    H5 = "H5"
    H6 = "H6"
    H7 = "H7"
    H8 = "H8"
    H9 = "H9"
    H10 = "H10"
    H11 = "H11"
    H12 = "H12"
    H13 = "H13"
    B1 = "B1"
    B2 = "B2"
    B3 = "B3"
    B4 = "B4"
    X1 = "X1"
    X2 = "X2"
    X3 = "X3"
    X4 = "X4"
    X5 = "X5"
    X6 = "X6"
    X7 = "X7"
    X8 = "X8"
    X9 = "X9"
    X10 = "X10"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    S4 = "S4"
    S5 = "S5"
    S6 = "S6"
    S7 = "S7"
    S8 = "S8"


#: What each demands, in a line. S4, S7 and S8 hold by how operations are applied and by
#: what is ever issued (params.py); nothing can break them.
TEXTS: Final[dict[Rule, str]] = {
    Rule.H1: "a header is an array of ten items in its one encoding, each in its range, of at most 200 bytes",
    Rule.H2: "its version is 1",
    Rule.H3: "its proof of work is worth its difficulty",
    Rule.H4: "its difficulty is not below the least of the network",
    Rule.H5: "it counts at most 2,000 transactions",
    Rule.H6: "its parent is known",
    Rule.H7: "its height is one above its parent's",
    Rule.H8: "its time is later than its parent's",
    Rule.H9: "its time is at most 30 s ahead",
    Rule.H10: "its difficulty is what follows from its parent",
    Rule.H11: "its parent is not invalid",
    Rule.H12: "it descends from the first block of this chain",
    Rule.H13: "it does not contradict the block that is taken for valid",
    Rule.B1: "a block has at most 512 KiB, in its one encoding",
    Rule.B2: "it has as many transactions as its header counts",
    Rule.B3: "its transactions are those of its header",
    Rule.B4: "no transaction is in it twice",
    Rule.X1: "a transaction has its one encoding and the right items, of at most 4 KiB",
    Rule.X2: "its version is 1",
    Rule.X3: "it is for this chain",
    Rule.X4: "it has 1 to 16 operations of known kinds, each field in its range",
    Rule.X5: "fee and amounts are 1 or more, and less than 2^53 together",
    Rule.X6: "it is valid for 1 to 5,761 heights",
    Rule.X7: "its sender signed it",
    Rule.X8: "its fee is at least one unit for every 64 bytes",
    Rule.X9: "its evidence convicts somebody",
    Rule.X10: "names consist of a-z, 0-9 and -",
    Rule.S1: "it is valid at the height of its block",
    Rule.S2: "its nonce is that of its sender",
    Rule.S3: "its sender has what it spends, before anything of it is applied",
    Rule.S4: "all of its operations are applied, or none",
    Rule.S5: "a name is free, expired or its sender's, and a claim pays 1 credit more",
    Rule.S6: "its evidence is not recorded yet",
    Rule.S7: "who pays itself loses the fee only",
    Rule.S8: "nobody has 2^53 units",
}


class Invalid(BadMessage):
    """These bytes break a rule of the chain."""

    def __init__(self, rule: Rule, why: str) -> None:
        super().__init__(f"{rule}: {why}")
        self.rule = rule
        #: The facts, without the code.
        self.why = why
