"""What a wallet gives up, when, and what it costs."""

from __future__ import annotations

import pytest

from apps.chain.core.limits import CREDIT, DEEP_REORG
from apps.chain.core.operations import Pay, SetName
from apps.chain.core.params import simulated
from simulations.fake_keys import FakeKeyPair
from tests.support.chain_swarm import RATE, ChainSwarm
from tests.support.chain_wallet import all_of, filled, hold, lost, made, mine_on, pair, pay, settled
from tests.support.swarm import CommandFailed

STRANGER = FakeKeyPair(b"\x07" * 32)


@pytest.mark.parametrize("why", ["too little", "too early"])
def test_what_may_be_later_is_kept(why: str) -> None:
    swarm = pair()
    has, height = all_of(swarm), swarm.height(0)
    tx = made(swarm, Pay(bytes(32), has), nonce=0) if why == "too little" else made(swarm, nonce=0, first=height + 20)
    hold(swarm, tx)
    mine_on(swarm, 2 * DEEP_REORG)
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
    mine_on(swarm, DEEP_REORG - 2)
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
    mine_on(swarm, 2 * DEEP_REORG)
    assert lost(swarm) == [(tx.txid.hex(), f"S1: valid up to block {height + 2}") for tx in short]
    assert filled(swarm) == []  # the one before is not impossible
    pay(swarm, 2 * CREDIT, node=1, to=swarm.ask(0, "address")["key"])
    mine_on(swarm, 2)
    mine_on(swarm, 1)
    assert filled(swarm) == [1, 2, 3]  # at once: that they are over is buried
    mine_on(swarm, 1)
    assert settled(swarm, last.txid.hex(), node=0)
    assert len(lost(swarm)) == 3


def test_a_nonce_that_only_seems_to_be_missing_is_not_filled_at_once() -> None:
    """What a change of branch took back may come again."""
    swarm = pair()
    behind = made(swarm, nonce=1)
    hold(swarm, behind)
    mine_on(swarm, 2)
    mine_on(swarm, 2)
    assert filled(swarm) == []
    mine_on(swarm, DEEP_REORG)
    assert filled(swarm) == [0]
    mine_on(swarm, 1)
    assert settled(swarm, behind.txid.hex(), node=0)


def test_what_a_stranger_signed_costs_us_nothing() -> None:
    swarm = pair()
    mined = pay(swarm, CREDIT, to=STRANGER.key.hex())
    mine_on(swarm, 1)
    assert settled(swarm, mined)
    # Ours comes next with nonce 1, and one of ours waits behind that: theirs has it, too.
    theirs = made(swarm, nonce=0, key=STRANGER, last=swarm.height(0) + 2)
    foreign = made(swarm, nonce=1, key=STRANGER, last=swarm.height(0) + 2)
    hold(swarm, foreign, made(swarm, Pay(bytes(32), all_of(swarm)), nonce=1), made(swarm, nonce=2))
    mine_on(swarm, 2 * DEEP_REORG)
    mine_on(swarm, 2)
    assert [tx for tx, _ in lost(swarm)] == [foreign.txid.hex()]
    assert filled(swarm) == []
    with pytest.raises(CommandFailed, match="it is not sent: S1"):
        swarm.ask(0, "submit", tx=theirs.raw.hex())


def test_a_name_that_another_has_is_waited_for_if_it_ends_in_time() -> None:
    swarm = pair(params=simulated(b"swarm", maturity=2, name_life=30))
    pay(swarm, 5 * CREDIT, to=swarm.ask(1, "address")["key"])
    mine_on(swarm, 1)
    swarm.ask(1, "name", name="edge-9", value="theirs")
    mine_on(swarm, 1)
    ends = swarm.ask(0, "whois", name="edge-9")["expires"]
    claim = SetName(b"edge-9", b"ours")
    patient, hasty = (made(swarm, claim, nonce=1, fee=CREDIT + fee, last=last)
                      for fee, last in ((2_000, ends + 5), (1_000, ends - 1)))  # fmt: skip
    hold(swarm, patient)
    mine_on(swarm, 2 * DEEP_REORG)
    assert lost(swarm) == []
    swarm.chain(0).wallet.own.forget(patient)
    hold(swarm, hasty)
    swarm.run_for(125)
    mine_on(swarm, DEEP_REORG)
    assert lost(swarm) == [(hasty.txid.hex(), f"S5: the name edge-9 is another's until {ends}")]
    hold(swarm, patient)
    mine_on(swarm, ends - swarm.height(0) + 2)
    assert settled(swarm, patient.txid.hex(), node=0)


def test_nothing_is_given_up_while_the_chain_is_not_synced() -> None:
    swarm = pair()
    short = made(swarm, Pay(bytes(32), all_of(swarm)), nonce=0, last=swarm.height(0) + 1)
    hold(swarm, short, made(swarm, nonce=1))
    real, swarm.chain(0).wallet.is_synced = swarm.chain(0).wallet.is_synced, lambda: False
    mine_on(swarm, 3 * DEEP_REORG)
    assert (lost(swarm), filled(swarm)) == ([], [])
    swarm.chain(0).wallet.is_synced = real
    swarm.run_for(65)
    assert lost(swarm) == []  # it begins now
    mine_on(swarm, DEEP_REORG)
    assert [tx for tx, _ in lost(swarm)] == [short.txid.hex()]
    assert filled(swarm) == [0]


@pytest.mark.parametrize("taken", [False, True], ids=["and may be", "and cannot be either, for another reason"])
def test_a_change_of_branch_has_what_is_impossible_judged_anew(taken: bool) -> None:
    """A claim on the one branch, and none, or another one in the last block, on the other."""
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
    swarm.until_height(2, swarm.height(0) + DEEP_REORG)
    if taken:
        settled(swarm, swarm.ask(2, "name", name="edge-9", value="of a third")["tx"], node=2)
    swarm.rest(2)
    swarm.network.heal()
    while swarm.height(0) < swarm.height(2):
        swarm.run_for(1)
    swarm.run_for(65)
    assert lost(swarm) == []
    if taken:
        mine_on(swarm, DEEP_REORG, node=2)
        assert [tx for tx, _ in lost(swarm)] == [ours.txid.hex()]
    else:
        mine_on(swarm, 1, node=2)
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
