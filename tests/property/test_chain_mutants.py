"""One-line bugs in the core of the chain, each of which a test must notice.

The model is run on fixed histories; where those cannot tell, the hostile case that can.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from apps.chain.core import active, difficulty, gathering, headers, ledger, merkle, pool, state, working
from tests.property import test_chain_difficulty, test_chain_merkle, test_chain_pool
from tests.support.chain_model import History, Step, histories
from tests.support.chains import World
from tests.support.mutants import plant
from tests.unit import test_chain_cases_1_header as cases_1
from tests.unit import test_chain_cases_2_body as cases_2
from tests.unit import test_chain_cases_3_alone as cases_3
from tests.unit import test_chain_cases_4_placed as cases_4
from tests.unit import test_chain_cases_5_forks as cases_5

Killer = Callable[[], object]


@settings(
    max_examples=60, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(histories)
def model(found: list[Step]) -> None:
    History().run(found)


def case(test: Callable[[World], None]) -> Killer:
    def run() -> None:
        world = World()
        test(world)
        world.goes_on()

    return run


@attrs.frozen
class Mutant:
    owner: Any
    name: str
    old: str
    new: str
    killer: Killer = model


MUTANTS = {
    # The six of the specification.
    "undo forgets the nonce": Mutant(
        state, "_encode_undo", "was.balance, was.nonce]", "was.balance, account.nonce]"
    ),
    "undo leaves new accounts": Mutant(state, "disconnect", "store.delete_accounts(", "len("),
    "a failed reorg is not rolled back": Mutant(active.Active, "_go_to", "self.store.rollback_to()", "pass"),
    "a delayed reward forgets fees": Mutant(state, "connect", " + mature.fees", ""),
    "undo leaves anchors": Mutant(state, "disconnect", "store.delete_anchors(index.anchors)", "pass"),
    "equal work replaces the tip": Mutant(
        active.Active, "advance", "row.work > self.tip.work", "row.work >= self.tip.work",
        case(cases_5.test_73_equal_work_changes_nothing),
    ),
    # Ours.
    "undo leaves names": Mutant(state, "disconnect", "store.delete_names(", "len("),
    "undo leaves evidence": Mutant(state, "disconnect", "store.delete_evidence(", "len("),
    "undo leaves touches": Mutant(state, "disconnect", "store.delete_touches(index.touches)", "pass"),
    "a reward matures a block early": Mutant(
        state, "connect", "store.active(height - params.maturity)", "store.active(height - params.maturity + 1)"
    ),
    "payments are not counted": Mutant(working.Working, "apply", "tx.spent > sender[0]", "tx.fee > sender[0]"),
    "signatures are not checked": Mutant(active.Active, "_connect", "if not row.trusted", "if row.trusted"),
    "a name lives a block longer": Mutant(
        working.Working, "_names_of", "row.expires <= self.height", "row.expires < self.height",
        cases_4.test_66_a_name_at_the_very_height_at_which_it_expires,
    ),
    "a second claim is free": Mutant(
        working.Working, "_names_of", "claims += row is None", "claims = row is None",
        case(cases_4.test_67_the_same_name_twice_in_a_transaction_pays_for_each_claim),
    ),
    "a mutated body marks its header": Mutant(
        ledger.Ledger, "_block", "return Outcome(Verdict.MUTATED, ",
        "self.store.set_status((block.id,), Status.INVALID); return Outcome(Verdict.MUTATED, ",
        case(cases_2.test_26_the_last_transaction_twice_does_not_spoil_the_block),
    ),
    "descendants of a bad block stay": Mutant(
        active.Active, "mark", "self.store.set_status(doomed, Status.DOOMED)", "pass",
        case(cases_1.test_16_a_child_whose_header_came_before),
    ),
    "a night of sleep counts in full": Mutant(
        difficulty, "next_difficulty", "min(solve_s, clamp * target_s)", "solve_s",
        test_chain_difficulty.test_a_night_of_sleep_costs_no_more_than_the_clamp,
    ),
    "an odd node is hashed with itself": Mutant(
        merkle, "_level_above", "above.append(level[-1])", "above.append(_sha256(b'\\1' + 2 * level[-1]).digest())",
        test_chain_merkle.test_a_node_is_no_leaf_and_nothing_is_counted_twice,
    ),
    "times may stand still": Mutant(
        headers, "check_placed", "header.time <= parent.time", "header.time < parent.time",
        case(cases_1.test_11_a_time_equal_to_its_parents),
    ),
    "headers of little work are kept": Mutant(
        gathering, "is_enough", "return row.work >", "return True or row.work >",
        case(cases_1.test_19_a_flood_of_headers_with_little_work_is_not_kept),
    ),
    "a signature vouches for an id": Mutant(
        active.Active, "_check_signatures", "tx.leaf not in checked", "tx.txid not in checked",
        case(cases_3.test_a_known_id_does_not_vouch_for_another_signature),
    ),
    "a template takes no account of nonces": Mutant(
        pool.Pool, "template", "working.apply(tx, len(found))", "pass",
        test_chain_pool.test_a_template_with_a_name_that_two_want,
    ),
}  # fmt: skip


@cache
def well(killer: Killer) -> None:
    """Without the bug it passes: else its failure would prove nothing."""
    killer()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    well(mutant.killer)
    plant(monkeypatch, mutant.owner, mutant.name, mutant.old, mutant.new)
    with pytest.raises(BaseException):  # noqa: B017  whatever it breaks
        mutant.killer()
