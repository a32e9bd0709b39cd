"""What became of something that a ledger was given, as plain data: it crosses from a thread to the application."""

from __future__ import annotations

from typing import Any

import attrs

from apps.chain.core.outcome import Outcome, Step, Verdict

#: (height, id, transactions) of a block.
At = tuple[int, bytes, int]


@attrs.frozen(slots=True)
class Told:
    verdict: Verdict
    #: b"": the bytes are no header.
    block: bytes
    #: Code and facts, if a rule is broken or has to wait.
    rule: str
    why: str
    #: The block that broke it, if it is another one on the way to this; else b"".
    culprit: bytes
    #: How the chain that counts has changed: taken back from the tip down, connected upwards.
    disconnected: tuple[At, ...]
    connected: tuple[At, ...]
    #: How many headers are kept from now on.
    headers: int

    @property
    def bad(self) -> bool:
        """No correct peer sends it."""
        return self.verdict in (Verdict.INVALID, Verdict.MUTATED)


def pack(outcome: Outcome) -> tuple[tuple[Any, ...], ...]:
    """The outcome and, behind it, those that had waited for it."""
    queue, packed = [outcome], []
    while queue:
        one = queue.pop(0)
        packed.append(
            (
                str(one.verdict), one.block, str(one.rule or ""), one.why, one.culprit or b"",
                tuple(map(_at, one.disconnected)), tuple(map(_at, one.connected)), len(one.headers),
            )
        )  # fmt: skip
        queue += one.then
    return tuple(packed)


def unpack(packed: tuple[tuple[Any, ...], ...]) -> list[Told]:
    return [Told(Verdict(verdict), *rest) for verdict, *rest in packed]


def _at(step: Step) -> At:
    return step.height, step.block, len(step.txs)
