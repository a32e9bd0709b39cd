"""Pull hand-over: a node that has lived a while asks its neighbours for what it should hold as well."""

from __future__ import annotations

from overlay.dht.get import BLOB, Expired, read_record
from overlay.dht.hold import accept_record
from overlay.dht.state import DhtState
from overlay.dht.store import PutOutcome
from overlay.errors import BadMessage, LimitError, TimedOut
from overlay.limits import KEYS_PER_PAGE, MAX_PULLED, K
from overlay.rpc.contact import Contact
from overlay.trust.policy import Observation
from overlay.wire.messages import FindKeys, FindValue, Keys, Value

_NEIGHBOURS = 3
_MOST_ASKED = 8
#: Keys are looked at of which some are not ours to hold.
_MAX_PAGES = 16 * MAX_PULLED // KEYS_PER_PAGE


async def pull(dht: DhtState) -> int:
    """Returns how many records were taken over."""
    taken = asked = 0
    neighbours = dht.table.closest(dht.own_number, K)
    if not neighbours:
        return 0
    # We are among the k closest to keys nearer to us than our k-th neighbour is, and to some of those just beyond
    # (where the others are few): one bit less. What is not ours after all costs a name in a list, no more.
    bits = max(255 - (neighbours[-1].number ^ dht.own_number).bit_length(), 0) if len(neighbours) == K else 0
    useful = 0
    for neighbour in neighbours[:_MOST_ASKED]:
        if useful == _NEIGHBOURS:
            break
        after: bytes | None = None
        for _ in range(_MAX_PAGES):
            if asked >= MAX_PULLED:
                break
            try:
                _, reply = await dht.endpoint.call(neighbour, FindKeys(near=dht.own_id, prefix_bits=bits, after=after))
            except (TimedOut, LimitError):
                break
            if not isinstance(reply, Keys) or not reply.keys:
                break
            keys = [reply.keys[i : i + 32] for i in range(0, len(reply.keys), 32)]
            if after is not None and keys[0] <= after:
                break  # pages must move on
            for key in keys:
                if _wanted(dht, key):
                    asked += 1
                    taken += await _take(dht, neighbour, key)
            after = keys[-1]
            if len(keys) < KEYS_PER_PAGE:
                break
    if taken:
        await dht.journal.committed()
    return taken


def _wanted(dht: DhtState, key: bytes) -> bool:
    """It is ours to hold, and we do not."""
    if dht.store.get(key, dht.loop.now.wall_ms) is not None:
        return False
    target = int.from_bytes(key, "big")
    return dht.nearer_than_us(dht.table.closest(target, K), target) < K


async def _take(dht: DhtState, neighbour: Contact, key: bytes) -> int:
    try:
        _, reply = await dht.endpoint.call(neighbour, FindValue(key=key, families=dht.families))
        if not isinstance(reply, Value):
            return 0
        if reply.type == BLOB and reply.ttl_s == 0:
            return 0
        read_record(dht, key, reply.type, reply.inner)  # and nothing else
        accepted = accept_record(dht, reply.type, reply.inner, reply.ttl_s, cas=None, storer=neighbour)
    except (TimedOut, LimitError, Expired):
        return 0
    except BadMessage:
        dht.endpoint.policy.observe(neighbour.key, Observation.INVALID_DATA, dht.loop.now.mono_ns)
        return 0
    return accepted.outcome is PutOutcome.STORED
