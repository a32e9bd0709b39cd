"""Units as people read them: credits."""

from __future__ import annotations

from apps.chain.core.limits import CREDIT


def credits_text(units: int) -> str:
    """`2.5`, `-0.0121`, `1,182`: credits without zeros at the end."""
    whole, part = divmod(abs(units), CREDIT)
    fraction = f".{part:06}".rstrip("0") if part else ""
    return f"{'-' * (units < 0)}{whole:,}{fraction}"
