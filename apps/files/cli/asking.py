"""The commands of the application in the running node, and what they say of a share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from p2pnode.api import Session, ask_app
from p2pnode.ui.fail import Fail
from p2pnode.ui.render import one_line, say

#: Digits of an id that are shown: 32 bits tell the shares of one node apart. --json has all.
ID_SHOWN = 8
#: Notes that are printed; `files status` has all.
NOTES = 5
_WITHOUT = "run --no-files, or files = false in node.toml"
#: Only hashing takes longer, and whoever waits for that says so.
ANSWER_S = 120.0
#: Longer than any disk needs: 100 TiB at 300 MB/s take four days.
HASHING_S = 14 * 86_400.0


def ask(session: Session, command: str, args: dict[str, Any], *, timeout_s: float = ANSWER_S) -> Any:
    """The answer of the application. Fail: what it says, or what the node does."""
    try:
        return ask_app(session, "files", command, args, what="file sharing", without=_WITHOUT, timeout_s=timeout_s)
    except Fail as failure:
        if failure.code != "not_found" or failure.what.startswith(("application ", "file sharing ")):
            raise
        facts = {"look": session.command("files list")}
        raise Fail(failure.what, code=failure.code, facts=facts) from None


def short(share_id: str) -> str:
    return share_id[:ID_SHOWN]


def name_of(share: dict[str, Any]) -> str:
    """What it is called, or its id as long as nobody knows."""
    return share["name"] or short(share["id"])


class ShareName(click.ParamType[str]):
    """The id of a share that is here, its beginning, or its link."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = value.strip()
        if text.lower().startswith("magnet:"):
            return parsed(text)
        if not 1 <= len(text) <= 64 or any(c not in "0123456789abcdefABCDEF" for c in text):
            self.fail(f"{value!r} is no id of a share: hex digits, as `p2pnode files list` shows them", param, ctx)
        return text.lower()


def parsed(link: str) -> str:
    """The id in a link. Fail (usage) if it is none."""
    from apps.files.core.links import parse_link
    from overlay.errors import LocalError

    try:
        return parse_link(link).id.hex()
    except LocalError as error:
        raise Fail(str(error), code="usage") from None


def say_notes(session: Session, share: dict[str, Any]) -> None:
    """What a person should know of a share, the first NOTES of it."""
    notes = share.get("notes", [])
    for note in notes[:NOTES]:
        say(f"note     {one_line(note)}")
    if len(notes) > NOTES:
        say(f"… and {len(notes) - NOTES} more: {session.command('files status ' + short(share['id']))}")


def percent(share: dict[str, Any]) -> str:
    """`37 %`; never 100 before all is there; "-" as long as nobody knows."""
    done, wanted = share["done"], share["wanted"]
    if done is None or wanted is None:
        return "-"
    return "100 %" if done >= wanted else f"{min(99, 100 * done // wanted)} %"


def total(shares: Sequence[dict[str, Any]], field: str) -> int:
    return sum(share[field] for share in shares)
