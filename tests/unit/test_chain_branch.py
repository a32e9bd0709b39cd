"""Branches that are not worth keeping yet, also those with more headers than are gathered at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from apps.chain.core import branch as module
from apps.chain.core.ahead import Ahead, headers_after
from apps.chain.core.block import Block
from apps.chain.core.branch import Branch, Stage
from apps.chain.core.ledger import Ledger
from apps.chain.core.outcome import Outcome, Verdict
from tests.support.chains import PARAMS, Maker
from tests.unit.test_chain_ahead import ledger_with

#: Beyond what anybody made here.
NOW_MS = 2 * 10**12
MOST = 60


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BRANCH", MOST)


def given(ledger: Ledger, branch: Branch, line: Sequence[Block], *, last: bool = True, each: int = 25) -> list[Outcome]:
    """What became of messages with these headers."""
    outcomes = []
    for at in range(0, len(line), each):
        raws = [block.raw_header for block in line[at : at + each]]
        outcomes.append(ledger.accept_headers(raws, NOW_MS, branch, last=last and at + each >= len(line)))
        assert len(branch.rows) <= MOST
        if outcomes[-1].verdict is not Verdict.HEADER:
            break
    return outcomes


def kept(outcomes: list[Outcome]) -> list[bytes]:
    return [block for outcome in outcomes for block in outcome.headers]


def split(ours: int, theirs: int) -> tuple[Ledger, list[Block]]:
    """A ledger with so many blocks, and others on the third of them."""
    make = Maker(PARAMS)
    trunk = make.line(PARAMS.genesis_id, 3)
    ledger = ledger_with(trunk + make.line(trunk[-1].id, ours))
    return ledger, make.line(trunk[-1].id, theirs, miner="theirs")


def test_a_better_branch_of_more_headers_than_are_gathered_is_followed() -> None:
    ledger, theirs = split(300, 420)
    branch = Branch()
    first = given(ledger, branch, theirs)
    assert first[-1].verdict is Verdict.AGAIN
    assert kept(first) == []
    assert branch.stage is Stage.AGAIN
    assert len(branch.marks) == 3
    again = given(ledger, branch, theirs)
    assert [outcome.verdict for outcome in again] == [Verdict.HEADER] * len(again)
    assert kept(again) == [block.id for block in theirs]
    assert branch.stage is Stage.GATHERED
    for block in theirs:
        ledger.accept_block(block, NOW_MS)
    assert ledger.tip.id == theirs[-1].id


def test_a_branch_that_never_is_worth_it_is_given_up() -> None:
    ledger, theirs = split(300, 140)
    branch = Branch()
    outcomes = given(ledger, branch, theirs)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.HEADER] * 5 + [Verdict.LITTLE]
    assert (branch.end, branch.marks) == (None, [])
    assert all(ledger.store.header(block.id) is None for block in theirs)


def test_what_comes_the_second_time_is_kept_only_if_it_is_what_came_first() -> None:
    ledger, theirs = split(300, 420)
    fork = theirs[0].header.parent
    branch, cheap = Branch(), Maker(PARAMS).line(PARAMS.genesis_id, 90, miner="cheap")
    assert given(ledger, branch, theirs)[-1].verdict is Verdict.AGAIN
    assert given(ledger, branch, cheap)[-1].verdict is Verdict.LITTLE
    assert all(ledger.store.header(block.id) is None for block in cheap)
    assert (branch.end, branch.marks) == (None, [])
    # Nor if it ends before all of it came; what came up to a mark was worth it.
    assert given(ledger, branch, theirs)[-1].verdict is Verdict.AGAIN
    outcomes = given(ledger, branch, theirs[:70])
    assert outcomes[-1].verdict is Verdict.LITTLE
    assert kept(outcomes) == [block.id for block in theirs[:MOST]]
    assert ledger.store.header(fork) is not None


def test_what_is_known_may_come_before_the_rest_each_time() -> None:
    ledger, theirs = split(300, 420)
    known = [row.raw for height in range(1, 4) for row in ledger.store.at_height(height)]
    branch = Branch()
    for verdict in (Verdict.AGAIN, Verdict.HEADER):
        assert ledger.accept_headers(known, NOW_MS, branch, last=False).verdict is Verdict.KNOWN
        assert given(ledger, branch, theirs)[-1].verdict is verdict
    assert ledger.best.id == theirs[-1].id


def test_headers_that_go_back_are_counted_anew() -> None:
    ledger, theirs = split(300, 420)
    branch = Branch()
    given(ledger, branch, theirs[:130], last=False)
    assert branch.stage is Stage.COUNTED
    given(ledger, branch, theirs[:20], last=False)
    assert (branch.stage, len(branch.rows)) == (Stage.GATHERED, 20)


def test_locators_find_the_way_to_a_long_branch() -> None:
    """As two nodes do it, message by message."""
    ours, theirs = split(300, 420)
    trunk = [row.id for height in range(1, 4) for row in ours.store.at_height(height)]
    other = ledger_with([])
    other.accept_blocks([*(ours.store.block(block) or b"" for block in trunk), *theirs], NOW_MS)
    assert other.tip.id == theirs[-1].id
    branch, ahead, passes = Branch(), Ahead(ours), 0
    first = locator = ahead.locator()
    while raws := headers_after(other.store, locator, limit=25):
        outcome = ours.accept_headers(raws, NOW_MS, branch, last=len(raws) < 25)
        if outcome.verdict is Verdict.AGAIN:
            locator, passes = first, passes + 1
        else:
            locator = [outcome.block, *first]
    assert passes == 1
    assert ours.best.id == theirs[-1].id
