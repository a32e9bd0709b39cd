"""Bytes and rates as people write and read them: decimal, as file managers and networks count."""

from __future__ import annotations

import re

import click

_NAMES = ("kB", "MB", "GB", "TB", "PB")
_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?(?:/s|ps)?", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def size_text(count: int | None) -> str:
    """`0 B`, `999 B`, `2.1 MB`, `34 GB`; "-" for None."""
    if count is None:
        return "-"
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for name in _NAMES:
        value /= 1000
        if value < 999.5 or name == _NAMES[-1]:
            return f"{value:.1f} {name}" if value < 99.95 else f"{value:.0f} {name}"
    raise AssertionError


def rate_text(per_s: int | None) -> str:
    return f"{size_text(per_s)}/s"


class Rate(click.ParamType[int]):
    """2M, 500k, 1.5MB/s, 800Ki, or `none`: bytes per second, 0 for no limit. `0` is refused:
    it may mean nothing at all."""

    name = "rate"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        if text.lower() == "none":
            return 0
        found = _AMOUNT.fullmatch(text)
        if found is None:
            self.fail(f"{value!r} is not a rate: 2M, 500k, 1.5M, or none", param, ctx)
        number, letter, binary = found.groups()
        per_s: int = round(float(number) * (1024 if binary else 1000) ** _POWER[letter.lower()])
        if not 1 <= per_s < 1 << 63:
            self.fail(f"{value!r} is not a rate: at least one byte per second; say `none` for no limit", param, ctx)
        return per_s
