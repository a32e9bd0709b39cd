"""Publishing: from a value to a record in the network, kept there by its author."""

from __future__ import annotations

import contextlib

import attrs

from overlay.dht.get import BLOB, SIGNED, get
from overlay.dht.own import PROVIDER, Own, OwnRecords
from overlay.dht.providers import provide
from overlay.dht.put import Outgoing, Places, Profile, PutResult, locate, put
from overlay.dht.state import DhtState
from overlay.dht.swap import drop_copy, settle
from overlay.errors import Conflict, LimitError, LocalError, NotFound, OverlayError, TimedOut
from overlay.limits import MAX_RECORD_TTL_MS, MAX_SALT, MAX_VALUE
from overlay.runtime.future import Cancelled
from overlay.runtime.group import together
from overlay.runtime.ports import MS, SECOND
from overlay.wire.records import SignedRecord, blob_key, encode_record, signed_key

#: How often an author publishes anew: half of its holders may leave meanwhile.
REPUBLISH_NS = 3600 * SECOND
#: The same while nobody takes it.
_NOBODY_NS = 60 * SECOND


@attrs.frozen(slots=True, kw_only=True)
class Published:
    key: bytes
    type: int
    seq: int | None
    stored: int
    #: Of them, without ourselves. 0: it is published again as soon as somebody is there.
    others: int
    rpcs: int


async def publish_blob(
    dht: DhtState, own: OwnRecords, value: bytes, *, ttl_s: int | None, profile: Profile
) -> Published:
    """Raises LocalError for a value that is too long.

    Of two lives given to one blob the longer counts: nobody could tell its holders to drop it sooner.
    """
    if len(value) > MAX_VALUE:
        raise LocalError(f"the value has {len(value)} bytes, a blob at most {MAX_VALUE}; share it as a file")
    key, until_ms = blob_key(value), _until(dht, ttl_s)
    before = own.get(key)
    if before is not None and not _is_over(dht, before) and until_ms is not None:
        until_ms = None if before.until_ms is None else max(until_ms, before.until_ms)
    mine = Own(key=key, type=BLOB, value=value, until_ms=until_ms, profile=profile)
    own.check_room(key)
    published, _ = await _publish(dht, mine)
    return await _keep(dht, own, mine, published)


async def publish_signed(
    dht: DhtState, own: OwnRecords, salt: bytes, value: bytes, *, ttl_s: int | None, profile: Profile, cas: int | None
) -> Published:
    """A new version under `salt`. Raises LocalError for wrong sizes, Conflict if `cas` is not the newest seq.

    Of several that name one `cas` at a time, here or on machines that share this key, at most one succeeds as long
    as they reach the same holders; in a network that is split one may on each side.
    """
    if len(salt) > MAX_SALT:
        raise LocalError(f"the name has {len(salt)} bytes, at most {MAX_SALT} are allowed; choose a shorter one")
    if len(value) > MAX_VALUE:
        raise LocalError(f"the value has {len(value)} bytes, a signed record at most {MAX_VALUE}; share it as a file")
    key = signed_key(dht.own_id, salt)
    own.check_room(key)
    places: Places | None = None
    above = 0
    # A restored backup or a second machine may have signed newer ones: ask before signing. Where the record
    # belongs is found out meanwhile.
    if (own.needs_read_back(salt) and profile is Profile.SECURE) or cas is not None:
        places, found = await _before_signing(dht, key, profile)
        above = found.seq if found is not None else 0
        if cas is not None and above != cas:
            raise Conflict(key, expected=cas, found=above)
        if places.answered:  # else nobody could know
            own.was_read_back(salt)
    seq = await own.next_seq(salt, dht.loop.now.wall_ms, above=above)
    until_ms = None if ttl_s is None else _now_ms(dht, seq) + ttl_s * 1000
    mine = Own(key=key, type=SIGNED, value=value, salt=salt, seq=seq, until_ms=until_ms, profile=profile)
    if cas is None:
        return await _put_above(dht, own, mine, places)
    kept = own.get(key)
    ahead = max(own.swapping(key), kept.seq if kept is not None and not _is_over(dht, kept) else 0)
    if ahead > cas:
        raise Conflict(key, expected=cas, found=ahead)  # another put of this node was quicker
    own.begin_swap(key, seq)
    try:
        return await _swap(dht, own, mine, cas, places)
    finally:
        own.end_swap(key, seq)


async def _put_above(dht: DhtState, own: OwnRecords, mine: Own, places: Places | None) -> Published:
    """Publish it, once more above a newer version of ours that holders prove. Raises Conflict if that is outdone too:
    somebody with our key writes at this moment."""
    published, newer = await _publish(dht, mine, places=places)
    if newer is not None and own.is_last(mine.salt, mine.seq):
        mine = attrs.evolve(mine, seq=await own.next_seq(mine.salt, dht.loop.now.wall_ms, above=newer))
        again, newer = await _publish(dht, mine, places=places)
        if newer is not None and own.is_last(mine.salt, mine.seq):
            raise Conflict(mine.key, expected=mine.seq, found=newer)
        published = attrs.evolve(again, rpcs=again.rpcs + published.rpcs)
    return await _keep(dht, own, mine, published)


async def _swap(dht: DhtState, own: OwnRecords, mine: Own, cas: int, places: Places | None) -> Published:
    """Nothing is remembered before it has won: what was cut short, by a crash as well, is never published again."""
    try:
        result = await put(dht, _outgoing(dht, mine, cas=cas), profile=mine.profile, places=places)
        newest = await settle(dht, mine.key, result, cas=cas, seq=mine.seq, value=mine.value)
    except (OverlayError, Cancelled):
        drop_copy(dht, mine.key, mine.seq)
        raise
    own.end_swap(mine.key, mine.seq)
    published = _published(mine, result)
    before = own.get(mine.key)
    if newest is None or (before is not None and before.seq > mine.seq):  # a put of this node came after it
        return await _keep(dht, own, mine, published)
    # Some hold a version of who lost, or an old one. Ours is to be the newest for them as well; it has won, whatever
    # becomes of that now, and the next round tries it again.
    soon_ns = dht.loop.now.mono_ns + _NOBODY_NS
    own.remember(mine, soon_ns)
    try:
        if newest >= mine.seq:
            mine = attrs.evolve(mine, seq=await own.next_seq(mine.salt, dht.loop.now.wall_ms, above=newest))
            own.remember(mine, soon_ns)
        again, _ = await _publish(dht, mine, places=places)
        own.postpone(mine.key, _due(dht, mine, again))
        published = attrs.evolve(again, rpcs=again.rpcs + published.rpcs)
    except LocalError:  # too much else to do: see above
        published = attrs.evolve(published, seq=mine.seq)
    await _committed(dht, own, mine, before)
    return published


async def _before_signing(dht: DhtState, key: bytes, profile: Profile) -> tuple[Places, SignedRecord | None]:
    """Where it belongs, and our newest version there."""
    found: list[SignedRecord | None] = []

    async def ask() -> None:
        found.append(await _newest(dht, key))

    places: list[Places] = []

    async def look() -> None:
        places.append(await locate(dht, key, profile))

    await together(dht.loop, look(), ask())
    return places[0], found[0]


async def _newest(dht: DhtState, key: bytes) -> SignedRecord | None:
    try:
        record = (await get(dht, key)).record
    except (NotFound, TimedOut):
        return None
    return record if isinstance(record, SignedRecord) else None


async def publish_provider(dht: DhtState, own: OwnRecords, key: bytes, *, ttl_s: int | None) -> Published:
    mine = Own(key=_provider_slot(key), type=PROVIDER, value=key, until_ms=_until(dht, ttl_s))
    own.check_room(mine.key)
    published, _ = await _publish(dht, mine)
    return await _keep(dht, own, mine, published)


def _provider_slot(key: bytes) -> bytes:
    """Own records are kept by key; one may both hold a record and provide at its key."""
    return b"p" + key


async def withdraw(dht: DhtState, own: OwnRecords, key: bytes) -> list[Own]:
    """No longer publish the record at `key`, nor that this node provides it: what was in the list, [] if nothing.

    Returns once that is on disk; raises LocalError, and withdraws nothing, if it cannot be written. Copies live
    until they expire, wherever they are."""
    found = [mine for slot in (key, _provider_slot(key)) if (mine := own.get(slot)) and not _is_over(dht, mine)]
    try:
        for mine in found:
            own.forget(mine.key)
        if found:
            await dht.journal.committed()
    except LocalError:
        for mine in found:
            if own.get(mine.key) is None:
                with contextlib.suppress(LimitError):  # the disk takes nothing: it may take the next
                    own.remember(mine, _next(dht, mine.until_ms))
        raise
    return found


async def _keep(dht: DhtState, own: OwnRecords, mine: Own, published: Published) -> Published:
    """Have it published again from now on. Whoever is told so may count on it: the note on our own disk outlives the
    process by then. Raises LocalError if that could not be written; the list is then as before.
    """
    before = own.get(mine.key)
    if before is None or before.seq <= mine.seq or _is_over(dht, before):  # else a newer version was quicker
        own.remember(mine, _due(dht, mine, published))
        await _committed(dht, own, mine, before)
    return published


async def _committed(dht: DhtState, own: OwnRecords, mine: Own, before: Own | None) -> None:
    try:
        await dht.journal.committed()
    except LocalError:
        own.undo(mine, before, dht.loop.now.mono_ns + REPUBLISH_NS)
        raise


def _due(dht: DhtState, mine: Own, published: Published) -> int:
    return _next(dht, mine.until_ms) if published.others else dht.loop.now.mono_ns  # at once: nobody is there yet


async def _publish(dht: DhtState, mine: Own, *, places: Places | None = None) -> tuple[Published, int | None]:
    """Have it stored. Beside that the seq of another version of ours that is newer, or as new, if holders prove one."""
    wall_ms = dht.loop.now.wall_ms
    if mine.type == PROVIDER:
        stored, rpcs = await provide(dht, mine.value, seq=wall_ms, expires_ms=_expires_ms(dht, mine))
        return Published(key=mine.value, type=PROVIDER, seq=None, stored=stored, others=stored, rpcs=rpcs), None
    result = await put(dht, _outgoing(dht, mine), profile=mine.profile, places=places)
    newer = None
    if mine.type == SIGNED and result.newest_seq is not None and result.newest_seq >= mine.seq:
        # A holder claims a newer one. Only our own signature on it counts: a liar could push our
        # seq so far ahead of the clock that honest holders would refuse it.
        found = await _newest(dht, mine.key)
        if found is not None and found.seq >= mine.seq and (found.seq, found.value) != (mine.seq, mine.value):
            newer = found.seq
    return _published(mine, result), newer


def _outgoing(dht: DhtState, mine: Own, *, cas: int | None = None) -> Outgoing:
    expires_ms = _expires_ms(dht, mine)
    inner = mine.value
    if mine.type == SIGNED:
        inner = encode_record(
            dht.endpoint.signer, dht.endpoint.network, salt=mine.salt, seq=mine.seq, expires_ms=expires_ms,
            value=mine.value,
        )  # fmt: skip
    ttl_s = max(1, min(expires_ms - dht.loop.now.wall_ms, MAX_RECORD_TTL_MS) // 1000)
    return Outgoing(key=mine.key, type=mine.type, inner=inner, ttl_s=ttl_s, cas=cas, seq=mine.seq)


def _published(mine: Own, result: PutResult) -> Published:
    seq = mine.seq if mine.type == SIGNED else None
    return Published(
        key=mine.key, type=mine.type, seq=seq, stored=result.stored, others=result.others, rpcs=result.rpcs
    )  # fmt: skip


async def republish(dht: DhtState, own: OwnRecords) -> None:
    """Publish what is due, one after another."""
    while (slot := own.due(dht.loop.now.mono_ns)) is not None:
        mine = own.get(slot)
        if mine is None or _is_over(dht, mine):
            try:
                own.forget(slot)
            except LimitError:  # the disk takes nothing: those behind it are published all the same
                own.postpone(slot, dht.loop.now.mono_ns + _NOBODY_NS)
            continue
        own.postpone(slot, _next(dht, mine.until_ms))
        try:
            published, newer = await _publish(dht, mine)
            if newer is not None:
                own.raise_seq(mine.salt, newer)
        except LimitError:
            return  # busy; the rest stays due
        # What a newer version of ours has replaced is tried again as rarely as all else: that one may end.
        if not published.others and newer is None:
            own.postpone(slot, dht.loop.now.mono_ns + _NOBODY_NS)


def _is_over(dht: DhtState, mine: Own) -> bool:
    return mine.until_ms is not None and mine.until_ms <= dht.loop.now.wall_ms


def _expires_ms(dht: DhtState, mine: Own) -> int:
    return min(_now_ms(dht, mine.seq) + MAX_RECORD_TTL_MS, mine.until_ms or 1 << 62)


def _now_ms(dht: DhtState, seq: int) -> int:
    """Our clock, but not before the seq that we sign: it was our clock once. If that was set back a day
    since, records made by it alone would be over for others before they arrive."""
    return max(dht.loop.now.wall_ms, seq)


def _until(dht: DhtState, ttl_s: int | None) -> int | None:
    return None if ttl_s is None else dht.loop.now.wall_ms + ttl_s * 1000


def _next(dht: DhtState, until_ms: int | None) -> int:
    """An hour, give or take a tenth: a restart must not make all records due in one second for ever.
    Sooner what ends sooner: it is forgotten then, and makes room."""
    jitter_ns = dht.rng.below(REPUBLISH_NS // 5 // SECOND) * SECOND
    wait_ns = REPUBLISH_NS * 9 // 10 + jitter_ns
    if until_ms is not None:
        wait_ns = min(wait_ns, max(0, until_ms - dht.loop.now.wall_ms) * MS + SECOND)
    return dht.loop.now.mono_ns + wait_ns
