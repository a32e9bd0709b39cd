"""`p2pnode chain name claim`, `set` and `release`."""

from __future__ import annotations

from typing import Any

import click

from apps.chain.cli.node.asking import (
    ask,
    conclude,
    explorer,
    fee_option,
    text_within,
    timeout_option,
    wait_option,
)
from p2pnode.api import Session
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples, json_option


class Name(click.ParamType[str]):
    """3 to 32 of a-z, 0-9 and -."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from apps.chain.core.operations import is_name

        if not is_name(value.encode(errors="replace")):
            self.fail(f"{value!r} is no name: 3 to 32 of a-z, 0-9 and -", param, ctx)
        return value


@click.group(epilog=examples("p2pnode chain name claim edge-3", "p2pnode chain name set edge-3 192.0.2.7:4433"))
def name() -> None:
    """Names of the chain: whoever claims one has it for a week, and again for a week whenever it is set.

    A claim costs 1 credit beside the fee of every transaction, `set` and `release` only that fee. Whose a name is shows
    `chain-explorer name NAME`.
    """


@name.command(epilog=examples("p2pnode chain name claim edge-3", "p2pnode chain name claim edge-3 192.0.2.7:4433"))
@click.argument("name", type=Name())
@click.argument("value", required=False)
@fee_option
@wait_option
@timeout_option
@json_option
@click.pass_obj
def claim(session: Session, /, name: str, value: str | None, **rest: Any) -> None:
    """Claim NAME for this node, if it is free. VALUE is what everybody reads there: the id of this node, unless
    something else is said (128 bytes)."""
    from apps.chain.core.naming import why_misleading

    if why := why_misleading(name):
        fail(f"the name {name} would mislead who pays: {why}", code="usage",
             choose_another="p2pnode chain name claim NAME")  # fmt: skip
    owner = _owner(session, name)
    if owner == _own(session):
        fail(f"the name {name} is yours already, and a claim would change what it says",
             to_change_it_or_keep_it_longer=session.command(f"chain name set {name} VALUE"),
             what_it_says=f"chain-explorer name {name}")  # fmt: skip
    if owner is not None:
        fail(f"the name {name} is another's", whose=f"chain-explorer name {name}")
    _send(session, "claimed ", name, _value(session, value), **rest)


@name.command("set", epilog=examples("p2pnode chain name set edge-3 192.0.2.7:4433", "p2pnode chain name set edge-3"))
@click.argument("name", type=Name())
@click.argument("value", required=False)
@fee_option
@wait_option
@timeout_option
@json_option
@click.pass_obj
def set_value(session: Session, /, name: str, value: str | None, **rest: Any) -> None:
    """Change what a NAME of this node says (without VALUE: the id of this node), and keep it for another week."""
    _check_own(session, name)
    _send(session, "set     ", name, _value(session, value), **rest)


@name.command(epilog=examples("p2pnode chain name release edge-3", "chain-explorer names"))
@click.argument("name", type=Name())
@fee_option
@wait_option
@timeout_option
@json_option
@click.pass_obj
def release(session: Session, /, name: str, **rest: Any) -> None:
    """Give a NAME of this node back: anybody may claim it."""
    _check_own(session, name)
    _send(session, "released", name, "", **rest)


def _owner(session: Session, name: str) -> str | None:
    """Key of whose it is, hex."""
    found = ask(session, "whois", name=name)
    return None if found is None else str(found["owner"])


def _own(session: Session) -> str:
    return str(ask(session, "address")["key"])


def _check_own(session: Session, name: str) -> None:
    owner = _owner(session, name)
    if owner is None:
        fail(f"nobody has the name {name}", code="not_found", claim_it=session.command(f"chain name claim {name}"))
    if owner != _own(session):
        fail(f"the name {name} is another's", whose=f"chain-explorer name {name}")


def _value(session: Session, value: str | None) -> str:
    from apps.chain.core.limits import MAX_VALUE_BYTES

    if value is None:
        return str(session.node().call("GET", "/v1/id")["id"])
    if not value:
        fail("a value has a byte at least", code="usage", to_give_the_name_back="p2pnode chain name release NAME")
    return text_within(value, MAX_VALUE_BYTES, "value")


def _send(
    session: Session, done: str, name: str, value: str, *, fee: int | None, confirmations: int | None,
    timeout: float | None, as_json: bool,
) -> None:  # fmt: skip
    answer = ask(session, "name", name=name, value=value, fee=fee)
    conclude(
        session, answer, confirmations, timeout, as_json=as_json, facts={"name": name, "value": value or None},
        said=f"{done} {name}", look=f"whose it is:   {explorer(session, 'name ' + name)}",
    )  # fmt: skip
