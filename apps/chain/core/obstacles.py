"""Why a chain does not go on though its disk works, in words for people, with what to do."""

from __future__ import annotations

from apps.chain.core.params import Params
from apps.chain.core.summary import Summary


def obstacle(s: Summary, params: Params, *, forgotten: int, contradicted: int) -> str:
    """"": none. `forgotten`: height of the next block, if nobody keeps it any more; `contradicted`: how often a peer
    gave another block than the one that is assumed valid."""
    if s.stuck:
        return (
            f"the chain with most work parts from this one below height {s.kept_from}, where this node has forgotten "
            "its blocks (prune): stop it, move its chain.db away, start it, and it fetches the other one"
        )
    assumed = params.assume_valid
    if assumed is not None and contradicted and s.best_height < assumed[0]:
        return (
            f"{contradicted} of the peers that were asked have another block at height {assumed[0]} than "
            f"{assumed[1].hex()[:16]}…, which --assume-valid names: if its id is wrong, start the node without it"
        )
    if forgotten:
        return (
            f"no peer that is known keeps the block of height {forgotten} any more: join one that keeps all of them "
            "(without prune), or say --light"
        )
    return ""
