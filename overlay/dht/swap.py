"""Compare-and-swap: who has won when several wrote at once.

Each holder takes the first record that names the seq it has, and refuses the others; so whoever has more takers
than refusals is alone in that. A refusal counts only with the newer record to show for it: a bare claim would let
those who gather around a key forbid its author to write.
"""

from __future__ import annotations

import contextlib

from overlay.dht.get import read_record
from overlay.dht.put import PutResult
from overlay.dht.state import DhtState
from overlay.errors import BadMessage, Conflict, LimitError
from overlay.rpc.gather import ask_all
from overlay.wire.messages import FindValue, Value
from overlay.wire.records import SignedRecord


async def settle(dht: DhtState, key: bytes, result: PutResult, *, cas: int, seq: int) -> int | None:
    """None: all took our record. Else the newest seq of those who did not, 0 if nobody shows one.

    Raises Conflict if at least as many others as took it show a record that is newer than `cas`; our copy goes
    then. Our own vote does not count: another machine with our key, which does not ask us, has one as well.
    """
    if not result.mismatched and result.held_seq is None:
        return None
    question = FindValue(key=key, families=dht.families)
    shown = [] if result.held_seq is None else [result.held_seq]
    for answer in (await ask_all(dht.endpoint, result.mismatched, lambda _: question)).values():
        if isinstance(answer, Value):
            with contextlib.suppress(BadMessage):
                record = read_record(dht, key, answer.type, answer.inner)
                if isinstance(record, SignedRecord):
                    shown.append(record.seq)
    newer = [found for found in shown if found > cas]
    if not newer or len(newer) < result.others:
        return max(newer, default=0)
    held = dht.store.signed(key, dht.loop.now.wall_ms)
    if held is not None and held.seq == seq:
        with contextlib.suppress(LimitError):  # the disk takes nothing: it goes when it expires
            dht.store.remove(key)
    raise Conflict(key, expected=cas, found=max(newer, key=lambda found: (newer.count(found), found)))
