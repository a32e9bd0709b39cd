"""How sure a share is: Wilson's interval.

Unlike the usual one it stays within 0 and 1 and means something at 100 % (Wilson 1927; Brown, Cai and DasGupta,
Statistical Science 16, 2001, recommend it). It takes what is counted for independent.
"""

from __future__ import annotations

from math import sqrt

#: Standard normal quantile of a two-sided 95 % interval.
_Z95 = 1.959964


def wilson(good: int, total: int, *, z: float = _Z95) -> tuple[float, float]:
    """Bounds of the share of which `good` of `total` were seen."""
    if total == 0:
        return 0.0, 1.0
    share, weight = good / total, z * z / total
    middle = share + weight / 2
    spread = z * sqrt(share * (1 - share) / total + weight / (4 * total))
    return max(0.0, (middle - spread) / (1 + weight)), min(1.0, (middle + spread) / (1 + weight))
