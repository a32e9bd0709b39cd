"""`chain-explorer status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, answer, field_option, full_option, pass_session, people
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, print_fields

if TYPE_CHECKING:
    from apps.chain.cli.explorer.live import Peers, Waiting
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.explorer.stats import Intervals
    from apps.chain.core.explorer.status import Facts

#: Columns that are left for a name.
_WHO = 24


@click.command(epilog=examples("chain-explorer status", "chain-explorer status -f height"))
@field_option
@full_option
@json_option
@pass_session
def status(session: Session, field: str | None, full: bool, as_json: bool) -> None:
    """Show the tip, the work, how fast blocks come, and, of a running node, what waits and who is there."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer import status as queries

    with session.chain(light=True) as chain:
        facts = queries.facts(chain)
        known = people(chain, {facts.header.miner}, full=full)
        node = session.node()
        waiting = None if node is None or chain.light else node.mempool(chain.params.chain_id)
        peers = None if node is None else node.peers()
        obj = objects.status(chain, known, facts, waiting, peers)
        if not answer(obj, as_json=as_json, field=field):
            print_fields(_fields(chain, facts, known, waiting, peers, session.clock()))


def _fields(
    chain: Chain, facts: Facts, known: People, waiting: list[Waiting] | None, peers: Peers | None, now: float
) -> list[tuple[str, object]]:
    from apps.chain.cli.explorer.texts import age, big, id_text
    from apps.chain.core.work import Pow

    params, tip = chain.params, facts.tip
    pow_name = "scrypt-256" if params.pow is Pow.SCRYPT else "sha256d"
    by = f"   by {known.brief(facts.header.miner, _WHO)}" if tip.height else ""
    ago = "ago" if tip.time <= now else ""
    return [
        ("chain", f"{params.chain_id.hex()}   pow {pow_name}   target {params.target_s} s"),
        ("tip", f"{tip.height:,}  {id_text(tip.id, full=known.full)}   {age(tip.time, now)} {ago}{by}".rstrip()),
        ("work", f"{big(facts.header.work)} hashes   difficulty {facts.header.difficulty:,}   "
                 f"est. {big(round(facts.hashrate))} H/s"),
        ("interval", _intervals(facts.short, facts.long)),
        ("mempool", _mempool(chain, waiting)),
        ("sync", _sync(chain, facts, peers)),
        ("reorgs", _reorgs(facts)),
        *([("TROUBLE", peers.trouble)] if peers is not None and peers.trouble else []),
    ]  # fmt: skip


def _intervals(short: Intervals | None, long: Intervals | None) -> str | None:
    from apps.chain.cli.explorer.texts import span
    from apps.chain.core.explorer.status import LONG, SHORT

    if short is None or long is None:
        return None
    return f"last {SHORT}: {short.mean:.1f} s   last {LONG}: {long.mean:.1f} s   longest {span(long.longest)}"


def _mempool(chain: Chain, waiting: list[Waiting] | None) -> str:
    from apps.chain.cli.explorer.texts import credits_text, size_text

    if chain.light:
        return "none: this home keeps headers alone"
    if waiting is None:
        return "no node is asked"
    size = sum(len(one.tx.raw) for one in waiting)
    if not waiting:
        return "empty"
    rates = sorted(one.tx.fee * 1000 // len(one.tx.raw) for one in waiting)
    return f"{counted(len(waiting), 'tx')}, {size_text(size)}, {credits_text(rates[len(rates) // 2])} cr/kB median"


def _sync(chain: Chain, facts: Facts, peers: Peers | None) -> str:
    tip = facts.tip.height
    best = max(facts.best.height, tip)
    bodies = "none are kept" if chain.light else f"{tip:,}/{best:,}"
    if facts.kept_from and not chain.light:
        bodies = f"{facts.kept_from:,} to {bodies} (pruned)"
    text = f"headers {best:,}/{best:,}  bodies {bodies}"
    if peers is None:
        return text
    same = sum(1 for _, found in peers.tips if found == facts.tip.id.hex())
    behind = sum(1 for height, _ in peers.tips if height < tip)
    words = [f"{same} same tip"] * bool(same) + [f"{behind} behind"] * bool(behind)
    about = f" ({', '.join(words)})" if words else ""
    return f"{text}  {counted(len(peers.tips), 'peer')}{about}"


def _reorgs(facts: Facts) -> str:
    from apps.chain.core.explorer.status import REORG_BLOCKS

    if not facts.reorgs:
        return f"none in the last {REORG_BLOCKS:,} blocks"
    deepest = f"deepest {counted(facts.deepest, 'block')} (above {facts.deepest_at:,})"
    return f"{facts.reorgs:,} in the last {REORG_BLOCKS:,} blocks, {deepest}"
