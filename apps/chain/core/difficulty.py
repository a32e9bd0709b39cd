"""What a block must cost: relative ASERT, with a solve time that is cut off.

Each block that took longer than the target makes the next one cheaper, by half for `half_life` targets too many, and
each that came sooner makes it dearer. A solve time above `clamp` targets counts as that: a LAN that slept through the
night owes no blocks in the morning. Absolute ASERT, which counts from an anchor, would make 2,006 of them in the first
minute. Clamps can be abused where times may go back; here they strictly increase (H8). Whole numbers only; the
polynomial is that of aserti3-2d (Bitcoin Cash, 2020), which gives 2**x within 0.013 %.
"""

from __future__ import annotations

from apps.chain.core.limits import MAX_DIFFICULTY

_CUBIC = 195_766_423_245_049, 971_821_376, 5_127


def next_difficulty(
    parent: int, solve_s: int, *, target_s: int, half_life: int, clamp: int, least: int
) -> int:
    """Of the child of a block of difficulty `parent` that came `solve_s` >= 1 seconds after its own parent."""
    exponent = ((target_s - min(solve_s, clamp * target_s)) << 16) // (half_life * target_s)
    whole, part = exponent >> 16, exponent & 0xFFFF
    one, two, three = _CUBIC
    factor = 65_536 + ((one * part + two * part**2 + three * part**3 + (1 << 47)) >> 48)
    scaled = parent * factor
    scaled = scaled << whole if whole >= 0 else scaled >> -whole
    return min(max(scaled >> 16, least), MAX_DIFFICULTY)
