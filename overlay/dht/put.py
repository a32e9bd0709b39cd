"""PUT: where a record is stored, and the proof that it can be read back.

The cheap profile does what other DHTs do: one lookup, the k closest. The secure profile is a region
put (design: protocol, DHT): two independent lookups over disjoint paths, a store at every responder
within the radius that is expected to hold REGION_NODES nodes, so that ids ground next to the key
cannot crowd out the honest ones, and a read-back over other first hops.
"""

from __future__ import annotations

import enum

import attrs

from overlay.dht.get import Blob, find_node, get
from overlay.dht.hold import accept_record
from overlay.dht.lookup import LookupResult
from overlay.dht.state import DhtState
from overlay.dht.store import PutOutcome
from overlay.errors import LimitError, NotFound, TimedOut
from overlay.limits import MAX_REGION_STORES, PATHS, REGION_NODES, K
from overlay.rpc.contact import Contact
from overlay.rpc.gather import ask_all
from overlay.runtime.group import together
from overlay.runtime.ports import Failed
from overlay.wire.messages import Message, Store, Stored, StoreStatus


class Profile(enum.StrEnum):
    #: Region put with read-back: withstands nodes that gather around a key. About 5 times the RPCs.
    SECURE = "secure"
    #: k closest of one lookup.
    CHEAP = "cheap"


@attrs.frozen(slots=True, kw_only=True)
class Outgoing:
    """A record on its way out. `cas` is the seq that holders must have (signed records only)."""

    key: bytes
    type: int
    inner: bytes
    ttl_s: int
    cas: int | None = None
    #: Of a signed record: what a read-back must show at least.
    seq: int = 0


@attrs.define(slots=True)
class PutResult:
    """`stored` counts the holders that confirmed, ourselves included."""

    stored: int = 0
    #: Of them, without ourselves.
    others: int = 0
    rpcs: int = 0
    #: A holder says that it has a newer one; its seq.
    newest_seq: int | None = None
    #: Others who have another version than `cas` says, and the seq that we hold if we are such a holder.
    mismatched: list[Contact] = attrs.Factory(list)
    held_seq: int | None = None
    refused: int = 0


@attrs.frozen(slots=True)
class Places:
    """Where a record belongs, as far as lookups told."""

    #: Nearest first.
    contacts: tuple[Contact, ...]
    #: Everybody who answered on the way.
    answered: tuple[Contact, ...]
    rpcs: int


async def locate(dht: DhtState, key: bytes, profile: Profile) -> Places:
    """The holders-to-be of `key`. Raises LimitError."""
    target = int.from_bytes(key, "big")
    if profile is Profile.CHEAP:
        found = await find_node(dht, target)
        return Places(found.closest, found.answered, found.rpcs)
    radius = dht.radius(REGION_NODES)
    lookups = await _two_lookups(dht, target, radius)
    answered = dict.fromkeys(contact for found in lookups for contact in found.answered)
    nearest = sorted(answered, key=lambda contact: contact.number ^ target)
    inside = [c for i, c in enumerate(nearest) if i < K or (radius is not None and c.number ^ target <= radius)]
    return Places(tuple(inside[:MAX_REGION_STORES]), tuple(answered), sum(found.rpcs for found in lookups))


async def put(
    dht: DhtState, out: Outgoing, *, profile: Profile = Profile.SECURE, places: Places | None = None
) -> PutResult:
    """Store it, at `places` if somebody has located them already. Raises LimitError; never for what peers do."""
    result = PutResult()
    if places is None:
        places = await locate(dht, out.key, profile)
    await _store_at(dht, out, places, result)
    if profile is Profile.SECURE and len(places.answered) > K and not await _reads_back(dht, out, places, result):
        dht.endpoint.count("puts repeated")
        await _store_at(dht, out, await locate(dht, out.key, profile), result)
    return result


async def _two_lookups(dht: DhtState, target: int, radius: int | None) -> list[LookupResult]:
    first_hops = dht.table.closest(target, 2 * PATHS, families=dht.families)
    if len(dht.table) <= K:  # one lookup asks everybody there is
        return [await find_node(dht, target, paths=PATHS, radius=radius)]
    halves = (tuple(first_hops[1::2]), tuple(first_hops[0::2]))
    return await together(
        dht.loop, *(find_node(dht, target, paths=PATHS, radius=radius, avoid=half) for half in halves)
    )  # fmt: skip


async def _store_at(dht: DhtState, out: Outgoing, places: Places, result: PutResult) -> None:
    contacts = places.contacts
    result.rpcs += places.rpcs
    result.stored = result.others = result.refused = 0
    result.mismatched, result.held_seq = [], None
    target = int.from_bytes(out.key, "big")
    saved = None
    if dht.nearer_than_us(contacts, target) < K and _hold(dht, out, result):
        saved = dht.loop.future()
        dht.journal.after_commit(saved.set)  # our copy counts as others' do: once it is on disk
    # Our own place among the k closest is ours: the k-th other peer is not asked for it.
    room = len(contacts) if len(contacts) > K else K
    message = Store(type=out.type, inner=out.inner, ttl_s=out.ttl_s, cas=out.cas)
    answers = await ask_all(dht.endpoint, contacts[:room], lambda _: message)
    result.rpcs += len(answers)
    for contact, answer in answers.items():
        _count(contact, answer, result)
    if saved is not None and not isinstance(await saved, Failed):
        result.stored += 1


def _hold(dht: DhtState, out: Outgoing, result: PutResult) -> bool:
    try:
        accepted = accept_record(dht, out.type, out.inner, out.ttl_s, cas=out.cas, storer=None)
    except LimitError:
        return False  # our disk takes nothing: the copies of others count
    if accepted.outcome is PutOutcome.CAS_MISMATCH:
        result.held_seq = accepted.seq
    return accepted.outcome is PutOutcome.STORED


def _count(contact: Contact, answer: Message | None, result: PutResult) -> None:
    if not isinstance(answer, Stored):
        return
    match answer.status:
        case StoreStatus.STORED:
            result.stored += 1
            result.others += 1
        case StoreStatus.OLDER:
            result.newest_seq = max(result.newest_seq or 0, answer.seq or 0)
        case StoreStatus.CAS_MISMATCH:
            result.mismatched.append(contact)
            result.newest_seq = max(result.newest_seq or 0, answer.seq or 0)
        case _:
            result.refused += 1


async def _reads_back(dht: DhtState, out: Outgoing, places: Places, result: PutResult) -> bool:
    """Do others give it, or a newer one, to somebody who starts elsewhere? Our own copy says nothing about that."""
    try:
        got = await get(dht, out.key, avoid=places.answered[:PATHS], local=False)
    except (NotFound, TimedOut):
        return False
    except LimitError:
        return True  # busy: it is stored, and not checked
    result.rpcs += got.rpcs
    return isinstance(got.record, Blob) or got.record.seq >= out.seq
