"""Claims judged, and what a run says at its end."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Mapping, Sequence

import attrs

from simulations.scenario import Claim

#: One letter wrong in a dozen is a slip; less alike than this is another name.
_NEAR = 0.8


class Missed(enum.Enum):
    """How a claim did not hold."""

    #: Nothing of that name was measured.
    UNMEASURED = "unmeasured"
    BELOW = "below"
    ABOVE = "above"


@attrs.frozen(slots=True)
class Verdict:
    """Whether one claim held. `value` None: nothing of that name was measured, so it did not."""

    name: str
    value: float | None
    bound: str
    #: None: it held.
    missed: Missed | None = None
    #: What was measured and has nearly the name of what was not; "" if nothing has.
    meant: str = ""

    @property
    def ok(self) -> bool:
        return self.missed is None


def judge(claims: Sequence[Claim], figures: Mapping[str, float]) -> tuple[Verdict, ...]:
    """Each claim against the figures; equal to a bound is within it."""
    return tuple(_judged(claim, figures) for claim in claims)


def _judged(claim: Claim, figures: Mapping[str, float]) -> Verdict:
    value = figures.get(claim.measure)
    bounds = []
    missed = Missed.UNMEASURED if value is None else None
    if claim.at_least is not None:
        bounds.append(f">= {claim.at_least:g}")
        if value is not None and not value >= claim.at_least:
            missed = Missed.BELOW
    if claim.at_most is not None:
        bounds.append(f"<= {claim.at_most:g}")
        if value is not None and value > claim.at_most:
            missed = Missed.ABOVE
    meant = difflib.get_close_matches(claim.measure, figures, n=1, cutoff=_NEAR) if value is None else []
    return Verdict(claim.name or claim.measure, value, " and ".join(bounds), missed, *meant)
