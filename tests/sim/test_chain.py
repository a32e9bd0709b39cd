"""A chain that peers keep together: mining, paying, catching up, light nodes, other applications."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from typing import Any

import pytest

from apps.chain.core.books import Books
from apps.chain.core.header import decode_header
from apps.chain.core.limits import DEEP_REORG, FEW_SIGNATURES
from apps.chain.core.operations import Pay
from apps.chain.core.proof import check_proof
from apps.chain.core.relay import _Conduct
from apps.chain.core.state import digest_of
from apps.chain.core.work import Pow, search
from overlay.app import AppContext
from simulations.fake_keys import fake_verify
from tests.support.chain_swarm import PARAMS, RATE, ChainSwarm
from tests.support.chain_wallet import settled, two
from tests.support.chains import Maker
from tests.support.swarm import CommandFailed

DIGEST = hashlib.sha256(b"a report").hexdigest()


def digests(swarm: ChainSwarm) -> set[bytes]:
    return {digest_of(swarm.world.store(node)) for node in swarm.alive()}


def test_two_peers_keep_one_chain_and_one_state() -> None:
    swarm = two()
    swarm.until_height(0, 20)
    swarm.rest(0)
    swarm.run_for(3)
    assert len(swarm.tips()) == 1
    assert len(digests(swarm)) == 1
    assert [swarm.ask(node, "status")["synced"] for node in (0, 1)] == [True, True]


def test_what_is_paid_arrives() -> None:
    swarm = two()
    to = swarm.ask(1, "address")["address"]
    before = swarm.ask(1, "account")["balance"]
    tx = swarm.ask(0, "send", to=to, amount=1_500_000, memo="for a relay")["tx"]
    swarm.run_for(1)
    assert [one["tx"] for one in swarm.ask(1, "mempool")] == [tx]  # it came without being asked for
    settled(swarm, tx)
    assert swarm.ask(1, "account")["balance"] == before + 1_500_000
    # Who was paid can pay.
    back = swarm.ask(1, "send", to=swarm.ask(0, "address")["address"], amount=1_000_000)["tx"]
    settled(swarm, back, node=0)


def test_two_payments_at_once_have_two_nonces() -> None:
    swarm = two()
    to = swarm.ask(1, "address")["key"]
    args = {"app": "chain", "command": "send", "args": {"to": to, "amount": 1000}}
    outcomes = swarm.commands([(0, "app", args), (0, "app", args), (0, "app", args)])
    assert len({outcome["tx"] for outcome in outcomes}) == 3
    for outcome in outcomes:
        settled(swarm, outcome["tx"])


def test_all_that_can_be_sent_is_sent_and_a_unit_more_is_not() -> None:
    swarm = two()
    swarm.rest(0)
    account = swarm.ask(0, "account")
    assert account["immature"] == 2 * 50_000_000
    to = swarm.ask(1, "address")["key"]
    with pytest.raises(CommandFailed, match="you can send at most ") as told:
        swarm.ask(0, "send", to=to, amount=account["balance"])
    most = round(float(str(told.value).rpartition(" ")[2].replace(",", "")) * 1_000_000)
    with pytest.raises(CommandFailed, match="at most"):
        swarm.ask(0, "send", to=to, amount=most + 1)
    assert swarm.ask(0, "send", to=to, amount=most)["fee"] == account["balance"] - most


def test_a_name_is_claimed_and_given_back() -> None:
    swarm = two()
    claimed = swarm.ask(0, "name", name="edge-3", value="a gateway")
    settled(swarm, claimed["tx"])
    changed = swarm.ask(0, "name", name="edge-3", value="a gateway")
    assert claimed["fee"] - changed["fee"] == 1_000_000  # a claim alone costs a credit
    settled(swarm, changed["tx"])
    found = swarm.ask(1, "whois", name="edge-3")
    assert (found["owner"], found["value"]) == (swarm.ask(0, "address")["key"], b"a gateway")
    settled(swarm, swarm.ask(0, "name", name="edge-3")["tx"])
    assert swarm.ask(1, "whois", name="edge-3") is None


@pytest.mark.parametrize(
    ("command", "args", "text"),
    [
        ("send", {"to": "xs1q", "amount": 1}, "address"),
        ("send", {"to": "00" * 32, "amount": -1}, "'amount' is a whole number"),
        ("send", {"to": "00" * 32, "amount": 10**15}, "credits with its fee, and there are .* you can send at most"),
        ("send", {"to": "00" * 32, "amount": 1, "memo": "x" * 33}, "it is not sent: X4"),
        ("name", {"name": "UPPER", "value": "x"}, "it is not sent: X10"),
        ("anchor", {}, "'digest' is missing: digest=…, 64 hex digits"),
        ("proof", {}, "'of' is missing: of=…, an id or a digest, 64 hex digits"),
        ("proof", {"of": 5}, "'of' is an id or a digest, 64 hex digits, not 5"),
        ("whois", {"name": ""}, "'name' is missing: name=…, a text"),
        ("beacon", {}, "'height' is missing: height=…, a whole number from 0 to "),
        ("beacon", {"height": "tip"}, "'height' is a whole number from 0 to .*, not 'tip'"),
        ("anchor", {"digest": "00"}, "'digest' has 32 bytes, not 1"),
        ("tx", {"tx": "00" * 32}, "no transaction 0000000000000000"),
        ("mine_start", {"duty": 0}, "1 to 100 %"),
    ],
)
def test_what_cannot_be_is_said(command: str, args: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandFailed, match=text):
        two().ask(0, command, **args)


# --- catching up -----------------------------------------------------------------------------


def test_who_comes_late_catches_up_in_few_steps() -> None:
    swarm = two()
    swarm.until_height(0, 150)
    swarm.reports.clear()
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(20)
    assert swarm.height(late) >= 150
    told = swarm.events("synced")
    assert {node for node, _ in told} == {late}
    # Sixteen at once or more, not one by one.
    assert len(told) <= 10
    assert sum(int(str(one["last"])) - int(str(one["first"])) + 1 for _, one in told) >= 140


def test_bodies_come_from_several_peers_at_once() -> None:
    swarm = ChainSwarm(4, rates={0: RATE})  # ways are long: one peer would not be done at once
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 120)
    swarm.rest(0)
    swarm.run_for(110)  # nobody is told of the last block, and by it of one peer
    given = {node: swarm.count_operations(node, "body") for node in range(4)}
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(40)
    assert swarm.height(late) == swarm.height(0)
    assert sum(1 for count in given.values() if count) >= 2
    assert sum(map(len, given.values())) <= swarm.height(0) + 16


def test_what_waited_before_a_node_came_is_told() -> None:
    swarm = two()
    swarm.rest(0)
    tx = swarm.ask(0, "send", to="11" * 32, amount=5)["tx"]
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(15)
    assert [one["tx"] for one in swarm.ask(late, "mempool")] == [tx]


def test_a_compact_block_is_filled_up_by_index() -> None:
    swarm = two()
    swarm.network.partition([0], [1])
    tx = swarm.ask(0, "send", to="11" * 32, amount=5)["tx"]
    swarm.rest(0)
    swarm.run_for(1)
    swarm.network.heal()
    # Its message is offered again for ten seconds; nobody who is deaf to it hears it.
    swarm.chain(1).txs._conduct[swarm.id(0)] = _Conduct(0, 0, 10**18)
    swarm.run_for(12)
    assert swarm.ask(1, "mempool") == []
    given, bodies = swarm.count_operations(0, "txs_at"), swarm.count_operations(0, "body")
    swarm.mine(0)
    swarm.until_height(0, swarm.height(0) + 1)
    swarm.rest(0)
    swarm.run_for(2)
    assert swarm.ask(1, "tx", tx=tx)["height"]
    assert len(swarm.tips()) == 1
    assert (len(given), len(bodies)) == (1, 0)


def test_compact_blocks_that_come_before_their_parents_are_put_together() -> None:
    swarm = two()
    swarm.rest(0)
    swarm.run_for(2)
    ahead = Books(swarm.world.store(0), PARAMS, verifier=fake_verify)
    compacts = [mined_on(ahead, swarm) for _ in range(3)]
    peer = swarm.engine.peer(1)
    for compact in (compacts[2], compacts[0], compacts[1]):
        peer.loop.spawn_root(swarm.chain(1).blocks.take(compact, swarm.id(0)), name="test")  # type: ignore[union-attr]
        swarm.run_for(0.5)
    assert swarm.height(1) == ahead.ledger.tip.height
    assert not swarm.world.running[1].books._early


def mined_on(books: Books, swarm: ChainSwarm) -> bytes:
    """The next block of these books, compact."""
    operations = books.operations()
    now_ms = swarm.chain(1).ctx.now.wall_ms
    (prefix, difficulty, pow, _, _), _ = operations["template"](bytes(32), now_ms)
    raw = search(prefix, difficulty, Pow(pow), start=0, tries=1 << 20)
    assert raw is not None
    mined, _ = operations["mined"](raw, decode_header(raw).root, now_ms)
    return bytes(mined[1])


# --- restarts --------------------------------------------------------------------------------


def test_a_restarted_node_goes_on_mining_and_says_again_what_it_sent() -> None:
    swarm = two()
    swarm.network.partition([0], [1])  # nobody hears of it
    tx = swarm.ask(0, "send", to="11" * 32, amount=5)["tx"]
    swarm.engine.restart(0)
    swarm.network.heal()
    swarm.join(through=1, nodes=[0])
    assert swarm.ask(0, "mine_status")["mining"]
    assert settled(swarm, tx)


def test_a_full_node_proves_what_is_in_its_own_chain_alone() -> None:
    swarm = two()
    tx = swarm.ask(0, "anchor", digest=DIGEST)["tx"]
    height = settled(swarm, tx)
    swarm.network.partition([0], [1])
    for what in (tx, DIGEST):
        found = swarm.ask(1, "proof", of=what)
        assert found["height"] == height
        assert check_proof(bytes.fromhex(found["proof"]), verifier=fake_verify).tx.txid.hex() == tx
    with pytest.raises(CommandFailed, match="no peer that was asked knows"):
        swarm.ask(1, "proof", of="77" * 32)


# --- light nodes -----------------------------------------------------------------------------


def test_a_light_node_checks_what_it_is_told() -> None:
    swarm = two(light=[1])
    tx = swarm.ask(0, "anchor", digest=DIGEST, tag="report")["tx"]
    settled(swarm, tx, node=0)
    swarm.until_height(0, swarm.height(0) + 3)
    swarm.until_height(0, 2 + DEEP_REORG)
    swarm.run_for(2)
    status = swarm.ask(1, "status")
    assert (status["light"], status["height"], status["tip"]) == (True, swarm.height(0), swarm.ask(0, "status")["tip"])
    assert swarm.world.store(1).tip().height == 0  # bodies are nowhere
    for what in (tx, DIGEST):
        found = swarm.ask(1, "proof", of=what)
        assert found["sender"] == swarm.ask(0, "address")["key"]
        proof = check_proof(bytes.fromhex(found["proof"]), verifier=fake_verify)
        assert proof.tx.txid.hex() == tx
    assert swarm.ask(1, "tx", tx=tx)["confirmations"] >= 3
    assert swarm.ask(1, "account", account=swarm.ask(0, "address")["address"])["nonce"] == 1
    deep = swarm.height(0) - DEEP_REORG
    assert swarm.ask(1, "beacon", height=deep) == swarm.ask(0, "beacon", height=deep) is not None
    assert swarm.ask(1, "beacon", height=deep + 1) is swarm.ask(0, "beacon", height=deep + 1) is None
    with pytest.raises(CommandFailed, match="headers alone: it knows no names"):
        swarm.ask(1, "payee", to="edge-3")
    assert swarm.ask(1, "mine_stop")["mining"] is False
    for command in ("mine_start", "send"):
        with pytest.raises(CommandFailed, match=r"light|headers alone"):
            swarm.ask(1, command, to="11" * 32, amount=1)


def test_a_deep_change_of_branch_is_told_and_leaves_no_wallet_stuck() -> None:
    """A claim that another one won elsewhere can never be; what was sent after it waits for its nonce."""
    swarm = ChainSwarm(2, lan=True, rates={0: RATE, 1: 8 * RATE})
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 6)
    other = swarm.ask(1, "address")["key"]
    settled(swarm, swarm.ask(0, "send", to=other, amount=5_000_000)["tx"])
    swarm.network.partition([0], [1])
    swarm.mine(1)
    settled(swarm, swarm.ask(1, "name", name="edge-9", value="theirs")["tx"])
    claim = swarm.ask(0, "name", name="edge-9", value="ours")["tx"]
    paid = swarm.ask(0, "send", to="11" * 32, amount=1_000_000)["tx"]
    settled(swarm, paid, node=0)
    fork = swarm.ask(0, "tx", tx=paid)["height"] - 1
    swarm.until_height(0, fork + 9)
    swarm.rest(0)
    swarm.until_height(1, swarm.height(0) + 5)
    swarm.network.heal()
    while len(swarm.tips()) > 1:
        swarm.run_for(1)
    assert [fields["deep"] for node, fields in swarm.events("reorg") if node == 0][-1]
    deep = swarm.ask(0, "status")["deep_reorg"]
    assert deep["depth"] > 6
    assert deep["fork"] <= fork
    assert swarm.ask(1, "status")["deep_reorg"] is None
    swarm.run_for(1)
    assert {claim, paid} <= {one["tx"] for one in swarm.ask(0, "account")["gone"]}
    settled(swarm, paid, node=0)
    [filled] = [fields for node, fields in swarm.events("gap filled") if node == 0]
    assert filled["nonce"] == swarm.ask(0, "account")["nonce"] - 2
    [gone] = swarm.ask(0, "account")["gone"]
    assert (gone["tx"], gone["why"][:2]) == (claim, "S5")
    swarm.restart(0)
    swarm.run_for(5)
    assert swarm.ask(0, "status")["deep_reorg"]["depth"] == deep["depth"]
    assert swarm.ask(0, "account")["gone"] == [gone]


# --- mining elsewhere ------------------------------------------------------------------------


def test_a_worker_gets_work_and_brings_what_it_found() -> None:
    swarm = ChainSwarm(2, lan=True)
    swarm.run_for(5)
    assert swarm.ask(0, "mine_work", after=99) == {"number": 0}
    swarm.ask(0, "mine_start", threads=2, duty=50)
    work = swarm.ask(0, "mine_work", after=0)
    assert (work["threads"], work["duty"]) == (2, 50)
    raw = search(work["prefix"], work["difficulty"], Pow(work["pow"]), start=0, tries=1 << 20)
    assert raw is not None
    assert swarm.ask(0, "mine_found", number=work["number"], nonce=raw[-8:].hex()) == {"taken": True}
    swarm.run_for(1)
    assert [swarm.height(node) for node in (0, 1)] == [1, 1]
    # The same again is too late, and what is no work is no block.
    assert swarm.ask(0, "mine_found", number=work["number"], nonce=raw[-8:].hex()) == {"taken": False}
    fresh = swarm.ask(0, "mine_work", after=work["number"])
    assert swarm.ask(0, "mine_found", number=fresh["number"], nonce="ff" * 8) == {"taken": True}
    swarm.run_for(1)
    assert swarm.height(0) == 1
    assert [one["rule"] for _, one in swarm.events("invalid")] == ["H3"]
    rest = swarm.ask(0, "mine_stop")
    assert not rest["mining"]
    assert set(swarm.ask(0, "mine_work", after=0)) == {"number"}


def test_how_it_mines_is_kept_until_something_else_is_said() -> None:
    swarm = ChainSwarm(1)
    how = {"threads": 1, "duty": 100, "on_demand": False, "mining": False}

    def shown(answer: dict[str, Any]) -> dict[str, Any]:
        return {name: answer[name] for name in how}

    assert shown(swarm.ask(0, "mine_status")) == how
    how |= {"threads": 2, "duty": 20, "on_demand": True, "mining": True}
    assert shown(swarm.ask(0, "mine_start", threads=2, duty=20, on_demand=True)) == how
    how |= {"duty": 30}
    assert shown(swarm.ask(0, "mine_start", duty=30)) == how
    how |= {"mining": False}
    assert shown(swarm.ask(0, "mine_stop")) == how
    assert shown(swarm.ask(0, "mine_status")) == how
    how |= {"mining": True, "on_demand": False}
    assert shown(swarm.ask(0, "mine_start", threads=None, on_demand=False)) == how


def test_on_demand_it_works_only_while_something_waits() -> None:
    swarm = two()
    swarm.until_height(0, 8)
    swarm.rest(0)
    swarm.ask(0, "mine_start", on_demand=True)
    height = swarm.height(0)
    swarm.run_for(200)
    assert swarm.height(0) == height
    tx = swarm.ask(0, "send", to="11" * 32, amount=5)["tx"]
    assert settled(swarm, tx) == height + 1
    swarm.run_for(590)  # the chain is a clock: an old tip is reason enough
    assert swarm.height(0) == height + 1
    swarm.run_for(200)
    assert swarm.height(0) >= height + 2


# --- own transactions ------------------------------------------------------------------------


def test_what_nobody_heard_of_is_published_again() -> None:
    swarm = two()
    swarm.rest(0)
    swarm.run_for(3)
    swarm.chain(1).txs._conduct[swarm.id(0)] = _Conduct(0, 0, 10**18)
    tx = swarm.ask(0, "send", to="11" * 32, amount=5)["tx"]
    swarm.run_for(12)
    del swarm.chain(1).txs._conduct[swarm.id(0)]
    assert swarm.ask(1, "mempool") == []
    swarm.run_for(63)
    assert [one["tx"] for one in swarm.ask(1, "mempool")] == [tx]


def test_many_signatures_are_checked_in_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = two()
    swarm.rest(0)
    chain = swarm.chain(0)
    raws = [chain.wallet._signed([Pay(bytes(32), 1)], nonce, None, 0).raw for nonce in range(1, FEW_SIGNATURES + 2)]
    asked: list[tuple[str, int]] = []
    real = AppContext.compute

    async def compute(self: AppContext, function: str, *args: Any) -> Any:
        found = await real(self, function, *args)
        asked.append((function, len(found) // 32))
        return found

    monkeypatch.setattr(AppContext, "compute", compute)
    block = Maker(PARAMS).block(PARAMS.genesis_id, raws)

    def give(work: Coroutine[Any, Any, Any]) -> list[tuple[str, int]]:
        asked.clear()
        swarm.engine.peer(0).loop.spawn_root(work, name="batches")  # type: ignore[union-attr]
        swarm.run_for(1)
        return sorted(asked)

    half = len(raws) // 2
    assert give(chain.batches.txs(raws)) == [("good_leaves", half), ("good_leaves", len(raws) - half)]
    assert give(chain.batches.blocks([block.raw], [b""])) == [
        ("good_leaves_of", half), ("good_leaves_of", len(raws) - half)
    ]  # fmt: skip
    assert give(chain.batches.txs(raws[1:])) == []


# --- other applications ----------------------------------------------------------------------


def test_other_applications_anchor_and_draw_by_the_chain() -> None:
    swarm = two()
    swarm.until_height(0, 3 + DEEP_REORG)
    services = swarm.chain(0).ctx.services
    peer = swarm.engine.peer(0)
    done: list[Any] = []

    async def other() -> None:
        done.append(await services.get("anchor")(bytes.fromhex(DIGEST), b"by another"))
        done.append(await services.get("beacon")(3))
        done.append(await services.get("beacon")(10**6))

    peer.loop.spawn_root(other(), name="other application")  # type: ignore[union-attr]
    swarm.run_for(2)
    assert done[1:] == [swarm.world.store(0).active(3).id, None]  # type: ignore[union-attr]
    settled(swarm, done[0].hex())
    [row] = swarm.world.store(1).anchors(bytes.fromhex(DIGEST))
    assert row.tag == b"by another"


def test_few_that_know_each_other_hardly_look_for_more() -> None:
    swarm = ChainSwarm(3, lan=True)
    swarm.run_for(300)
    before = swarm.network.sent
    swarm.run_for(600)
    assert [swarm.ask(node, "status")["peers"] for node in range(3)] == [2, 2, 2]
    # A minute of one: what two topics say to two members, who else has them, how far the two are. It is 45; 67 where
    # the DHT is asked three times a minute who else keeps the chain.
    assert (swarm.network.sent - before) / 3 / 10 < 55
