"""`chain-explorer watch`: what happens, as it happens, from the events of the running node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from apps.chain.cli.explorer.session import Session, full_option, pass_session, people
from p2pnode.ui.options import examples
from p2pnode.ui.render import print_json, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.live import Node
    from apps.chain.core.tx import Tx

#: Events after which there are other blocks.
_BLOCKS = {"block", "synced", "reorg"}


@click.command(epilog=examples("chain-explorer watch", "chain-explorer watch --blocks --json | jq .height"))
@click.option("--blocks", "only_blocks", is_flag=True, help="Blocks and changes of branch alone.")
@click.option("--txs", "only_txs", is_flag=True, help="Transactions that begin to wait alone.")
@click.option("--address", "account", metavar="ACCOUNT", help="Only what concerns this account.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many lines.")
@full_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_session
def watch(
    session: Session, only_blocks: bool, only_txs: bool, account: str | None, count: int | None, full: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Print blocks and transactions of the running node as they come, until Ctrl-C. Nothing is polled."""
    node = session.running()
    with session.chain() as chain:
        from apps.chain.core.explorer.refs import find_account

        key = None if account is None else find_account(chain, account)
        height = chain.height
    wanted = (_BLOCKS if only_blocks or not only_txs else set()) | ({"tx"} if only_txs or not only_blocks else set())
    watcher = Watcher(session, node, key, height, full=full, as_json=as_json)
    shown = 0
    for name, fields in node.events(lambda: say(f"watching from block {height:,} on; Ctrl-C ends it")):
        if name not in wanted:
            watcher.skip(name)
            continue
        for line in watcher.lines(name, fields):
            line()
            shown += 1
            if shown == count:
                return


class Watcher:
    """An event says that there is something new; what it is, is read from the chain, so that no event that was missed
    leaves a gap."""

    def __init__(
        self, session: Session, node: Node, key: bytes | None, height: int, *, full: bool, as_json: bool
    ) -> None:
        self._session, self._node, self._key, self._height = session, node, key, height
        self._full, self._as_json = full, as_json

    def skip(self, name: str) -> None:
        if name in _BLOCKS:
            with self._session.chain() as chain:
                self._height = chain.height

    def lines(self, name: str, fields: dict[str, Any]) -> list[Callable[[], None]]:
        """What prints each line."""
        match name:
            case "block" | "synced":
                return self._blocks()
            case "reorg":
                return self._reorg()
            case "tx":
                return self._tx(str(fields.get("tx", "")))
        return []

    def _blocks(self) -> list[Callable[[], None]]:
        from apps.chain.cli.explorer import as_json as objects
        from apps.chain.core.explorer.blocks import between

        with self._session.chain() as chain:
            lines = between(chain, self._height + 1, chain.height)
            self._height = chain.height
            if self._key is not None:
                lines = [line for line in lines if self._concerns(chain, line.active)]
            known = people(chain, {line.active.miner for line in lines}, full=self._full)
        if self._as_json:
            return [_printed({"kind": "block"} | objects.block_line(known, line)) for line in lines]
        return [_said(_block_text(line, known)) for line in lines]

    def _concerns(self, chain: Any, active: Any) -> bool:
        touches = chain.view.touches(self._key, before=(active.height + 1, 0), limit=1)
        return active.miner == self._key or any(touch.height == active.height for touch in touches)

    def _reorg(self) -> list[Callable[[], None]]:
        """The blocks above the fork are new, and come with the next event of a block."""
        from apps.chain.cli.explorer import as_json as objects

        with self._session.chain() as chain:
            reorgs = chain.view.reorgs(limit=1)
        if not reorgs:
            return []
        reorg = reorgs[0]
        self._height = min(self._height, reorg.fork)
        if self._key is not None:
            return []
        if self._as_json:
            return [_printed(objects.reorg(reorg))]
        undone = reorg.old_height - reorg.fork
        return [_said(f"reorg  {undone} undone above {reorg.fork:,}: {reorg.old.hex()[:8]} -> {reorg.new.hex()[:8]}")]

    def _tx(self, txid: str) -> list[Callable[[], None]]:
        from apps.chain.cli.explorer import as_json as objects
        from apps.chain.core.explorer.txs import change_of

        with self._session.chain() as chain:
            waiting = [one for one in self._node.mempool(chain.params.chain_id) if one.tx.txid.hex() == txid]
            if self._key is not None:
                waiting = [one for one in waiting if one.tx.sender == self._key or change_of(one.tx, self._key)]
            known = people(chain, {one.tx.sender for one in waiting}, full=self._full)
        if self._as_json:
            return [_printed({"kind": "tx"} | objects.waiting(known, one)) for one in waiting]
        return [_said(_tx_text(one.tx, known)) for one in waiting]


def _printed(obj: dict[str, Any]) -> Callable[[], None]:
    return lambda: print_json(obj)


def _said(text: str) -> Callable[[], None]:
    return lambda: print(text, flush=True)


def _block_text(line: Any, known: Any) -> str:
    from apps.chain.cli.explorer.texts import credits_text, id_text, size_text, span

    active = line.active
    return (
        f"block  {active.height:,}  {id_text(active.id, full=known.full)}  {span(line.solve_s)}  "
        f"{active.txs} txs  {size_text(active.size)}  fees {credits_text(active.fees)}  {known.brief(active.miner)}"
    )


def _tx_text(tx: Tx, known: Any) -> str:
    from apps.chain.cli.explorer.operations import brief
    from apps.chain.cli.explorer.texts import credits_text, id_text

    return (
        f"tx     {id_text(tx.txid, full=known.full)}  {known.brief(tx.sender)}  fee {credits_text(tx.fee)}  "
        f"{brief(tx.operations)}"
    )
