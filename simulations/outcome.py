"""Claims judged, and what a run says at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from simulations.scenario import Claim


@attrs.frozen(slots=True)
class Verdict:
    """Whether one claim held. `value` None: nothing of that name was measured, so it did not."""

    name: str
    ok: bool
    value: float | None
    bound: str


def judge(claims: Sequence[Claim], figures: Mapping[str, float]) -> tuple[Verdict, ...]:
    """Each claim against the figures; equal to a bound is within it."""
    return tuple(_judged(claim, figures.get(claim.measure)) for claim in claims)


def _judged(claim: Claim, value: float | None) -> Verdict:
    bounds = []
    ok = value is not None
    if claim.at_least is not None:
        bounds.append(f">= {claim.at_least:g}")
        ok = ok and value >= claim.at_least  # type: ignore[operator]
    if claim.at_most is not None:
        bounds.append(f"<= {claim.at_most:g}")
        ok = ok and value <= claim.at_most  # type: ignore[operator]
    return Verdict(claim.name or claim.measure, ok, value, " and ".join(bounds))
