"""What a node sent: over restarts, changes of branch, and while the chain is not known yet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.chain.core.block import decode_block, decode_txs
from apps.chain.core.care import DEEP
from apps.chain.core.limits import CREDIT, MAX_POOL_PER_ACCOUNT
from apps.chain.core.operations import Operation, Pay, SetName
from apps.chain.core.params import simulated
from apps.chain.core.tx import SIGNED, Tx, decode_tx, encode_tx
from simulations.fake_keys import FakeKeyPair
from tests.sim.test_chain import settled, two
from tests.support.chain_swarm import PARAMS, RATE, ChainSwarm
from tests.support.swarm import CommandFailed

THEM = "11" * 32
STRANGER = FakeKeyPair(b"\x07" * 32)


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
        signer, PARAMS.chain_id if chain.params is PARAMS else chain.params.chain_id,
        operations or (Pay(bytes(32), 1),), nonce=nonce, fee=fee, first=first, last=last,
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


# --- restarts --------------------------------------------------------------------------------


def test_what_waits_is_still_there_after_the_power_was_off() -> None:
    swarm = resting()
    sent = [pay(swarm) for _ in range(40)]
    back(swarm, 0, 1)
    swarm.run_for(130)
    assert [swarm.ask(node, "status")["mempool"] for node in (0, 1)] == [40, 40]
    swarm.mine(0)
    settled(swarm, sent[-1])
    assert nonces_of(swarm, sent) == list(range(40))
    assert (lost(swarm), swarm.ask(0, "account")["gone"]) == ([], [])


@pytest.mark.parametrize("after_s", [0, 5, 30, 50])
def test_what_is_sent_after_a_restart_takes_no_nonce_of_what_waits(after_s: int) -> None:
    swarm = resting()
    first = pay(swarm)
    back(swarm, 0, 1)
    swarm.run_for(after_s)
    assert swarm.ask(0, "account")["next"] == 1
    second = pay(swarm)
    swarm.mine(0)
    for tx in (first, second):
        settled(swarm, tx)
    assert nonces_of(swarm, [first, second]) == [0, 1]


def test_a_nonce_that_waits_is_known_without_a_pool() -> None:
    swarm = resting()
    pay(swarm, CREDIT)
    swarm.chain(0).wallet.own.hold(made(swarm, Pay(bytes(32), 2 * CREDIT), nonce=1))  # its pool has no room for it
    account = swarm.ask(0, "account")
    assert account["next"] == 2
    assert 3 * CREDIT < account["pending"] < 4 * CREDIT
    pay(swarm)
    assert swarm.ask(0, "account")["next"] == 3
    with pytest.raises(CommandFailed, match=r"since 3.* wait to be spent; you can send at most"):
        pay(swarm, account["balance"] - 3 * CREDIT)


def test_no_more_wait_than_a_pool_takes() -> None:
    swarm = resting()
    for _ in range(MAX_POOL_PER_ACCOUNT):
        pay(swarm)
    with pytest.raises(CommandFailed, match="64 of this account wait already; try again once some are in a block"):
        pay(swarm)


# --- a chain that is not known yet ------------------------------------------------------------


def test_a_chain_that_was_put_aside_costs_nothing_that_was_sent() -> None:
    swarm = resting()
    mined = [pay(swarm) for _ in range(30)]
    swarm.mine(0)
    settled(swarm, mined[-1])
    swarm.rest(0)
    swarm.run_for(3)
    waiting = pay(swarm)
    swarm.network.partition([0], [1])
    without_chain(swarm, 0)
    swarm.run_for(70)
    assert (swarm.ask(0, "status")["synced"], swarm.height(0)) == (False, 0)
    swarm.network.heal()
    swarm.join(through=1, nodes=[0])
    swarm.run_for(70)
    assert (lost(swarm), swarm.ask(0, "account")["gone"]) == ([], [])
    assert swarm.ask(0, "account")["next"] == 31
    swarm.mine(0)
    settled(swarm, waiting)
    assert nonces_of(swarm, [*mined, waiting]) == list(range(31))


def test_who_is_not_synced_yet_sends_once_it_is() -> None:
    swarm = two()
    swarm.until_height(0, 60)
    first = pay(swarm)
    settled(swarm, first)
    swarm.until_height(0, swarm.height(0) + DEEP + 1)
    swarm.run_for(60)  # forgotten: it is deep
    assert len(swarm.chain(0).wallet.own) == 0
    swarm.rest(0)
    without_chain(swarm, 0)
    swarm.join(through=1, nodes=[0])
    second = pay(swarm)
    swarm.mine(0)
    settled(swarm, second)
    assert nonces_of(swarm, [first, second]) == [0, 1]


def test_who_hears_of_more_than_is_here_does_not_send() -> None:
    swarm = resting()
    swarm.restart(0)
    swarm.join(through=1, nodes=[0])
    swarm.chain(0).wallet.is_synced = lambda: False  # somebody keeps bodies back
    swarm.run_for(5)
    assert swarm.ask(0, "account")["balance"] > 0
    with pytest.raises(CommandFailed, match=r"it is not sent: the chain is not synced yet, .*; try again once"):
        pay(swarm)
    swarm.chain(0).wallet.is_synced = lambda: True
    pay(swarm)
    swarm.chain(0).wallet.is_synced = lambda: False  # it was once: the next block is not waited for
    pay(swarm)


def test_who_is_alone_sends() -> None:
    swarm = ChainSwarm(1, rates={0: RATE})
    swarm.mine(0)
    swarm.until_height(0, 4)
    tx = pay(swarm)
    assert settled(swarm, tx, node=0)
    swarm.restart(0)
    assert settled(swarm, pay(swarm), node=0)
    assert not swarm.ask(0, "status")["synced"]


# --- what can never be -------------------------------------------------------------------------


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


@pytest.mark.parametrize("why", ["too little", "too early"])
def test_what_may_be_later_is_kept(why: str) -> None:
    swarm = pair()
    has, height = all_of(swarm), swarm.height(0)
    tx = made(swarm, Pay(bytes(32), has), nonce=0) if why == "too little" else made(swarm, nonce=0, first=height + 20)
    hold(swarm, tx)
    mine_on(swarm, 2 * DEEP)
    mine_on(swarm, 2)
    assert (lost(swarm), filled(swarm)) == ([], [])
    if why == "too little":
        pay(swarm, CREDIT, node=1, to=swarm.ask(0, "address")["key"])
    mine_on(swarm, 20)
    mine_on(swarm, 2)
    assert settled(swarm, tx.txid.hex(), node=0)


def test_what_took_the_nonce_has_to_be_buried_and_no_gap_is_filled() -> None:
    swarm = pair()
    cheap, dear = made(swarm, nonce=0, fee=1_000), made(swarm, nonce=0, fee=2_000)
    behind = made(swarm, nonce=1)
    swarm.ask(0, "submit", tx=dear.raw.hex())
    hold(swarm, cheap, behind)
    mine_on(swarm, 1)
    assert swarm.ask(0, "tx", tx=dear.txid.hex())["height"]
    mine_on(swarm, DEEP - 2)
    assert lost(swarm) == []
    mine_on(swarm, 4)
    assert lost(swarm) == [(cheap.txid.hex(), "S2: another one with its nonce, 0, is in a block")]
    assert filled(swarm) == []
    [gone] = swarm.ask(0, "account")["gone"]
    assert (gone["tx"], gone["why"][:2]) == (cheap.txid.hex(), "S2")
    assert settled(swarm, behind.txid.hex(), node=0)


def test_what_expired_is_filled_in_order_once_its_turn_has_come() -> None:
    swarm = pair()
    has, height = all_of(swarm), swarm.height(0)
    waits, last = made(swarm, Pay(bytes(32), has), nonce=0), made(swarm, nonce=4)
    short = [made(swarm, nonce=nonce, last=height + 2) for nonce in (1, 2, 3)]
    hold(swarm, waits, *short, last)
    mine_on(swarm, 3)
    mine_on(swarm, 2)
    assert lost(swarm) == []  # it is over, and not buried
    mine_on(swarm, 2 * DEEP)
    assert lost(swarm) == [(tx.txid.hex(), f"S1: valid up to block {height + 2}") for tx in short]
    assert filled(swarm) == []  # the one before is not impossible
    pay(swarm, 2 * CREDIT, node=1, to=swarm.ask(0, "address")["key"])
    mine_on(swarm, 2)
    mine_on(swarm, 1)
    assert filled(swarm) == [1, 2, 3]  # at once: that they are over is buried
    mine_on(swarm, 1)
    assert settled(swarm, last.txid.hex(), node=0)
    assert len(lost(swarm)) == 3


def test_what_a_stranger_signed_costs_us_nothing() -> None:
    swarm = pair()
    mined = pay(swarm, CREDIT, to=STRANGER.key.hex())
    mine_on(swarm, 1)
    assert settled(swarm, mined)
    # Ours comes next with nonce 1, and one of ours waits behind that: theirs has it, too.
    theirs = made(swarm, nonce=0, key=STRANGER, last=swarm.height(0) + 2)
    foreign = made(swarm, nonce=1, key=STRANGER, last=swarm.height(0) + 2)
    hold(swarm, foreign, made(swarm, Pay(bytes(32), all_of(swarm)), nonce=1), made(swarm, nonce=2))
    mine_on(swarm, 2 * DEEP)
    mine_on(swarm, 2)
    assert [tx for tx, _ in lost(swarm)] == [foreign.txid.hex()]
    assert filled(swarm) == []
    with pytest.raises(CommandFailed, match="it is not sent: S1"):
        swarm.ask(0, "submit", tx=theirs.raw.hex())


def test_a_name_that_another_has_is_waited_for_if_it_ends_in_time() -> None:
    swarm = pair(params=simulated(b"swarm", maturity=2, name_life=30))
    theirs = swarm.ask(1, "name", name="edge-9", value="theirs") if swarm.ask(1, "account")["balance"] else None
    assert theirs is None
    pay(swarm, 5 * CREDIT, to=swarm.ask(1, "address")["key"])
    mine_on(swarm, 1)
    swarm.ask(1, "name", name="edge-9", value="theirs")
    mine_on(swarm, 1)
    ends = swarm.ask(0, "whois", name="edge-9")["expires"]
    claim = SetName(b"edge-9", b"ours")
    patient, hasty = (made(swarm, claim, nonce=1, fee=CREDIT + fee, last=last)
                      for fee, last in ((2_000, ends + 5), (1_000, ends - 1)))  # fmt: skip
    hold(swarm, patient)
    mine_on(swarm, 2 * DEEP)
    assert lost(swarm) == []
    swarm.chain(0).wallet.own.forget(patient)
    hold(swarm, hasty)
    swarm.run_for(125)
    mine_on(swarm, DEEP)
    assert lost(swarm) == [(hasty.txid.hex(), f"S5: the name edge-9 is another's until {ends}")]
    hold(swarm, patient)
    mine_on(swarm, ends - swarm.height(0) + 2)
    assert settled(swarm, patient.txid.hex(), node=0)


def test_nothing_is_given_up_while_the_chain_is_not_synced() -> None:
    swarm = pair()
    short = made(swarm, Pay(bytes(32), all_of(swarm)), nonce=0, last=swarm.height(0) + 1)
    hold(swarm, short, made(swarm, nonce=1))
    real, swarm.chain(0).wallet.is_synced = swarm.chain(0).wallet.is_synced, lambda: False
    mine_on(swarm, 3 * DEEP)
    assert (lost(swarm), filled(swarm)) == ([], [])
    swarm.chain(0).wallet.is_synced = real
    swarm.run_for(65)
    assert lost(swarm) == []  # it begins now
    mine_on(swarm, DEEP)
    assert [tx for tx, _ in lost(swarm)] == [short.txid.hex()]
    assert filled(swarm) == [0]


def test_a_change_of_branch_has_what_is_impossible_judged_anew() -> None:
    """A claim on the one branch, and none on the other."""
    swarm = ChainSwarm(3, lan=True, rates={0: RATE, 1: RATE, 2: 8 * RATE})
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 4)
    settled(swarm, pay(swarm, 5 * CREDIT, to=swarm.ask(1, "address")["key"]))
    swarm.rest(0)
    swarm.run_for(3)
    swarm.network.partition([0, 1], [2])
    theirs = swarm.ask(1, "name", name="edge-9", value="theirs")["tx"]
    swarm.mine(1)
    settled(swarm, theirs)
    swarm.rest(1)
    swarm.ask(2, "submit", tx=made(swarm, nonce=0, node=1).raw.hex())  # on the other branch theirs cannot be
    ours = made(swarm, SetName(b"edge-9", b"ours"), nonce=1, fee=2 * CREDIT)
    hold(swarm, ours)
    swarm.run_for(65)
    mine_on(swarm, 3)
    swarm.kill(1)
    swarm.mine(2)
    swarm.until_height(2, swarm.height(0) + 3)
    swarm.rest(2)
    swarm.network.heal()
    while swarm.height(0) < swarm.height(2):
        swarm.run_for(1)
    assert lost(swarm) == []
    swarm.mine(0)
    assert settled(swarm, ours.txid.hex(), node=0)


def test_what_was_given_up_and_is_in_a_block_is_not_gone() -> None:
    swarm = pair()
    tx = made(swarm, nonce=0)
    own = swarm.chain(0).wallet.own
    own.give_up(tx, "S2: an older version said so")
    assert [one["why"] for one in swarm.ask(0, "account")["gone"]] == ["S2: an older version said so"]
    swarm.ask(1, "submit", tx=tx.raw.hex())
    swarm.run_for(2)
    assert [one["why"] for one in swarm.ask(0, "account")["gone"]] == [None]  # it waits again
    mine_on(swarm, 1)
    assert swarm.ask(0, "account")["gone"] == []
    assert (own.given_up(), own.held()) == ([], [tx])


# --- changes of branch --------------------------------------------------------------------------


def test_a_change_of_branch_that_takes_back_more_than_a_pool_holds_loses_nothing() -> None:
    swarm = ChainSwarm(2, lan=True, rates={0: RATE, 1: 8 * RATE})
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 4)
    swarm.network.partition([0], [1])
    sent: list[str] = []
    while len(sent) < 110:
        sent += [pay(swarm) for _ in range(55)]
        settled(swarm, sent[-1], node=0)
    swarm.rest(0)
    swarm.mine(1)
    swarm.until_height(1, swarm.height(0) + 3)
    swarm.network.heal()
    while len(swarm.tips()) > 1:
        swarm.run_for(1)
    with pytest.raises(CommandFailed, match="110 of this account wait already"):
        pay(swarm)
    for tx in sent:
        settled(swarm, tx)
    assert nonces_of(swarm, sent) == list(range(110))
    assert (lost(swarm), filled(swarm), swarm.ask(0, "account")["gone"]) == ([], [], [])


# --- fees ---------------------------------------------------------------------------------------


def test_a_name_that_may_end_before_it_is_renewed_is_paid_for_as_a_claim() -> None:
    swarm = two(params=simulated(b"swarm", maturity=2, name_life=120))
    fees = []
    for _ in range(2):
        fees.append(swarm.ask(0, "name", name="edge-3", value="x"))
        settled(swarm, fees[-1]["tx"])
    swarm.until_height(0, swarm.ask(0, "whois", name="edge-3")["expires"] - 90)
    fees.append(swarm.ask(0, "name", name="edge-3", value="x"))
    assert [one["fee"] >= CREDIT for one in fees] == [True, False, True]


# --- all of it ------------------------------------------------------------------------------------


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["pay", "pay", "claim", "power", "put aside", "part", "meet", "wait"]), max_size=14))
def test_whatever_happens_what_was_sent_is_in_one_block_or_told_why_not(events: list[str]) -> None:
    swarm = ChainSwarm(2, lan=True, rates={0: RATE, 1: 4 * RATE})
    swarm.run_for(5)
    swarm.mine(0, 1)
    swarm.until_height(0, 12)
    sent: list[str] = []
    refused: list[str] = []
    for number, event in enumerate(["pay", *events, "meet", "wait"]):
        try:
            match event:
                case "pay":
                    sent += [pay(swarm, 1 + number), pay(swarm, 100 + number)]
                case "claim":
                    swarm.ask(1, "name", name="edge-9", value="theirs")
                    sent.append(swarm.ask(0, "name", name="edge-9", value="ours")["tx"])
                case "power":
                    back(swarm, 0, 1)
                case "put aside":
                    without_chain(swarm, 0)
                    swarm.join(through=1, nodes=[0])
                case "part":
                    swarm.network.partition([0], [1])
                case "meet":
                    swarm.network.heal()
                    swarm.join()
                case _:
                    swarm.run_for(70)
        except CommandFailed as failed:  # too little, too many, not synced
            refused.append(failed.message)
        swarm.run_for(3)
    for _ in range(40):
        swarm.run_for(30)
        if not swarm.chain(0).wallet.own.held():
            break
    assert [text for text in refused if not text.startswith("it is not sent: ")] == []
    assert swarm.chain(0).wallet.own.held() == []
    assert len(swarm.tips()) == 1
    told = {one["tx"]: one["why"] for one in swarm.ask(0, "account")["gone"]}
    nonces = nonces_of(swarm, [tx for tx in sent if tx not in told])
    assert len(nonces) == len(set(nonces))
    for why in told.values():
        assert why.startswith("S5: the name edge-9 is another's")
        assert swarm.ask(0, "whois", name="edge-9")["owner"] == swarm.ask(1, "address")["key"]
