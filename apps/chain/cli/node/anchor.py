"""`p2pnode chain anchor`: 32 bytes in the chain, and everybody can prove since when they exist."""

from __future__ import annotations

import shlex

import click

from apps.chain.cli.digests import digest_of_file
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
from p2pnode.ui.render import one_line

_DIGEST_BYTES = 32


@click.command(
    epilog=examples(
        "p2pnode chain anchor report.pdf --tag report/2026",
        "sha256sum report.pdf | cut -c-64 | xargs p2pnode chain anchor",
    )
)
@click.argument("what", metavar="FILE|DIGEST")
@click.option("--tag", metavar="TEXT", default="", help="At most 32 bytes, which everybody can read.")
@fee_option
@wait_option
@timeout_option
@json_option
@click.pass_obj
def anchor(
    session: Session, what: str, tag: str, fee: int | None, confirmations: int | None, timeout: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Write the SHA-256 of FILE, or DIGEST itself (64 hex digits), into the chain.

    The file stays here, and nobody learns what is in it. Once it is in a block, `chain-explorer anchor FILE` says since
    when it exists, and `chain-explorer proof make FILE` writes a proof for those who have no node.
    """
    from apps.chain.core.limits import MAX_TAG_BYTES

    text_within(tag, MAX_TAG_BYTES, "tag")
    digest = digest_of(what)
    answer = ask(session, "anchor", digest=digest.hex(), tag=tag, fee=fee)
    conclude(
        session, answer, confirmations, timeout, as_json=as_json, facts={"digest": digest.hex()},
        said=f"anchored {digest.hex()}",
        look=f"since when does it exist:   {explorer(session, 'anchor ' + shlex.quote(one_line(what)))}",
    )  # fmt: skip


def digest_of(what: str) -> bytes:
    """Of a file, if there is one of this name; else what the hex digits say. Fail (usage)."""
    found = digest_of_file(what)
    if found is not None:
        return found
    try:
        digest = bytes.fromhex(what)
    except ValueError:
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        fail("neither a file nor a digest", code="usage", this=what, expected="a file, or 64 hex digits (SHA-256)")
    return digest
