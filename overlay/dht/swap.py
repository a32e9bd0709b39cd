"""Compare-and-swap: who has won when several wrote at once.

Each holder takes the first record that names the seq it has, and refuses the others; so all who ask the same holders
count the same takers for each. Most takers win, of as many the larger seq: exactly one, as long as they ask the same
holders and get the answers. A taker of another's counts only with the newer record to show for it: a bare claim
would let those who gather around a key forbid its author to write.
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


async def settle(dht: DhtState, key: bytes, result: PutResult, *, cas: int, seq: int, value: bytes) -> int | None:
    """None: all took our record. Else we won, and the newest seq of those who did not, 0 if nobody shows one.

    Raises Conflict if a record newer than `cas` has more takers, or as many and a larger seq. Our own vote does not
    count: another machine with our key, which does not ask us, has one as well.
    """
    if not result.mismatched and result.held_seq is None:
        return None
    question = FindValue(key=key, families=dht.families)
    answers = list((await ask_all(dht.endpoint, result.mismatched, lambda _: question)).values())
    shown = [(answer.type, answer.inner) for answer in answers if isinstance(answer, Value)]
    held = dht.store.signed(key, dht.loop.now.wall_ms) if result.held_seq is not None else None
    if held is not None:
        shown.append((held.type, held.inner))
    #: By value, not by seq: whoever has won signs the same value once more.
    rivals: dict[bytes, list[int]] = {}
    for kind, inner in shown:
        with contextlib.suppress(BadMessage):
            record = read_record(dht, key, kind, inner)
            if isinstance(record, SignedRecord) and record.seq > cas:
                rivals.setdefault(record.value, []).append(record.seq)
    if not rivals:
        return 0
    takers, newest, of = max((len(seqs), max(seqs), rival) for rival, seqs in rivals.items())
    if (takers, newest, of) > (result.others, seq, value):
        raise Conflict(key, expected=cas, found=newest)
    return max(max(seqs) for seqs in rivals.values())


def drop_copy(dht: DhtState, key: bytes, seq: int) -> None:
    """Our own copy of a version that did not win."""
    held = dht.store.signed(key, dht.loop.now.wall_ms)
    if held is not None and held.seq == seq:
        with contextlib.suppress(LimitError):  # the disk takes nothing: it goes when it expires
            dht.store.remove(key)
