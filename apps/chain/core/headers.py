"""Headers in their place: rules H3, H4 and H6 to H13."""

from __future__ import annotations

from apps.chain.core.header import Header, id_of
from apps.chain.core.limits import MAX_AHEAD_S
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow, Status
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.work import POW, is_worth


def check_alone(header: Header, raw: bytes, params: Params) -> None:
    """H12 of a first block, H4 and H3: all that needs no parent."""
    if header.height == 0 or (header.height == 1 and header.parent != params.genesis_id):
        raise Invalid(Rule.H12, "it is of a chain with another first block")
    check_least(header, params)
    check_work(header.difficulty, raw, params)


def check_least(header: Header, params: Params) -> None:
    if header.difficulty < params.least_difficulty:
        raise Invalid(Rule.H4, f"difficulty {header.difficulty}, the least is {params.least_difficulty}")


def check_work(difficulty: int, raw: bytes, params: Params) -> None:
    if not is_worth(POW[params.pow](raw), difficulty):
        raise Invalid(Rule.H3, f"its hash is not worth {difficulty}")


def check_placed(header: Header, block: bytes, parent: HeaderRow, params: Params) -> None:
    """H4, H7, H8, H10, H11 and H13: what is cheap. `block`: its id."""
    if parent.status < Status.HEADER:
        raise Invalid(Rule.H11, f"its parent {parent.id.hex()[:16]} is invalid")
    check_least(header, params)
    if header.height != parent.height + 1:
        raise Invalid(Rule.H7, f"height {header.height} on {parent.height}")
    if header.time <= parent.time:
        raise Invalid(Rule.H8, f"time {header.time}, its parent's is {parent.time}")
    expected = params.difficulty_after(parent.height, parent.difficulty, parent.solve_s)
    if header.difficulty != expected:
        raise Invalid(Rule.H10, f"difficulty {header.difficulty} != {expected}")
    if params.assume_valid is not None and params.assume_valid[0] == header.height and params.assume_valid[1] != block:
        raise Invalid(Rule.H13, f"another block is taken for valid at height {header.height}")


def check_time(header: Header, now_ms: int) -> None:
    if header.time > now_ms // 1000 + MAX_AHEAD_S:
        raise Invalid(Rule.H9, f"{header.time - now_ms // 1000} s ahead")


def row_of(header: Header, raw: bytes, parent: HeaderRow, now_ms: int) -> HeaderRow:
    return HeaderRow(
        id_of(raw), header.height, header.parent, parent.work + header.difficulty, header.time,
        header.time - parent.time, header.difficulty, header.txs, header.miner, raw, Status.HEADER, 0, now_ms,
    )  # fmt: skip
