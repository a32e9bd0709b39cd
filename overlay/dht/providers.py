"""Providers: who says that it has something. The address served is the one that it proved by token."""

from __future__ import annotations

import attrs

from overlay.dht.get import find_node
from overlay.dht.lookup import Collector, LookupResult, start_lookup
from overlay.dht.state import V4, V6, DhtState, may_pass
from overlay.errors import BadMessage, LimitError, TimedOut
from overlay.limits import (
    AGREEING_HOLDERS,
    LOOKUP_DEADLINE_S,
    MAX_PROVIDERS_PER_KEY,
    MIN_FOREIGN_PORT,
    PATHS,
    PROVIDERS_PER_PAGE,
)
from overlay.rpc.contact import Contact
from overlay.rpc.gather import ask_all
from overlay.runtime.address import Address, Scope, unpack_address
from overlay.runtime.group import together
from overlay.runtime.ports import SECOND
from overlay.wire.messages import FindProviders, Message, Provide, Providers, Stored, StoreStatus
from overlay.wire.records import ProviderRecord, decode_provider, encode_provider

#: Following pages of one holder: as many as can hold all providers of a key.
_MAX_PAGES = MAX_PROVIDERS_PER_KEY // PROVIDERS_PER_PAGE + 1


@attrs.frozen(slots=True)
class Provider:
    record: ProviderRecord
    address: Address
    #: Where the holder is that says so; None: the provider told us itself.
    holder: Address | None = None


@attrs.define(slots=True, eq=False)
class ProviderCollector(Collector):
    dht: DhtState
    key: bytes
    found: dict[bytes, Provider] = attrs.Factory(dict)
    more: dict[Contact, bytes] = attrs.Factory(dict)
    #: Holders whose page was the last.
    ended: list[Contact] = attrs.Factory(list)
    holders: int = 0

    def take(self, contact: Contact, message: Message) -> bool:
        if not isinstance(message, Providers):
            return False
        self.holders += 1
        if message.next is not None:
            self.more[contact] = message.next
        else:
            self.ended.append(contact)
        network, verifier = self.dht.endpoint.network, self.dht.endpoint.verifier
        for raw, packed in message.providers:
            record = decode_provider(raw, network, verifier)
            if record.key != self.key:
                raise BadMessage("provider of another key")
            if record.expires_ms <= self.dht.loop.now.wall_ms:
                continue
            old = self.found.get(record.provider)
            if (old is None or old.record.seq < record.seq) and (old or len(self.found) < 4 * MAX_PROVIDERS_PER_KEY):
                self.found[record.provider] = Provider(record, unpack_address(packed), contact.address)
        return True

    @property
    def satisfied(self) -> bool:
        return self.holders >= AGREEING_HOLDERS


async def providers(dht: DhtState, key: bytes, *, paths: int = PATHS) -> tuple[list[Provider], int, int]:
    """All that the holders asked know, freshest first; the RPCs it took; the peers that answered."""
    collector = _begin(dht, key)
    result = await _look_up(collector, None, paths)
    rpcs = result.rpcs
    with dht.loop.move_on_after(LOOKUP_DEADLINE_S * SECOND):  # a holder may answer each page as late as it can
        for contact in tuple(collector.more):
            for _ in range(_MAX_PAGES):
                after = collector.more.pop(contact, None)
                if after is None:
                    break
                rpcs += 1
                try:
                    _, answer = await dht.endpoint.call(contact, FindProviders(key=key, after=after))
                    collector.take(contact, answer)
                except (TimedOut, LimitError, BadMessage):
                    break
    found = sorted(collector.found.values(), key=lambda provider: -provider.record.seq)
    return found, rpcs, len(result.answered)


async def some_providers(dht: DhtState, key: bytes, *, paths: int = PATHS) -> list[Provider]:
    """A few of them, others for every asker: a page of each holder, from a point that the asker draws. The order
    of providers is another one at each holder, and known to nobody else."""
    collector = _begin(dht, key)
    await _look_up(collector, dht.rng.bytes(8), paths)
    for contact in tuple(collector.ended):  # it is a circle
        try:
            _, answer = await dht.endpoint.call(contact, FindProviders(key=key, after=None))
            collector.take(contact, answer)
        except (TimedOut, LimitError, BadMessage):
            continue
    return list(collector.found.values())


async def many_providers(
    dht: DhtState, key: bytes, most: int, *, within_ns: int = LOOKUP_DEADLINE_S * SECOND, paths: int = PATHS
) -> list[Provider]:
    """As `some_providers`, but each holder is asked on, side by side, until `most` are known in all or it has named
    each of its own; a few more may be found. After `within_ns`, those that were found by then."""
    start = dht.rng.bytes(8)
    collector = _begin(dht, key)
    with dht.loop.move_on_after(within_ns):
        await _look_up(collector, start, paths)
        holders = dict.fromkeys((*collector.more, *collector.ended))
        await together(dht.loop, *(_go_round(collector, contact, start, most) for contact in holders))
    return list(collector.found.values())


async def _go_round(collector: ProviderCollector, contact: Contact, start: bytes, most: int) -> None:
    """The further pages of one holder, to the end of its order and on from its begin, up to `start`."""
    dht, key = collector.dht, collector.key
    after, begun = collector.more.pop(contact, None), False
    for _ in range(_MAX_PAGES + 1):
        begun = begun or after is None
        if len(collector.found) >= most:
            return
        try:
            _, answer = await dht.endpoint.call(contact, FindProviders(key=key, after=after))
            collector.take(contact, answer)
        except (TimedOut, LimitError, BadMessage):
            return
        after = collector.more.pop(contact, None)
        if begun and (after is None or after >= start):
            return


def contact_of(dht: DhtState, provider: Provider) -> Contact | None:
    """Where to ask a provider: by the rules of contacts in NODES, since a holder may say what it likes; where it
    answered us, if it did. None: nowhere."""
    address, holder = provider.address, provider.holder
    entry = dht.table.get(provider.record.provider)
    if entry is not None:
        return entry.contact
    if address.scope is Scope.LINK and holder is not None and holder.zone:
        address = attrs.evolve(address, zone=holder.zone)
    elif address.scope is Scope.LINK and not address.is_v4:
        return None  # it told us itself, on a link that the store does not keep
    if (
        address.port < MIN_FOREIGN_PORT
        or address.scope is Scope.NONE
        or (holder is not None and not may_pass(address, holder))
        or not dht.families & (V4 if address.is_v4 else V6)
    ):
        return None
    return dht.endpoint.book.contact(provider.record.provider, address)


def _begin(dht: DhtState, key: bytes) -> ProviderCollector:
    """With what we hold ourselves."""
    collector = ProviderCollector(dht, key)
    for raw, packed in dht.store.providers(key, None, MAX_PROVIDERS_PER_KEY, dht.loop.now.wall_ms)[0]:
        try:
            record = decode_provider(raw, dht.endpoint.network, dht.endpoint.verifier)
        except BadMessage:
            continue  # it was stored when this home belonged to another network
        collector.found[record.provider] = Provider(record, unpack_address(packed))
    return collector


async def _look_up(collector: ProviderCollector, after: bytes | None, paths: int) -> LookupResult:
    """The page of each holder that follows `after`."""
    key = collector.key
    question = FindProviders(key=key, after=after)
    return await start_lookup(
        collector.dht, int.from_bytes(key, "big"), question, collector=collector, paths=paths
    ).run()


async def provide(dht: DhtState, key: bytes, *, seq: int, expires_ms: int) -> tuple[int, int]:
    """Tell the k closest that we have it: (confirmed, RPCs)."""
    found = await find_node(dht, int.from_bytes(key, "big"))
    inner = encode_provider(dht.endpoint.signer, dht.endpoint.network, key=key, seq=seq, expires_ms=expires_ms)
    message = Provide(key=key, inner=inner)
    answers = await ask_all(dht.endpoint, found.closest, lambda _: message)
    confirmed = sum(
        1 for answer in answers.values() if isinstance(answer, Stored) and answer.status is StoreStatus.STORED
    )
    return confirmed, found.rpcs + len(answers)
