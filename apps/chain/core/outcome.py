"""What became of a block or header that was handed to a ledger."""

from __future__ import annotations

import enum

import attrs

from apps.chain.core.rules import Rule
from apps.chain.core.tx import Tx


class Verdict(enum.StrEnum):
    #: It is in the chain that counts, and the tip.
    TIP = "tip"
    #: It is whole and kept, on a branch that does not count.
    SIDE = "side"
    #: Its header is good and kept; its body is not here.
    HEADER = "header"
    #: It is kept, and waits for bodies before it.
    BODY = "body"
    #: It was here already.
    KNOWN = "known"
    #: Its parent is not known: it waits, and its sender should be asked for headers.
    ORPHAN = "orphan"
    #: It is from the future, and waits.
    HELD = "held"
    #: It is good, but its branch has too little work to be kept.
    LITTLE = "little"
    #: Its branch is worth keeping and has more headers than are gathered: they are to be asked for once more.
    AGAIN = "again"
    #: Its header is good, its body is not the header's. Another one may be.
    MUTATED = "mutated"
    #: It breaks a rule, or descends from a block that does.
    INVALID = "invalid"


class Blame(enum.StrEnum):
    """What a correct sender never does."""

    NOTHING = "nothing"
    #: A body that is not the header's: take the peer's credit, ask another one.
    BODY = "body"
    #: An invalid block or header: part with the peer.
    BLOCK = "block"


@attrs.frozen(slots=True)
class Step:
    """A block that was connected or taken back."""

    block: bytes
    height: int
    txs: tuple[Tx, ...] = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Outcome:
    verdict: Verdict
    #: Id; empty if the bytes are no header.
    block: bytes
    rule: Rule | None = attrs.field(default=None, kw_only=True)
    why: str = attrs.field(default="", kw_only=True)
    #: Which block broke the rule, if it is another one on the way to this.
    culprit: bytes | None = attrs.field(default=None, kw_only=True)
    #: How the chain that counts has changed, in this order.
    disconnected: tuple[Step, ...] = attrs.field(default=(), kw_only=True)
    connected: tuple[Step, ...] = attrs.field(default=(), kw_only=True)
    #: Headers that are kept from now on.
    headers: tuple[bytes, ...] = attrs.field(default=(), kw_only=True)
    #: What became of those that had waited for it.
    then: tuple[Outcome, ...] = attrs.field(default=(), kw_only=True)

    @property
    def blame(self) -> Blame:
        match self.verdict:
            case Verdict.INVALID:
                return Blame.BLOCK
            case Verdict.MUTATED:
                return Blame.BODY
        return Blame.NOTHING

    @property
    def text(self) -> str:
        return f"{self.rule}: {self.why}" if self.rule else self.why
