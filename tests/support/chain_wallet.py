"""A wallet in a swarm: what is paid, what is only held, and what blocks have of it."""

from __future__ import annotations

from typing import Any

from apps.chain.core.block import decode_block, decode_txs
from apps.chain.core.operations import Operation, Pay
from apps.chain.core.tx import SIGNED, Tx, decode_tx, encode_tx
from simulations.fake_keys import FakeKeyPair
from tests.support.chain_swarm import RATE, ChainSwarm
from tests.support.swarm import CommandFailed

THEM = "11" * 32


def two(**more: Any) -> ChainSwarm:
    """Node 0 mines, node 1 does not; three blocks are there, and node 0 has something."""
    swarm = ChainSwarm(2, lan=True, rates={0: RATE}, **more)
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 4)
    return swarm


def settled(swarm: ChainSwarm, tx: str, *, node: int = 1) -> int:
    """The height of the block that it is in, at that node."""
    for _ in range(120):
        try:
            if height := swarm.ask(node, "tx", tx=tx)["height"]:
                return int(height)
        except CommandFailed:
            pass
        swarm.run_for(1)
    raise AssertionError(f"transaction {tx[:8]} is in no block")


def pay(swarm: ChainSwarm, amount: int = 5, *, node: int = 0, to: str = THEM) -> str:
    return str(swarm.ask(node, "send", to=to, amount=amount)["tx"])


def resting() -> ChainSwarm:
    swarm = two()
    swarm.rest(0)
    swarm.run_for(3)
    return swarm


def back(swarm: ChainSwarm, *nodes: int) -> None:
    """The power of these was off."""
    for node in nodes:
        swarm.kill(node, power_loss=True)
    for node in nodes:
        swarm.engine.start(node)
    swarm.join()


def without_chain(swarm: ChainSwarm, node: int) -> None:
    """Its chain.db is put aside."""
    swarm.kill(node)
    del swarm.world.stores[node]
    swarm.engine.start(node)


def made(
    swarm: ChainSwarm, *operations: Operation, nonce: int, node: int = 0, fee: int = 1_000, first: int = 0,
    last: int = 5_000, key: FakeKeyPair | None = None,
) -> Tx:  # fmt: skip
    """Signed, and given to nobody."""
    chain = swarm.chain(node)
    signer = chain.ctx.signer(SIGNED) if key is None else key
    raw = encode_tx(
        signer, chain.params.chain_id, operations or (Pay(bytes(32), 1),), nonce=nonce, fee=fee,
        first=first, last=last,
    )  # fmt: skip
    return decode_tx(raw, chain.params.chain_id)


def lost(swarm: ChainSwarm, node: int = 0) -> list[tuple[str, str]]:
    return [(fields["tx"].hex(), str(fields["reason"])) for of, fields in swarm.events("tx lost") if of == node]  # type: ignore[attr-defined]


def filled(swarm: ChainSwarm, node: int = 0) -> list[object]:
    return [fields["nonce"] for of, fields in swarm.events("gap filled") if of == node]


def nonces_of(swarm: ChainSwarm, txs: list[str], node: int = 0) -> list[int]:
    """As the blocks have them, each in one alone."""
    key, store, found = swarm.chain(node).wallet.key, swarm.world.store(node), {}
    for height in range(1, swarm.height(node) + 1):
        row = store.active(height)
        assert row is not None
        raw = store.block(row.id)
        assert raw is not None
        for one in decode_txs(decode_block(raw).txs, swarm.world.params.chain_id):
            if one.sender == key:
                assert one.txid.hex() not in found
                found[one.txid.hex()] = one.nonce
    return [found[tx] for tx in txs]


def hold(swarm: ChainSwarm, *txs: Tx, node: int = 0) -> None:
    for tx in txs:
        swarm.chain(node).wallet.own.hold(tx)


def mine_on(swarm: ChainSwarm, blocks: int, *, node: int = 1) -> None:
    """So many more at node 0."""
    swarm.mine(node)
    swarm.until_height(0, swarm.height(0) + blocks)
    swarm.rest(node)
    swarm.run_for(125)  # two looks


def all_of(swarm: ChainSwarm) -> int:
    account = swarm.ask(0, "account")
    return int(account["balance"] + account["immature"])


def pair(**more: Any) -> ChainSwarm:
    """Node 0 has something, node 1 mines now and then, neither does now."""
    swarm = two(**more)
    swarm.rest(0)
    swarm.world.rates[1] = RATE
    swarm.restart(1)
    swarm.join(through=0, nodes=[1])
    swarm.run_for(3)
    return swarm
