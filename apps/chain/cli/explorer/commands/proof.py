"""`chain-explorer proof make` and `proof check`: what was anchored or paid, shown to somebody without a node."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from apps.chain.cli.digests import digest_of_file, digest_of_own
from apps.chain.cli.explorer.inputs import read_bytes
from apps.chain.cli.explorer.session import Session, answer, field_option, full_option, pass_session
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, one_line, print_json, say

if TYPE_CHECKING:
    from collections.abc import Container

    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.explorer.proofs import Link
    from apps.chain.core.proof import Proof
    from apps.chain.core.rows import TxRow


#: Headers that tie a proof to what others know, by default: 25 minutes and 16 kB.
_HEADERS = "100"
#: Of the id of a block that is trusted, at least: to make a block whose id begins with so many takes 2**96 hashes, more
#: than all that mine Bitcoin do in a year. 2**64 are tried by one of their machines within two days.
_TRUSTED_DIGITS = 24
#: What a terminal shows as hex digits.
_SCREEN_BYTES = 64 * 1024


class Headers(click.ParamType[int]):
    """`100`, or `all`."""

    name = "headers"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        if text == "all":
            return sys.maxsize
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            self.fail(f"{value!r} is neither a number of headers nor `all`", param, ctx)
        return int(text)


@click.group(
    epilog=examples("chain-explorer proof make report.pdf -o report.proof", "chain-explorer proof check report.proof")
)
def proof() -> None:
    """Take a proof along that something is in the chain, and check one without a node."""


@proof.command(
    epilog=examples("chain-explorer proof make report.pdf -o p.cbor", "chain-explorer proof make 9d1f7b0c -o p.cbor")
)
@click.argument("what", metavar="TXID|DIGEST|FILE")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write it there; else it is printed as hex digits.")  # fmt: skip
@click.option("--headers", type=Headers(), default=_HEADERS, show_default=True, metavar="N|all",
              help="At most N headers on top of the block, or all up to the tip: 160 B each.")  # fmt: skip
@json_option
@pass_session
def make(session: Session, what: str, output: Path | None, headers: int, as_json: bool) -> None:
    """Write a proof that a transaction, or the first anchor of a digest or file, is in the chain: its bytes, the path
    to the header of its block, and the headers on top. Who checks it needs to know one of its blocks; --headers all
    is for those who know a newer one than the default has."""
    from apps.chain.core.proof import make_proof, prolonged
    from p2pnode.ui.targets import check_output

    if output is not None:
        check_output(output)
    with session.chain(light=True) as chain:
        begun, row = _asked(session, chain, what) if chain.light else (None, _found(session, chain, what))
        last = min(row.height + headers, chain.height)
        if begun is None:
            raw = make_proof(chain.view, chain.params, row, last=last)
        else:
            raw = prolonged(begun, chain.view, last=last)
        tip, more = chain.active(last), chain.height - last
    if output is not None:
        output.write_bytes(raw)
    elif len(raw) > _SCREEN_BYTES and sys.stdout.isatty():
        fail(f"{2 * len(raw):,} hex digits are no text for a terminal", code="usage", write_a_file="-o FILE",
             or_fewer_headers="--headers N")  # fmt: skip
    if as_json:
        print_json({
            "v": 1, "txid": row.txid.hex(), "height": row.height, "pos": row.pos, "last": tip.height,
            "block": tip.id.hex(), "size": len(raw), "file": None if output is None else str(output),
            "proof": raw.hex() if output is None else None,
        })  # fmt: skip
        return
    if output is None:
        print(raw.hex())
        return
    print(f"{one_line(str(output))}: tx {row.txid.hex()[:8]}… in block {row.height:,}, "
          f"{counted(tip.height - row.height, 'header')} on top, {len(raw):,} B")  # fmt: skip
    say("anywhere:")
    say(f"  chain-explorer proof check {shlex.quote(str(output))} --trust {tip.id.hex()[:_TRUSTED_DIGITS]}")
    if more:
        say(f"the newest {counted(more, 'header')} are left out; --headers all has them")


def _found(session: Session, chain: Chain, what: str) -> TxRow:
    from apps.chain.core.explorer import proofs
    from overlay.errors import NotFound

    digest = _digest_of(what)
    try:
        return proofs.subject(chain, what) if digest is None else proofs.anchor_of(chain, digest)
    except NotFound:
        _check_waiting(session, chain, what, digest)
        raise


def _check_waiting(session: Session, chain: Chain, what: str, digest: bytes | None) -> None:
    """Fail (not_found) if it waits in the running node."""
    from apps.chain.cli.explorer.live import waiting_anchors
    from apps.chain.core.explorer.refs import as_hex

    wanted = as_hex(what)
    if digest is None and wanted is not None:
        digest = wanted.whole
    node = session.node()
    txids = [] if digest is None else waiting_anchors(session, chain, digest)
    if wanted is not None and node is not None:
        txids += [one.tx.txid for one in node.mempool(chain.params.chain_id) if wanted.fits(one.tx.txid)]
    if txids:
        fail("it waits in the mempool, and is not yet in a block", code="not_found", transaction=txids[0].hex(),
             look=session.command(f"tx {txids[0].hex()[:16]}"))  # fmt: skip


def _digest_of(what: str) -> bytes | None:
    """Of a file; None: it is meant as the id of a transaction, or a digest."""
    from apps.chain.core.explorer.refs import as_hex

    return None if as_hex(what) is not None else digest_of_file(what)


def _asked(session: Session, chain: Chain, what: str) -> tuple[bytes, TxRow]:
    """Where headers are kept alone: a proof that another peer made, up to the block of the transaction."""
    from apps.chain.cli.explorer import asked
    from apps.chain.core.explorer.refs import as_hex
    from apps.chain.core.rows import TxRow

    raw, found = asked.proved(session, chain, _digest_of(what) or asked.whole(as_hex(what), what))
    return raw, TxRow(found.tx.txid, found.header.height, found.position)


@proof.command(
    epilog=examples(
        "chain-explorer proof check p.cbor --trust 7c1e09aa5b0f6f1e7d0192c3",
        "chain-explorer proof check p.cbor --file report.pdf",
    )
)
@click.argument("file", metavar="FILE|-")
@click.option("--trust", metavar="ID",
              help=f"A block that you know: {_TRUSTED_DIGITS} or more digits of its id. `none`: without.")  # fmt: skip
@click.option("--headers", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Blocks that you know: a file of `export headers --json`.")  # fmt: skip
@click.option("--file", "anchored", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="What is proved must anchor this file.")  # fmt: skip
@field_option
@full_option
@json_option
@pass_session
def check(
    session: Session, file: str, trust: str | None, headers: Path | None, anchored: Path | None, field: str | None,
    full: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check a proof from its bytes: no node is asked. That its chain is the one you mean shows a block that you know:
    one of the chain in your home or --data, or one that you name (--trust, --headers). The exit code is 5 if anything
    is wrong, or no block of it is known.

    --trust none: only whether the bytes fit together, and how much work that cost; anybody can make such a proof.
    """
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer import proofs
    from apps.chain.core.proof import check_proof
    from overlay.errors import BadMessage

    nobody = (trust or "").strip().lower() == "none" and headers is None
    trusted = None if nobody else _trusted(trust, headers)
    try:
        found = check_proof(read_bytes(file))
    except BadMessage as error:
        raise Fail("this proves nothing", code="not_verified", facts={"reason": error.reason}) from None
    link = _own_link(session, found) if trusted is None and not nobody else None
    link = proofs.link_to(found, trusted) if trusted is not None else link
    if trusted is None and link is None and not nobody:
        fail("the proof is not tied to a block that you trust: whoever can do so little work can make one",
             code="not_verified", its_work=f"{found.work:,} hashes, {counted(len(found.ids), 'header')}",
             its_chain=found.params.chain_id.hex(),
             its_blocks=f"{found.header.height:,} ({found.ids[0].hex()[:16]}…) to {found.last.height:,}"
                        f" ({found.ids[-1].hex()[:16]}…)",
             name_one_that_you_know="--trust ID        (from somebody you trust, not from who gave the proof)",
             or_without_any="--trust none")  # fmt: skip
    if trusted is not None and link is None:
        fail("no block that you trust is among those of the proof", code="not_verified",
             its_blocks=f"{found.header.height:,} ({found.ids[0].hex()[:16]}…) to {found.last.height:,}"
                        f" ({found.ids[-1].hex()[:16]}…)")  # fmt: skip
    digest = None if anchored is None else digest_of_own(anchored)
    if anchored is not None and digest is not None and not proofs.anchors(found, digest):
        fail("the proof is good, but anchors something else than this file", code="not_verified",
             file=str(anchored), sha256=digest.hex())  # fmt: skip
    if not answer(objects.proof(found, link, is_of_file=anchored is not None), as_json=as_json, field=field):
        _show(found, link, anchored, full=full)


def _own_link(session: Session, found: Proof) -> Link | None:
    """To the chain that is here, if there is one and it is the chain of the proof."""
    from apps.chain.core.explorer import proofs

    try:
        with session.maybe_chain() as chain:
            if chain is None or chain.params.chain_id != found.params.chain_id:
                return None
            return proofs.link_to(found, {row.id for row in chain.view.actives(found.header.height, found.last.height)})
    except Fail as failure:
        say(f"the chain that is here cannot be asked: {failure.what}")
        return None


def _show(found: Proof, link: Link | None, anchored: Path | None, *, full: bool) -> None:
    from apps.chain.cli.explorer.operations import lines_of
    from apps.chain.cli.explorer.texts import People, big, credits_text, id_text, when
    from apps.chain.core.limits import MAX_AHEAD_S

    tx, header = found.tx, found.header
    known = People(found.params.hrp, {}, full=full)
    leaf = f"leaf {found.position:,} of {header.txs:,} in block {header.height:,}"
    print(f"{'fits' if link is None else 'ok':<9}tx {id_text(tx.txid, full=full)} is {leaf}")
    if link is None:
        print(f"trust    NONE: {counted(len(found.ids), 'header')} of work {big(found.work)}, up to "
              f"{id_text(found.ids[-1], full=full)}")  # fmt: skip
        say("anybody can make such a proof; a block that you know ties it to a chain:   --trust ID")
    else:
        print(f"trust    {counted(link.steps, 'header')} link it to {id_text(link.block, full=full)}; "
              f"work {big(found.work)}")  # fmt: skip
    print(f"time     {when(header.time)}   chain {found.params.chain_id.hex()}")
    print(f"from     {known.address(tx.sender)}   nonce {tx.nonce:,}   fee {credits_text(tx.fee)}")
    for n, op in enumerate(tx.operations):
        for line in lines_of(op, known, label=f"{n:>3}  "):
            print(line)
    if anchored is not None:
        since = when(header.time + MAX_AHEAD_S)
        says = f"existed no later than {since}" if link else f"is what it anchors; of {since}, if that chain is real"
        print(f"file     {one_line(str(anchored))} {says}")


class _Prefix:
    """Ids that begin so."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __contains__(self, block: object) -> bool:
        return isinstance(block, bytes) and block.hex().startswith(self._text)


def _trusted(trust: str | None, headers: Path | None) -> Container[bytes] | None:
    """Blocks that are believed in; None if nobody said."""
    if trust is not None and headers is not None:
        raise click.UsageError("--trust and --headers are two ways to say which blocks you know")
    if trust is not None:
        text = trust.strip().lower()
        if not _TRUSTED_DIGITS <= len(text) <= 64 or any(char not in "0123456789abcdef" for char in text):
            fail(f"not the id of a block: {trust!r}", code="usage",
                 expected=f"{_TRUSTED_DIGITS} to 64 hex digits: a block that begins like a shorter one can be made",
                 show_them="chain-explorer block HEIGHT -f id")  # fmt: skip
        return _Prefix(text)
    return None if headers is None else _ids_in(headers)


def _ids_in(path: Path) -> set[bytes]:
    """Of lines of `export headers --json`: from the bytes, not from what the line calls them."""
    from apps.chain.core.header import id_of

    ids = set()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            one: Any = json.loads(line)
            ids.add(id_of(bytes.fromhex(one["raw"])))
        except (ValueError, TypeError, KeyError):
            fail("this is no file of headers", code="usage", file=str(path), line=str(number),
                 make_one="chain-explorer export headers --json -o FILE")  # fmt: skip
    return ids
