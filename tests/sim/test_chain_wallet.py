"""What a node sent: over restarts, changes of branch, and while the chain is not known yet."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.chain.core import wallet
from apps.chain.core.limits import CREDIT, DEEP_REORG, MAX_POOL_PER_ACCOUNT
from apps.chain.core.operations import Pay
from apps.chain.core.params import simulated
from simulations.fake_keys import FakeKeyPair
from tests.support.chain_swarm import RATE, ChainSwarm
from tests.support.chain_wallet import (
    all_of,
    back,
    filled,
    hold,
    lost,
    made,
    nonces_of,
    pay,
    resting,
    settled,
    two,
    without_chain,
)
from tests.support.swarm import CommandFailed

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


def test_few_wait_behind_one_that_cannot_be_now() -> None:
    swarm = resting()
    hold(swarm, made(swarm, Pay(bytes(32), all_of(swarm)), nonce=0), *(made(swarm, nonce=at) for at in range(1, 17)))
    with pytest.raises(CommandFailed, match="it is not sent: 17 wait for the one with nonce 0, which"):
        pay(swarm)


def test_what_a_wallet_cares_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet, "MAX_OWN_TXS", 2)
    swarm = resting()
    stranger = FakeKeyPair(b"\x07" * 32)
    hold(swarm, *(made(swarm, nonce=nonce, key=stranger) for nonce in (5, 6)))
    for _ in range(2):
        pay(swarm)  # theirs take no room from ours
    for send in (lambda: pay(swarm), lambda: swarm.ask(0, "submit", tx=made(swarm, nonce=0, key=stranger).raw.hex())):
        with pytest.raises(CommandFailed, match="it is not sent: 2 that this node sent are not deep in the chain yet"):
            send()


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
    swarm.until_height(0, swarm.height(0) + DEEP_REORG + 1)
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


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["pay", "pay", "claim", "power", "put aside", "part", "meet", "wait"]), max_size=14))
def test_whatever_happens_what_was_sent_is_in_one_block_or_told_why_not(events: list[str]) -> None:
    swarm = ChainSwarm(2, lan=True, rates={0: RATE, 1: 4 * RATE})
    swarm.run_for(5)
    swarm.mine(0, 1)
    swarm.until_height(0, 12)
    sent: list[str] = []
    refused: list[str] = []
    apart = False
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
                case "put aside" if not apart:  # what only this node had would be gone with its chain
                    without_chain(swarm, 0)
                    swarm.join(through=1, nodes=[0])
                case "part":
                    apart = True
                    swarm.network.partition([0], [1])
                case "meet":
                    apart = False
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
    for _ in range(60):  # two blocks at once are two tips, until one of both miners finds the next one
        if len(swarm.tips()) == 1:
            break
        swarm.run_for(5)
    assert len(swarm.tips()) == 1
    told = {one["tx"]: one["why"] for one in swarm.ask(0, "account")["gone"]}
    nonces = nonces_of(swarm, [tx for tx in sent if tx not in told])
    assert len(nonces) == len(set(nonces))
    for why in told.values():
        assert why.startswith("S5: the name edge-9 is another's")
        assert swarm.ask(0, "whois", name="edge-9")["owner"] == swarm.ask(1, "address")["key"]
