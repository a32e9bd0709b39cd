"""Answers as objects for programs: amounts in units, ids and addresses in full. Keys may be added, known ones stay
(docs/chain-explorer.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apps.chain.cli.explorer.texts import People
from apps.chain.core.address import format_address
from apps.chain.core.operations import Anchor, Evidence, Operation, Pay, SetName
from apps.chain.core.rows import NameRow, Reorg, Status
from apps.chain.core.tx import Tx
from p2pnode.ui.values import to_json

if TYPE_CHECKING:
    from apps.chain.cli.explorer.live import Peers, Waiting
    from apps.chain.core.explorer import accounts, anchors, blocks, forks, proofs, search, txs
    from apps.chain.core.explorer import decode as decoding
    from apps.chain.core.explorer import evidence as convictions
    from apps.chain.core.explorer import stats as figures
    from apps.chain.core.explorer import status as state
    from apps.chain.core.explorer import supply as supplies
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.explorer.faults import Report
    from apps.chain.core.proof import Proof

Object = dict[str, Any]

_STATUS = {
    Status.INVALID: "invalid", Status.DOOMED: "invalid", Status.HEADER: "header", Status.BODY: "waiting",
    Status.READY: "side", Status.VALID: "side",
}  # fmt: skip


def who(people: People, label: str, key: bytes) -> Object:
    """`"miner": "xn1…", "miner_name": "edge-3"`; null without a name."""
    return {label: format_address(key, hrp=people.hrp), f"{label}_name": people.names.get(key)}


def block_line(people: People, line: blocks.Line) -> Object:
    active = line.active
    return {
        "v": 1, "height": active.height, "id": active.id.hex(), "time": active.time, "solve_s": line.solve_s,
        "txs": active.txs, "operations": active.operations, "size": active.size, "fees": active.fees,
        "difficulty": active.difficulty, **who(people, "miner", active.miner),
    }  # fmt: skip


def status_of(facts: blocks.Facts) -> str:
    return "active" if facts.active is not None else _STATUS[facts.row.status]


def block(people: People, facts: blocks.Facts) -> Object:
    row = facts.row
    return {
        "v": 1, "height": row.height, "id": row.id.hex(), "parent": row.parent.hex(),
        "children": [child.hex() for child in facts.children],
        "status": status_of(facts), "why": row.why or None, "confirmations": facts.confirmations,
        "time": row.time, "solve_s": row.solve_s, "seen_ms": row.seen_ms or None,
        "difficulty": row.difficulty, "work": row.work, **who(people, "miner", row.miner),
        "reward": facts.reward, "fees": facts.fees, "credited_at": facts.credited_at,
        "txs": row.txs, "operations": facts.operations, "size": facts.size,
        "root": facts.header.root.hex(), "extra": to_json(facts.header.extra), "nonce": facts.header.nonce.hex(),
    }  # fmt: skip


def tx_line(people: People, tx: Tx, pos: int) -> Object:
    """Of the list in a block."""
    return {"pos": pos, **_tx(people, tx)}


def _tx(people: People, tx: Tx) -> Object:
    return {
        "txid": tx.txid.hex(), **who(people, "from", tx.sender), "nonce": tx.nonce, "fee": tx.fee,
        "size": len(tx.raw), "first": tx.first, "last": tx.last, "spent": tx.spent,
        "operations": [operation(people, op) for op in tx.operations],
    }  # fmt: skip


def operation(people: People, op: Operation) -> Object:
    match op:
        case Pay(to, amount, memo=memo):
            return {"kind": "pay", **who(people, "to", to), "amount": amount, "memo": to_json(memo)}
        case Anchor(digest, tag=tag):
            return {"kind": "anchor", "digest": digest.hex(), "tag": to_json(tag)}
        case SetName(name, value):
            kind = "name" if value else "release"
            return {"kind": kind, "name": name.decode("ascii"), "value": to_json(value)}
        case Evidence(evidence):
            return {"kind": "evidence", "evidence": evidence.hex()}


def tx(people: People, facts: txs.Facts, *, signed: bool) -> Object:
    at = facts.block
    return {
        "v": 1, **_tx(people, facts.tx), "status": "pending" if at is None else "confirmed", "signed": signed,
        "height": None if at is None else at.height, "pos": facts.pos,
        "block": None if at is None else at.id.hex(), "time": None if at is None else at.time,
        "confirmations": facts.confirmations,
    }  # fmt: skip


def address(chain: Chain, people: People, facts: accounts.Facts, pending: int | None) -> Object:
    account = facts.account
    return {
        "v": 1, "address": chain.address(account.key), "key": account.key.hex(), "name": people.names.get(account.key),
        "names": [row.name.decode("ascii") for row in facts.names], "balance": account.balance, "pending": pending,
        "immature": facts.immature, "nonce": account.nonce, "txs": facts.txs, "first": facts.first or None,
        "last": facts.last or None, "tip": facts.tip,
    }  # fmt: skip


def entry(people: People, found: accounts.Entry) -> Object:
    """A line of the history of an account."""
    tx = found.tx
    return {
        "v": 1, "height": found.height, "pos": None if found.mined is not None else found.pos, "time": found.time,
        "change": found.change, "mined": found.mined, **({"txid": None} if tx is None else _tx(people, tx)),
    }  # fmt: skip


def status(
    chain: Chain, people: People, facts: state.Facts, waiting: Sequence[Waiting] | None, peers: Peers | None
) -> Object:
    """`mempool` and `peers` are null where no node is asked, `mempool` also where headers are kept alone."""
    short, long = facts.short, facts.long
    return {
        "v": 1, "chain_id": chain.params.chain_id.hex(), "genesis": chain.params.genesis_id.hex(),
        "pow": "scrypt-256" if chain.params.pow else "sha256d", "target_s": chain.params.target_s,
        "height": facts.tip.height, "tip": facts.tip.id.hex(), "time": facts.tip.time,
        "difficulty": facts.header.difficulty, "work": facts.header.work, **who(people, "miner", facts.header.miner),
        "hashrate": round(facts.hashrate), "interval_20": None if short is None else round(short.mean, 3),
        "interval_100": None if long is None else round(long.mean, 3),
        "longest": None if long is None else long.longest,
        "mempool": None if waiting is None else len(waiting), "peers": None if peers is None else len(peers.tips),
        "headers": max(facts.best.height, facts.tip.height), "light": chain.light,
        "synced": facts.is_synced if peers is None else facts.is_synced and peers.synced,
        "kept_from": facts.kept_from, "trouble": None if peers is None else peers.trouble or None,
        "reorgs": facts.reorgs, "deepest_reorg": facts.deepest,
    }  # fmt: skip


def waiting(people: People, found: Waiting) -> Object:
    return {"v": 1, **_tx(people, found.tx), "seen": None if found.seen is None else round(found.seen, 3)}


def hit(chain: Chain, found: search.Hit) -> Object:
    match found.kind.value:
        case "address":
            text: Any = chain.address(found.found)
        case "name" | "tag":
            text = to_json(found.found)
        case _:
            text = found.found.hex()
    return {"v": 1, "kind": found.kind.value, "found": text, "height": found.height, "pos": found.pos}


def anchored(
    people: People, label: str | None, digest: bytes, found: Sequence[anchors.Anchored], count: int,
    waits: Sequence[bytes],
) -> Object:  # fmt: skip
    return {
        "v": 1, "file": label, "digest": digest.hex(), "anchored": bool(found), "times": count,
        "no_later_than": found[0].no_later_than if found else None, "waiting": [txid.hex() for txid in waits],
        "anchors": [
            {
                "height": one.row.height, "pos": one.row.pos, "op": one.row.op, "time": one.time,
                "seen_ms": one.seen_ms or None, "tag": to_json(one.row.tag), "confirmations": one.confirmations,
                "work": one.work, **_sender(people, one.tx),
            }
            for one in found
        ],
    }  # fmt: skip


def _sender(people: People, tx: Tx | None) -> Object:
    """Null where the block is not here any more."""
    if tx is None:
        return {"txid": None, "from": None, "from_name": None}
    return {"txid": tx.txid.hex(), **who(people, "from", tx.sender)}


def name(people: People, row: NameRow, tip: int) -> Object:
    return {
        "v": 1, "name": row.name.decode("ascii"), "owner": format_address(row.owner, hrp=people.hrp),
        "value": to_json(row.value), "expires": row.expires, "blocks_left": max(row.expires - tip, 0),
    }  # fmt: skip


def conviction(people: People, found: convictions.Conviction) -> Object:
    evidence = found.evidence
    return {
        "v": 1, "key": found.row.key.hex(), **who(people, "offender", found.row.culprit), "height": found.row.height,
        "pos": found.row.pos, "op": found.row.op, "time": found.time, **_sender(people, found.tx),
        "evidence": None if evidence is None else evidence.hex(),
    }  # fmt: skip


def branch(people: People, found: forks.Branch) -> Object:
    tip = found.tip
    return {
        "v": 1, "kind": "branch", "height": tip.height, "id": tip.id.hex(), "fork": found.fork,
        "blocks": [row.id.hex() for row in found.rows], "behind": found.behind, "later_ms": found.later_ms,
        "status": _STATUS[tip.status], "why": next((row.why for row in found.rows if row.why), None),
        **who(people, "miner", tip.miner),
    }  # fmt: skip


def reorg(found: Reorg) -> Object:
    return {
        "v": 1, "kind": "reorg", "at_ms": found.at_ms, "fork": found.fork, "old": found.old.hex(),
        "old_height": found.old_height, "new": found.new.hex(), "new_height": found.new_height,
    }  # fmt: skip


def supply(people: People, found: supplies.Supply) -> Object:
    totals = found.totals
    return {
        "v": 1, "tip": found.tip, "issued": found.issued, "balances": totals.balances,
        "immature": found.immature_rewards, "immature_fees": found.immature_fees, "fees": totals.fees,
        "accounts": totals.accounts, "txs": totals.txs, "right": found.is_right,
        "top": [
            {**who(people, "address", row.key), "balance": row.balance, "nonce": row.nonce} for row in found.richest
        ],
    }  # fmt: skip


def stats(people: People, found: figures.Stats) -> Object:
    took = found.intervals
    return {
        "v": 1, "blocks": len(found.lines), "first": found.first, "last": found.last, "seconds": found.seconds,
        "interval": None if took is None else {
            "mean": round(took.mean, 3), "median": took.median, "p95": took.p95, "longest": took.longest,
        },
        "stale": found.stale, "txs": found.txs, "operations": found.operations, "size": found.size,
        "fees": found.fees, "hashrate": round(found.hashrate, 3),
        "miners": [{**who(people, "address", miner), "blocks": count} for miner, count in found.miners],
    }  # fmt: skip


def series(found: figures.Stats, of: figures.Series) -> list[Object]:
    """What is plotted; of miners their blocks are in "miners" already."""
    from apps.chain.core.explorer.stats import Series, values

    if of is Series.MINERS:
        return []
    return [{"height": height, "value": value} for height, value in values(found, of)]


def verified(report: Report, took: float) -> Object:
    fault = report.fault
    return {
        "v": 1, "ok": fault is None, "level": report.level, "first": report.first, "last": report.last,
        "kept_from": report.kept_from, "headers": report.headers, "bodies": report.bodies,
        "signatures": report.signatures,
        "replayed": report.replayed, "undone": report.undone, "equal": report.is_equal,
        "fault": None if fault is None else {
            "height": fault.height, "block": fault.block.hex(), "code": str(fault.code), "why": fault.why,
        },
        "took_s": round(took, 3),
    }  # fmt: skip


def proof(found: Proof, link: proofs.Link | None, *, is_of_file: bool) -> Object:
    """`trusted`: the block that was trusted; null with --trust none, and then it is not "ok". Addresses are as of a
    real network."""
    people = People(found.params.hrp, {})
    return {
        "v": 1, "ok": link is not None, "chain_id": found.params.chain_id.hex(), "height": found.header.height,
        "block": found.ids[0].hex(), "time": found.header.time, "pos": found.position, "leaves": found.header.txs,
        "headers": len(found.ids), "last": found.ids[-1].hex(), "work": found.work,
        "trusted": None if link is None else link.block.hex(), "steps": None if link is None else link.steps,
        "file": is_of_file or None, "tx": _tx(people, found.tx),
    }  # fmt: skip


def decoded(people: People, found: decoding.Decoded) -> Object:
    header = found.header
    return {
        "v": 1, "kind": found.sort.value, "size": found.size, "ok": found.rule is None,
        "rule": found.rule or None, "why": found.why or None,
        "chain_id": None if found.chain_id is None else found.chain_id.hex(), "placed": found.placed,
        "block": None if found.block is None else found.block.hex(),
        "header": None if header is None else {
            "height": header.height, "parent": header.parent.hex(), "root": header.root.hex(), "txs": header.txs,
            "time": header.time, "difficulty": header.difficulty, **who(people, "miner", header.miner),
            "extra": to_json(header.extra), "nonce": header.nonce.hex(),
        },
        "transactions": [_tx(people, one) for one in found.txs],
    }  # fmt: skip
