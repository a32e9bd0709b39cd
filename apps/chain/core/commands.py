"""What people, and programs for them, may ask of the chain.

`p2pnode app ask chain COMMAND KEY=VALUE`. Amounts are units, 10^6 to a credit; keys, ids and digests hex digits; an
account is an address or a key.

    status   {}                            -> {"chain_id", "height", "tip", "time", "difficulty", "work", "headers",
                                              "mempool", "mempool_bytes", "peers", "synced", "light", "held", "barred",
                                              "trouble": why the chain does not go on, or null,
                                              "kept_from": the first height whose blocks are here, 0: all,
                                              "deep_reorg": {"depth", "fork", "at_ms"} or null}: more than six blocks
                                              were taken back, within the last thousand
    address  {}                            -> {"address", "key"}   of this node
    account  {"account"?}                  -> {"address", "key", "balance", "nonce", "next", "pending", "immature",
                                              "synced": false: there may be more}; a
                                              light node: without the last four, with "said_by", since it is only said.
                                              Of this node also "gone": [{"tx", "spent", "nonce", "why"}], in no block
                                              any more: "why" it can never be, or null: it waits again
    send     {"to", "amount", "memo"?, "fee"?}    -> {"tx", "fee"}
    anchor   {"digest", "tag"?, "fee"?}           -> {"tx", "fee"}
    name     {"name", "value"?, "fee"?}           -> {"tx", "fee"}   claim, renew, change; without a value: give it back
    submit   {"tx"}                               -> {"tx"}   one that was signed elsewhere
    whois    {"name"}                             -> {"name", "owner", "value", "expires"} or null
    tx       {"tx"}                               -> {"tx", "height", "confirmations"}; height 0: it waits
    payee    {"to"}                               -> {"address", "key", "is"}   whose account an address, a key, a name
                                              or the beginning of a known peer's id means; see payee.py
    mempool  {"limit"?}                           -> [{"tx", "sender", "nonce", "fee", "bytes", "operations", "raw",
                                              "seen_ms"}]   who pays most first; "raw": all of it
    peers    {}                                   -> [{"peer", "height", "tip", "work", "light", "slow"}]
    proof    {"of"}                               -> {"proof", "height", "time", "sender"}   of a transaction or digest
    beacon   {"height"}                           -> {"height", "block"} or null: fewer than six blocks stand on it
    mine_start {"threads"?, "duty"?, "on_demand"?} (else as before) | mine_stop {} | mine_status {}
                                                  -> {"mining", "threads", "duty", "on_demand", "found", "rate"}
    mine_work, mine_found: for a worker, see miner.Bench
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from apps.chain.core.address import format_address, parse_address
from apps.chain.core.limits import MAX_POOL_TXS, WORK_S
from apps.chain.core.miner import How
from apps.chain.core.operations import Anchor, Operation, Pay, SetName
from apps.chain.core.payee import payee
from overlay.app import AppContext, CommandHandler
from overlay.errors import LocalError, NotFound
from overlay.identity.keys import KEY_BYTES
from overlay.runtime.future import Future
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.chain.core.app import Chain

#: So long a deep change of branch is shown.
REMEMBERED_BLOCKS = 1_000

NAMES = (
    "status", "address", "account", "payee", "send", "anchor", "name", "submit", "whois", "tx", "mempool", "peers",
    "proof", "beacon", "mine_start", "mine_stop", "mine_status", "mine_work", "mine_found",
)  # fmt: skip


def declare(chain: Chain, ctx: AppContext, opened: Future[None]) -> None:
    """Who asks before the store is open waits until it is."""
    commands = Commands(chain)

    def once_open(handler: CommandHandler) -> CommandHandler:
        async def obey(args: dict[str, Any]) -> Any:
            await opened
            return await handler(args)

        return obey

    for name in NAMES:
        ctx.command(name, once_open(getattr(commands, name)))


@attrs.frozen(slots=True, eq=False)
class Commands:
    chain: Chain

    # --- what is there ------------------------------------------------------------------------

    async def status(self, args: dict[str, Any]) -> Any:
        chain, s = self.chain, self.chain.desk.summary
        return {
            "chain_id": chain.params.chain_id.hex(), "height": s.height, "tip": s.tip.hex(), "time": s.time,
            "difficulty": s.difficulty, "work": s.work, "headers": s.best_height, "mempool": s.waiting,
            "mempool_bytes": s.waiting_bytes, "peers": len(chain.peers.known),
            "synced": chain.is_synced,
            "light": s.light, "held": s.held, "barred": chain.peers.barred, "trouble": chain.trouble or None,
            "deep_reorg": self._deep_reorg(), "kept_from": s.kept_from,
        }  # fmt: skip

    def _deep_reorg(self) -> dict[str, int] | None:
        """The last one, as long as it is no history."""
        deep = self.chain.deep
        if deep is None or deep[1] < self.chain.desk.summary.height - REMEMBERED_BLOCKS:
            return None
        return {"depth": deep[0], "fork": deep[1], "at_ms": deep[2]}

    async def address(self, args: dict[str, Any]) -> Any:
        return self._named(self.chain.wallet.key)

    async def account(self, args: dict[str, Any]) -> Any:
        key = self._key(args, "account") if "account" in args else self.chain.wallet.key
        if self.chain.light:
            said, peer = await self.chain.verified.account(key)
            return self._named(key) | {"balance": said.balance, "nonce": said.nonce, "said_by": peer.hex()}
        is_own = key == self.chain.wallet.key
        standing = self.chain.wallet.account() if is_own else self.chain.desk.do("account", key)
        balance, nonce, after, pending = await standing
        return self._named(key) | {
            "balance": balance, "nonce": nonce, "next": after, "pending": pending,
            "immature": await self.chain.desk.do("immature", key), "synced": self.chain.is_synced,
            "gone": [
                {"tx": tx.txid.hex(), "spent": tx.spent, "nonce": tx.nonce, "why": why or None}
                for tx, why in (await self.chain.wallet.gone() if is_own else [])
            ],
        }  # fmt: skip

    async def whois(self, args: dict[str, Any]) -> Any:
        self._whole()
        found = await self.chain.desk.do("name", _text(args, "name").encode())
        if found is None:
            return None
        owner, value, expires = found
        return {"name": args["name"], "owner": owner.hex(), "value": value, "expires": expires}

    async def tx(self, args: dict[str, Any]) -> Any:
        txid = _hex(args, "tx", 32)
        if self.chain.light:
            _, proof = await self.chain.verified.proof(txid)
            height = proof.header.height
            return {"tx": txid.hex(), "height": height, "confirmations": self.chain.desk.summary.height - height + 1}
        found = await self.chain.desk.do("where", txid)
        if found is None:
            raise NotFound(f"no transaction {txid.hex()[:16]} is in the chain, and none waits")
        return {"tx": txid.hex(), "height": found[0], "confirmations": found[1]}

    async def mempool(self, args: dict[str, Any]) -> Any:
        limit = _number(args, "limit", MAX_POOL_TXS + 1, default=100)
        found = await self.chain.desk.do("waiting", limit, self.chain.ctx.now.wall_ms)
        return [
            {
                "tx": tx.hex(), "sender": sender.hex(), "nonce": nonce, "fee": fee, "bytes": len(raw),
                "operations": operations, "raw": raw.hex(), "seen_ms": seen_ms,
            }
            for tx, sender, nonce, fee, operations, raw, seen_ms in found
        ]  # fmt: skip

    async def peers(self, args: dict[str, Any]) -> Any:
        peers = self.chain.peers
        return [
            {
                "peer": one.id.hex(), "height": one.standing.height if one.standing else None,
                "tip": one.standing.tip.hex() if one.standing else None,
                "work": one.standing.work if one.standing else None,
                "light": one.standing.light if one.standing else None, "slow": peers.is_slow(one.id),
            }
            for one in peers.known.values()
        ]  # fmt: skip

    async def payee(self, args: dict[str, Any]) -> Any:
        found = await payee(self.chain, _text(args, "to"))
        return self._named(found.key) | {"is": found.what}

    async def proof(self, args: dict[str, Any]) -> Any:
        of = _hex(args, "of", 32, expected="an id or a digest")
        made = b"" if self.chain.light else await self.chain.desk.do("proof", of)
        # Where headers alone are kept, or the block was forgotten, others are asked.
        raw, proof = await self.chain.verified.proof(of, made=made)
        return {
            "proof": raw.hex(), "height": proof.header.height, "time": proof.header.time,
            "sender": proof.tx.sender.hex(),
        }  # fmt: skip

    async def beacon(self, args: dict[str, Any]) -> Any:
        height = _number(args, "height", 1 << 53)
        found = await self.chain.beacon(height)
        return None if found is None else {"height": height, "block": found.hex()}

    # --- what is sent -------------------------------------------------------------------------

    async def send(self, args: dict[str, Any]) -> Any:
        memo = _text(args, "memo", default="").encode()
        amount = _number(args, "amount", 1 << 53)
        return await self._send(args, Pay(self._key(args, "to"), amount, memo=memo))

    async def anchor(self, args: dict[str, Any]) -> Any:
        return await self._send(args, Anchor(_hex(args, "digest", 32), tag=_text(args, "tag", default="").encode()))

    async def name(self, args: dict[str, Any]) -> Any:
        value = _text(args, "value", default="").encode()
        return await self._send(args, SetName(_text(args, "name").encode(), value))

    async def _send(self, args: dict[str, Any], operation: Operation) -> Any:
        self._whole()
        fee = _number(args, "fee", 1 << 53) if args.get("fee") is not None else None
        tx = await self.chain.wallet.send([operation], fee=fee)
        return {"tx": tx.txid.hex(), "fee": tx.fee}

    async def submit(self, args: dict[str, Any]) -> Any:
        self._whole()
        return {"tx": (await self.chain.wallet.submit(_hex(args, "tx", None))).hex()}

    # --- mining -------------------------------------------------------------------------------

    async def mine_start(self, args: dict[str, Any]) -> Any:
        was = self.chain.how
        threads, duty = (
            _number(args, name, bound, default=kept) if args.get(name) is not None else kept
            for name, bound, kept in (("threads", 257, was.threads), ("duty", 101, was.duty))
        )
        if not threads or not duty:
            raise LocalError("a miner has 1 to 256 threads, and works 1 to 100 % of the time")
        on_demand = was.on_demand if args.get("on_demand") is None else bool(args["on_demand"])
        await self.chain.mine(How(threads, duty, on_demand))
        return await self.mine_status({})

    async def mine_stop(self, args: dict[str, Any]) -> Any:
        await self.chain.mine(None)
        return await self.mine_status({})

    async def mine_status(self, args: dict[str, Any]) -> Any:
        mining = self.chain.mining
        how = mining.how or self.chain.how
        return {
            "mining": mining.how is not None, "threads": how.threads, "duty": how.duty, "on_demand": how.on_demand,
            "found": mining.found, "rate": self.chain.bench.rate,
        }  # fmt: skip

    async def mine_work(self, args: dict[str, Any]) -> Any:
        bench = self.chain.bench
        bench.rate = None if args.get("rate") is None else _number(args, "rate", 1 << 53)
        return await bench.work(_number(args, "after", 1 << 53, default=0), WORK_S * SECOND)

    async def mine_found(self, args: dict[str, Any]) -> Any:
        return {"taken": self.chain.bench.found(_number(args, "number", 1 << 53), _hex(args, "nonce", 8))}

    # --- inside -------------------------------------------------------------------------------

    def _named(self, key: bytes) -> dict[str, Any]:
        return {"address": format_address(key, hrp=self.chain.params.hrp), "key": key.hex()}

    def _key(self, args: dict[str, Any], name: str) -> bytes:
        text = _text(args, name)
        if len(text) == 2 * KEY_BYTES:
            return _hex(args, name, KEY_BYTES)
        return parse_address(text, hrp=self.chain.params.hrp)

    def _whole(self) -> None:
        if self.chain.light:
            raise LocalError("this node has headers alone: ask one that keeps the whole chain (without light)")


def _text(args: dict[str, Any], name: str, *, default: str | None = None, expected: str = "a text") -> str:
    value = default if args.get(name) is None else args[name]
    if value is None or (value == "" and default is None):
        raise LocalError(f"{name!r} is missing: {name}=…, {expected}")
    if not isinstance(value, str):
        raise LocalError(f"{name!r} is {expected}, not {value!r:.80}")
    return value


def _hex(args: dict[str, Any], name: str, size: int | None, *, expected: str = "") -> bytes:
    digits = "hex digits" if size is None else f"{2 * size} hex digits"
    text = _text(args, name, expected=f"{expected}, {digits}" if expected else digits)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise LocalError(f"{name!r} is hex digits, not {text[:80]!r}") from None
    if size is not None and len(value) != size:
        raise LocalError(f"{name!r} has {size} bytes, not {len(value)}")
    return value


def _number(args: dict[str, Any], name: str, bound: int, *, default: int | None = None) -> int:
    value = default if args.get(name) is None else args[name]
    expected = f"a whole number from 0 to {bound - 1}"
    if value is None:
        raise LocalError(f"{name!r} is missing: {name}=…, {expected}")
    if type(value) is not int or not 0 <= value < bound:
        raise LocalError(f"{name!r} is {expected}, not {value!r:.80}")
    return value
