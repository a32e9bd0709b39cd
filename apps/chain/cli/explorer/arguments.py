"""What stands where a block is named: heights below zero, and times."""

from __future__ import annotations

import calendar
import contextlib
import re
import time
from typing import TYPE_CHECKING, Any

import click

from p2pnode.ui.fail import fail

if TYPE_CHECKING:
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.rows import HeaderRow

_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_AGO = re.compile(r"-([0-9]{1,9})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Below(click.Command):
    """A command whose argument may be -1; what begins with another "-" is an option still."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.context_settings = {**self.context_settings, "ignore_unknown_options": True}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)}
        for word in args[: args.index("--")] if "--" in args else args:
            name = word.partition("=")[0]
            option = name if name.startswith("--") else name[:2]
            if re.match(r"-[-A-Za-z]", name) and option not in known:
                raise click.NoSuchOption(name, possibilities=_near(name, known), ctx=ctx)
        return super().parse_args(ctx, args)


def _near(name: str, known: set[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, sorted(known))


def the_block(chain: Chain, text: str, now: float) -> HeaderRow:
    """18202, -1, 7c1e, @2026-11-22T12:41."""
    from apps.chain.core.explorer import refs

    if text.startswith("@"):
        return refs.block_at(chain, parse_time(text[1:], now))
    return refs.find_block(chain, text)


def parse_time(text: str, now: float) -> int:
    """Seconds since 1970 of `2026-11-22T12:41:07Z` (UTC; seconds, or the time of day, may be missing), of `-10m`
    (s, m, h, d ago) and of a number that is it already. Fail (usage) if it is none of them."""
    text = text.strip()
    if found := _AGO.fullmatch(text):
        return int(now) - int(found[1]) * _UNIT_S[found[2]]
    if re.fullmatch(r"[0-9]{9,12}", text):
        return int(text)
    known = None
    for form in _FORMS:
        with contextlib.suppress(ValueError):
            known = calendar.timegm(time.strptime(text.removesuffix("Z"), form))
    if known is None:
        fail(f"not a time: {text!r}", code="usage",
             expected="2026-11-22T12:41:07Z (UTC), -10m, or seconds since 1970")  # fmt: skip
    return known


class Place(click.ParamType[tuple[int, int]]):
    """HEIGHT or HEIGHT/POSITION, as tables give them; with a height alone all of lower heights comes before."""

    name = "height"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        found = re.fullmatch(r"([0-9]{1,15})(?:/([0-9]{1,9}|reward))?", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a height, nor HEIGHT/POSITION", param, ctx)
        if found[2] == "reward":
            from apps.chain.core.explorer.accounts import REWARD_POS

            return int(found[1]), REWARD_POS
        return int(found[1]), int(found[2] or 0)
