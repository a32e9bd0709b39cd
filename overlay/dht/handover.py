"""Pull hand-over: a node that has lived a while asks its neighbours for what it should hold as well."""

from __future__ import annotations

from overlay.dht.get import BLOB
from overlay.dht.hold import accept_record
from overlay.dht.state import DhtState
from overlay.errors import BadMessage, LimitError, TimedOut
from overlay.limits import KEYS_PER_PAGE, K
from overlay.rpc.contact import Contact
from overlay.trust.policy import Observation
from overlay.wire.messages import FindKeys, FindValue, Keys, Value

_NEIGHBOURS = 3
#: Records pulled in one round: 4,096 x 1 kB.
_MAX_PULLED = 4096


async def pull(dht: DhtState) -> int:
    """Returns how many records were taken over."""
    taken = 0
    neighbours = dht.table.closest(dht.own_number, K)
    if not neighbours:
        return 0
    # We are among the k closest to keys nearer to us than our k-th neighbour is, or a little farther.
    bits = 256 - (neighbours[-1].number ^ dht.own_number).bit_length() if len(neighbours) == K else 0
    for neighbour in neighbours[:_NEIGHBOURS]:
        after: bytes | None = None
        while taken < _MAX_PULLED:
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
                taken += await _take(dht, neighbour, key)
            after = keys[-1]
            if len(keys) < KEYS_PER_PAGE:
                break
    if taken:
        await dht.journal.committed()
    return taken


async def _take(dht: DhtState, neighbour: Contact, key: bytes) -> int:
    if dht.store.get(key, dht.loop.now.wall_ms) is not None:
        return 0
    if dht.nearer_than_us(dht.table.closest(int.from_bytes(key, "big"), K), int.from_bytes(key, "big")) >= K:
        return 0
    try:
        _, reply = await dht.endpoint.call(neighbour, FindValue(key=key, families=dht.families))
        if not isinstance(reply, Value):
            return 0
        if reply.type == BLOB and reply.ttl_s == 0:
            return 0
        accept_record(dht, reply.type, reply.inner, reply.ttl_s, cas=None, storer=neighbour)
    except (TimedOut, LimitError):
        return 0
    except BadMessage:
        dht.endpoint.policy.observe(neighbour.key, Observation.INVALID_DATA, dht.loop.now.mono_ns)
        return 0
    return 1
