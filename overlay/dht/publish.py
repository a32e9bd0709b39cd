"""Publishing: from a value to a record in the network, kept there by its author."""

from __future__ import annotations

import attrs

from overlay.dht.get import BLOB, SIGNED, get
from overlay.dht.own import PROVIDER, Own, OwnRecords
from overlay.dht.providers import provide
from overlay.dht.put import Outgoing, Places, Profile, PutResult, locate, put
from overlay.dht.state import DhtState
from overlay.dht.swap import settle
from overlay.errors import Conflict, LimitError, LocalError, NotFound, OverlayError, TimedOut
from overlay.limits import MAX_RECORD_TTL_MS, MAX_SALT, MAX_VALUE
from overlay.runtime.group import together
from overlay.runtime.ports import MS, SECOND, Failed
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
    """Raises LocalError for a value that is too long."""
    if len(value) > MAX_VALUE:
        raise LocalError(f"the value has {len(value)} bytes, a blob at most {MAX_VALUE}; share it as a file")
    key, until_ms = blob_key(value), _until(dht, ttl_s)
    return await _publish_kept(dht, own, Own(key=key, type=BLOB, value=value, until_ms=until_ms, profile=profile))


async def publish_signed(
    dht: DhtState, own: OwnRecords, salt: bytes, value: bytes, *, ttl_s: int | None, profile: Profile, cas: int | None
) -> Published:
    """A new version under `salt`. Raises LocalError for wrong sizes, Conflict if `cas` is not the newest seq.

    Of several that name one `cas` at a time, here or on machines that share this key, at most one succeeds.
    """
    if len(salt) > MAX_SALT:
        raise LocalError(f"the name has {len(salt)} bytes, at most {MAX_SALT} are allowed; choose a shorter one")
    if len(value) > MAX_VALUE:
        raise LocalError(f"the value has {len(value)} bytes, a signed record at most {MAX_VALUE}; share it as a file")
    key = signed_key(dht.own_id, salt)
    places: Places | None = None
    above = 0
    # A restored backup or a second machine may have signed newer ones: ask before signing. Where the record
    # belongs is found out meanwhile.
    if (own.needs_read_back(salt) and profile is Profile.SECURE) or cas is not None:
        places, above = await _before_signing(dht, key, profile)
        if cas is not None and above != cas:
            raise Conflict(key, expected=cas, found=above)
        own.was_read_back(salt)
    seq = await own.next_seq(salt, dht.loop.now.wall_ms, above=above)
    kept = own.get(key)
    if cas is not None and kept is not None and kept.seq > cas and not _is_over(dht, kept):
        raise Conflict(key, expected=cas, found=kept.seq)  # another put of this node was quicker
    until_ms = None if ttl_s is None else _now_ms(dht, seq) + ttl_s * 1000
    mine = Own(key=key, type=SIGNED, value=value, salt=salt, seq=seq, until_ms=until_ms, profile=profile)
    return await _publish_kept(dht, own, mine, cas=cas, places=places)


async def _before_signing(dht: DhtState, key: bytes, profile: Profile) -> tuple[Places, int]:
    """Where it belongs, and the newest seq of ours there."""
    above = 0

    async def ask() -> None:
        nonlocal above
        above = await _current_seq(dht, key)

    places: list[Places] = []

    async def look() -> None:
        places.append(await locate(dht, key, profile))

    await together(dht.loop, look(), ask())
    return places[0], above


async def _current_seq(dht: DhtState, key: bytes) -> int:
    try:
        record = (await get(dht, key)).record
    except (NotFound, TimedOut):
        return 0
    return record.seq if isinstance(record, SignedRecord) else 0


async def publish_provider(dht: DhtState, own: OwnRecords, key: bytes, *, ttl_s: int | None) -> Published:
    mine = Own(key=_provider_slot(key), type=PROVIDER, value=key, until_ms=_until(dht, ttl_s))
    return await _publish_kept(dht, own, mine)


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
                own.remember(mine, _next(dht, mine.until_ms))
        raise
    return found


async def _publish_kept(
    dht: DhtState, own: OwnRecords, mine: Own, *, cas: int | None = None, places: Places | None = None
) -> Published:
    """Remember and publish. Whoever is told so may count on its being published again: the note on our own disk
    outlives the process by then. Raises LocalError if that could not be written, Conflict; the list is then as before.
    """
    before = own.get(mine.key)
    own.remember(mine, _next(dht, mine.until_ms))
    kept = dht.loop.future()
    dht.journal.after_commit(kept.set)
    try:
        published, result = await _publish(dht, own, mine, cas=cas, places=places)
        newest = None
        if cas is not None and result is not None:
            newest = await settle(dht, mine.key, result, cas=cas, seq=mine.seq)
        if not published.others:
            own.postpone(mine.key, dht.loop.now.mono_ns)  # nobody is there yet: the next round publishes it
        outcome = await kept
        if isinstance(outcome, Failed):
            raise LocalError(f"could not write to the store: {outcome.message}")
        if newest is None:
            return published
        # Won, but some hold a version of who lost, or an old one. Ours is to be the newest for them as well.
        seq = mine.seq
        if newest >= seq:  # equal: it was signed in the same millisecond
            seq = await own.next_seq(mine.salt, dht.loop.now.wall_ms, above=newest)
        again = await _publish_kept(dht, own, attrs.evolve(mine, seq=seq), places=places)
        return attrs.evolve(again, rpcs=again.rpcs + published.rpcs)
    except OverlayError:
        own.undo(mine, before, dht.loop.now.mono_ns + REPUBLISH_NS)
        raise


async def _publish(
    dht: DhtState, own: OwnRecords, mine: Own, *, cas: int | None = None, places: Places | None = None
) -> tuple[Published, PutResult | None]:
    wall_ms = dht.loop.now.wall_ms
    expires_ms = min(_now_ms(dht, mine.seq) + MAX_RECORD_TTL_MS, mine.until_ms or 1 << 62)
    if mine.type == PROVIDER:
        stored, rpcs = await provide(dht, mine.value, seq=wall_ms, expires_ms=expires_ms)
        return Published(key=mine.value, type=PROVIDER, seq=None, stored=stored, others=stored, rpcs=rpcs), None
    inner = mine.value
    if mine.type == SIGNED:
        inner = encode_record(
            dht.endpoint.signer, dht.endpoint.network, salt=mine.salt, seq=mine.seq, expires_ms=expires_ms,
            value=mine.value,
        )  # fmt: skip
    ttl_s = max(1, min(expires_ms - wall_ms, MAX_RECORD_TTL_MS) // 1000)
    out = Outgoing(key=mine.key, type=mine.type, inner=inner, ttl_s=ttl_s, cas=cas, seq=mine.seq)
    result = await put(dht, out, profile=mine.profile, places=places)
    if mine.type == SIGNED and result.newest_seq is not None and result.newest_seq > mine.seq:
        # A holder claims a newer one. Only our own signature on it counts: a liar could push our
        # seq so far ahead of the clock that honest holders would refuse it.
        own.raise_seq(mine.salt, await _current_seq(dht, mine.key))
    seq = mine.seq if mine.type == SIGNED else None
    published = Published(
        key=mine.key, type=mine.type, seq=seq, stored=result.stored, others=result.others, rpcs=result.rpcs
    )  # fmt: skip
    return published, result


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
            published, _ = await _publish(dht, own, mine)
        except LimitError:
            return  # busy; the rest stays due
        if not published.others:
            own.postpone(slot, dht.loop.now.mono_ns + _NOBODY_NS)


def _is_over(dht: DhtState, mine: Own) -> bool:
    return mine.until_ms is not None and mine.until_ms <= dht.loop.now.wall_ms


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
