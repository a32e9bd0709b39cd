"""The commands of the application in the running node, and what commands here share."""

from __future__ import annotations

import time
from typing import Any

import click

from p2pnode.api import Session, ask_app
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.render import counted, print_json, say

#: Between two looks whether a transaction is in a block; a block takes seconds.
_LOOK_S = 0.3
_WITHOUT = "run --no-chain, or chain = false in node.toml"
_DECIMALS = 6
#: Columns of a value beside its label.
_WIDTH = 68


def ask(session: Session, command: str, **args: Any) -> Any:
    """The answer of the application. Fail: what it says, or what the node does."""
    try:
        return ask_app(session, "chain", command, args, what="the chain", without=_WITHOUT)
    except Fail as failure:
        if failure.code != "not_found" or failure.what.startswith(("application ", "the chain ")):
            raise
        facts = {"names": "chain-explorer names", "peers": session.command("peers"), "blocks": "chain-explorer blocks"}
        raise Fail(failure.what, code=failure.code, facts=facts) from None


def explorer(session: Session, words: str) -> str:
    """A command line of chain-explorer that a person can paste: with --home if this one had it."""
    return session.command(words).replace("p2pnode", "chain-explorer", 1)


class Credits(click.ParamType[int]):
    """`2.5`, `0.000001`: credits with up to six decimals, as units. More than none."""

    name = "credits"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        whole, dot, part = value.strip().partition(".")
        digits = whole + part
        good = digits.isascii() and digits.isdecimal() and len(whole) <= 12 and len(part) <= _DECIMALS
        if not good or (dot and not part):
            self.fail(f"{value!r} is not an amount: credits with up to six decimals, 2.5 or 0.000001", param, ctx)
        units: int = int(digits) * 10 ** (_DECIMALS - len(part))
        if not units:
            self.fail(f"{value!r} is nothing: the least amount is 0.000001", param, ctx)
        return units


fee_option = click.option(
    "--fee", type=Credits(), metavar="CREDITS", help="What the miner gets; else a little more than the least."
)
wait_option = click.option(
    "--wait", "confirmations", type=click.IntRange(1, 1_000_000), metavar="N",
    help="Return when it is in the chain, N blocks deep: 1 is the newest block.",
)  # fmt: skip
timeout_option = click.option(
    "--timeout", type=FiniteRange(0, min_open=True), metavar="SECONDS", help="With --wait: give up after this long."
)


def text_within(text: str, most: int, what: str) -> str:
    """Fail (usage) if it has more bytes than that, or is no text."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        fail(f"the {what} is no text", code="usage", expected="UTF-8")
    if size > most:
        fail(f"the {what} is too long", code="usage", bytes=f"{size}, at most {most}")
    return text


def _sent(session: Session, answer: dict[str, Any], confirmations: int | None, timeout: float | None) -> dict[str, Any]:
    """{"txid", "fee", "height", "confirmations"} of what was sent just now (`answer`), once it is deep enough; "height"
    is null as long as it waits. Fail (timed_out) if it is not in time, (interrupted) by Ctrl-C."""
    txid = str(answer["tx"])
    found: dict[str, Any] = {"txid": txid, "fee": answer.get("fee"), "height": None, "confirmations": 0}
    if confirmations is None:
        return found
    deadline = None if timeout is None else time.monotonic() + timeout
    say(f"waiting for {counted(confirmations, 'block')}; Ctrl-C stops waiting, not the transaction")
    try:
        return _deep(session, found, confirmations, deadline, timeout)
    except KeyboardInterrupt:
        fail("stopped by Ctrl-C; it was sent, and goes on waiting", code="interrupted", transaction=txid,
             look=f"chain-explorer tx {txid[:16]}")  # fmt: skip


def _deep(
    session: Session, found: dict[str, Any], confirmations: int, deadline: float | None, timeout: float | None
) -> dict[str, Any]:
    txid = found["txid"]
    while found["confirmations"] < confirmations:
        if deadline is not None and time.monotonic() > deadline:
            fail(f"it is {found['confirmations']} blocks deep after {timeout:g} s, and goes on waiting",
                 code="timed_out", transaction=txid, look=f"chain-explorer tx {txid[:16]}",
                 does_anybody_mine="p2pnode chain status")  # fmt: skip
        answer = ask(session, "tx", tx=txid)
        found |= {"height": answer["height"] or None, "confirmations": answer["confirmations"]}
        if found["confirmations"] < confirmations:
            time.sleep(_LOOK_S)
    return found


def rows(label: str, text: str) -> list[tuple[str, str]]:
    """Of a table of fields: a text of any length, in lines that fit into 80 columns beside their label."""
    from textwrap import wrap

    return [("" if number else label, line) for number, line in enumerate(wrap(text, _WIDTH))]


def conclude(
    session: Session, answer: dict[str, Any], confirmations: int | None, timeout: float | None, *, as_json: bool,
    facts: dict[str, Any], said: str, look: str,
) -> None:  # fmt: skip
    """Tells of what was sent just now (`answer`), once it is deep enough: as JSON, with these `facts`; or to a person,
    what was `said` and how to `look` at it. Fail if that cannot be written: it was sent all the same."""
    found = _sent(session, answer, confirmations, timeout)
    try:
        if as_json:
            print_json({"v": 1} | facts | found)
        else:
            print(f"{said}   {_told(found)}", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail("it WAS sent, and what became of it cannot be written", transaction=found["txid"],
             reason=error.strerror or str(error), look=f"chain-explorer tx {found['txid'][:16]}")  # fmt: skip
    if not as_json:
        say(look)


def _told(found: dict[str, Any]) -> str:
    """Where it is and what it cost, for a person: `in block 18,202   fee 0.0012`, or `waits for a block   …`."""
    from apps.chain.core.amounts import credits_text

    where = f"in block {found['height']:,}" if found["height"] else "waits for a block"
    return where if found["fee"] is None else f"{where}   fee {credits_text(found['fee'])}"
