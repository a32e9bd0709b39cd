"""Commands: what the API, the command line and the shells of applications may ask of a peer.

Data in, data out: a name and a dict of arguments, and a value of dicts, lists, texts, numbers and bytes.
Ids in answers are in text form, keys are 64 hex digits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs

from overlay import inspect
from overlay.arguments import Args, UsageError, arg, id_of, key_of, optional, salt_of, ttl_of
from overlay.dht.get import Blob, find_node, get
from overlay.dht.own import PROVIDER
from overlay.dht.providers import providers
from overlay.dht.publish import Published, publish_blob, publish_provider, publish_signed, withdraw
from overlay.dht.put import Profile
from overlay.errors import BadMessage, Conflict, LimitError, LocalError, NotFound, OverlayError, RemoteError, TimedOut
from overlay.identity.node_id import format_id, node_id_of, parse_id
from overlay.limits import PATHS
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import MS, Failed, Ok, Outcome
from overlay.wire.messages import Ping
from overlay.wire.records import signed_key

if TYPE_CHECKING:
    from overlay.peer import Peer


async def run(peer: Peer, name: str, args: Args) -> Outcome:
    """Never raises for what the caller or a peer does."""
    command = _COMMANDS.get(name)
    if command is None:
        return Failed("usage", f"no such command: {name!r} (there are: {', '.join(sorted(_COMMANDS))})")
    try:
        return Ok(await command(peer, args))
    except UsageError as error:
        return Failed("usage", str(error))
    except NotFound as error:
        return Failed("not_found", str(error), _LOOK.get(name, {}))
    except TimedOut as error:
        return Failed("timed_out", str(error))
    except (BadMessage, RemoteError) as error:
        return Failed("not_verified", str(error))
    except Conflict as error:
        return Failed("failed", str(error), error.facts)
    except OverlayError as error:
        return Failed("failed", str(error))


async def _status(peer: Peer, args: Args) -> Any:
    return inspect.status(peer)


async def _peers(peer: Peer, args: Args) -> Any:
    return inspect.peers(peer)


async def _ping(peer: Peer, args: Args) -> Any:
    text = arg(args, "peer", str)
    to: Contact | Address
    try:
        to = parse_address(text)
    except LocalError:
        if ":" in text:
            raise UsageError(f"not an address: {text!r} (expected 192.0.2.7:4433 or [2001:db8::1]:4433)") from None
        node_id = id_of(peer, text)
        if node_id == peer.id:
            raise UsageError("that is this node itself") from None
        try:
            to = await peer.meeting.locate(node_id)
        except NotFound:
            silent = peer.meeting.last_known(node_id)
            if silent is None:
                raise
            to = silent
    sent_ns = peer.loop.now.mono_ns
    contact, _ = await peer.endpoint.call(to, Ping(), tries=3)
    rtt_ms = round((peer.loop.now.mono_ns - sent_ns) / MS, 3)
    return {"id": format_id(contact.id), "address": str(contact.address), "rtt_ms": rtt_ms}


async def _put(peer: Peer, args: Args) -> Any:
    value = arg(args, "value", bytes)
    ttl_s = ttl_of(args)
    try:
        profile = Profile(optional(args, "profile", str) or "secure")
    except ValueError:
        raise UsageError("profile: expected secure or cheap") from None
    salt = salt_of(args)
    cas = optional(args, "cas", int)
    if salt is None:
        if cas is not None:
            raise UsageError("cas: only a record with a name has versions")
        published = await publish_blob(peer.dht, peer.own, value, ttl_s=ttl_s, profile=profile)
        kind: dict[str, Any] = {"kind": "blob"}
    else:
        published = await publish_signed(peer.dht, peer.own, salt, value, ttl_s=ttl_s, profile=profile, cas=cas)
        kind = {"kind": "signed", "seq": published.seq, "author": format_id(peer.id)}
    kept = peer.own.get(published.key)
    until_ms = kept.until_ms if kept is not None else None
    expires_s = None if until_ms is None else max(0, until_ms - peer.loop.now.wall_ms) // 1000
    return {"key": published.key.hex(), **kind, **_holders(published), "expires_s": expires_s}


def _holders(published: Published) -> dict[str, int]:
    return {"stored": published.stored, "others": published.others, "rpcs": published.rpcs}


async def _get(peer: Peer, args: Args) -> Any:
    text, author = optional(args, "key", str), optional(args, "author", str)
    if author is not None:
        salt = salt_of(args)
        if salt is None:
            raise UsageError("name is missing")
        key = signed_key(id_of(peer, author), salt)
    elif text is not None:
        key = key_of(text)
    else:
        raise UsageError("key is missing")
    paths = optional(args, "paths", int)
    got = await get(peer.dht, key, paths=min(max(paths or PATHS, 1), PATHS))
    answer: dict[str, Any] = {"key": key.hex(), "value": got.record.value}
    if isinstance(got.record, Blob):
        answer["kind"] = "blob"
    else:
        answer |= {"kind": "signed", "author": format_id(got.record.author_id), "seq": got.record.seq}
    return answer | {"holders": got.holders, "rpcs": got.rpcs}


async def _lookup(peer: Peer, args: Args) -> Any:
    text = arg(args, "key", str)
    try:
        target = key_of(text)
    except UsageError:
        target = id_of(peer, text)
    paths = optional(args, "paths", int)
    result = await find_node(peer.dht, int.from_bytes(target, "big"), paths=min(max(paths or PATHS, 1), PATHS))
    if result.rpcs and not result.answered:
        raise TimedOut(f"no peer answered ({result.rpcs} requests), so nobody could say who is closest")
    closest = [format_id(contact.id) for contact in result.closest]
    return {"closest": closest, "rpcs": result.rpcs, "hops": result.hops, "paths": result.paths}


async def _provide(peer: Peer, args: Args) -> Any:
    key = key_of(arg(args, "key", str))
    published = await publish_provider(peer.dht, peer.own, key, ttl_s=ttl_of(args))
    return {"key": key.hex(), **_holders(published)}


async def _providers(peer: Peer, args: Args) -> Any:
    key = key_of(arg(args, "key", str))
    found, rpcs, answered = await providers(peer.dht, key)
    wall_ms = peer.loop.now.wall_ms
    rows = [
        {
            "id": format_id(node_id_of(provider.record.provider)), "address": str(provider.address),
            "expires_s": max(0, provider.record.expires_ms - wall_ms) // 1000,
        }
        for provider in found
    ]  # fmt: skip
    if not any(row["id"] == format_id(peer.id) for row in rows):
        # Others see our address, we do not: it is theirs to say.
        rows += [
            {"id": format_id(peer.id), "address": None, "expires_s": None}
            for own in peer.own
            if own.type == PROVIDER and own.value == key
        ]
    if rpcs and not answered and not rows:
        raise TimedOut(f"no peer answered ({rpcs} requests), so nobody could say who provides {key.hex()}")
    return {"key": key.hex(), "providers": rows, "rpcs": rpcs}


async def _table(peer: Peer, args: Args) -> Any:
    return {"buckets": inspect.table(peer)}


async def _join(peer: Peer, args: Args) -> Any:
    wanted: list[tuple[Address, bytes | None]] = []
    for item in arg(args, "addresses", list):
        try:
            node_id = parse_id(item["id"]) if item.get("id") else None
            wanted.append((parse_address(item["address"]), node_id))
        except (LocalError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"addresses: {error}") from None
    keep = optional(args, "keep", bool)
    joined, others = await peer.entrance.join(wanted, keep=keep is not False)
    rows = [{"id": format_id(contact.id), "address": str(contact.address)} for contact in others]
    return {"joined": joined, "others": rows}


async def _own(peer: Peer, args: Args) -> Any:
    return inspect.own(peer, values=bool(optional(args, "values", bool)))


#: What to type when nothing was found; where it is missing, the caller knows.
_LOOK = {"forget": {"what is there": "p2pnode dht own"}, "app": {"what is there": "p2pnode app list"}}


async def _forget(peer: Peer, args: Args) -> Any:
    text, salt = optional(args, "key", str), salt_of(args)
    if (text is None) == (salt is None):
        raise UsageError("give a key or a name, one of them")
    key = key_of(text) if text is not None else signed_key(peer.id, salt or b"")
    withdrawn = await withdraw(peer.dht, peer.own, key)
    if not withdrawn:
        raise NotFound(f"this node publishes nothing under {key.hex()}")
    return {"key": key.hex(), "withdrawn": [inspect.KINDS[own.type] for own in withdrawn]}


async def _publish(peer: Peer, args: Args) -> Any:
    topic = arg(args, "topic", str)
    return {"topic": topic, "peers": await peer.gossip.publish(topic, arg(args, "body", bytes))}


async def _subscribe(peer: Peer, args: Args) -> Any:
    """Deliveries are reported as GossipDelivered. `hold`: until the caller goes (handle_cancel), else until
    `unsubscribe`; however often it is asked for without, one `unsubscribe` ends it."""
    topic = arg(args, "topic", str)
    if not optional(args, "hold", bool):
        if topic not in peer.held:
            peer.held[topic] = peer.gossip.subscribe(topic, buffer=1, unread=True)
        return {"topic": topic}
    subscription = peer.gossip.subscribe(topic, buffer=1, unread=True)
    try:
        await peer.loop.future()
    finally:
        subscription.close()


async def _unsubscribe(peer: Peer, args: Args) -> Any:
    topic = arg(args, "topic", str)
    subscription = peer.held.pop(topic, None)
    if subscription is None:
        raise NotFound(f"no `subscribe` of topic {topic!r} to end")
    subscription.close()
    return {"topic": topic}


async def _topics(peer: Peer, args: Args) -> Any:
    return [attrs.asdict(view) for view in peer.gossip.topics()]


async def _apps(peer: Peer, args: Args) -> Any:
    return peer.apps.listed()


async def _app(peer: Peer, args: Args) -> Any:
    given = optional(args, "args", dict) or {}
    return await peer.apps.command(arg(args, "app", str), arg(args, "command", str), given)


async def _leave(peer: Peer, args: Args) -> Any:
    peer.gossip.leave()
    told = await peer.upkeep.leave()
    try:
        await peer.endpoint.stamps.give_back(peer.loop.now)
    except (LimitError, LocalError):
        peer.endpoint.count("stamps not given back")  # as after a crash: the next life begins two minutes ahead
    return {"told": told}


_COMMANDS: dict[str, Callable[[Peer, Args], Awaitable[Any]]] = {
    "status": _status, "peers": _peers, "ping": _ping, "put": _put, "get": _get, "lookup": _lookup,
    "provide": _provide, "providers": _providers, "table": _table, "join": _join, "own": _own,
    "forget": _forget, "leave": _leave, "publish": _publish, "subscribe": _subscribe,
    "unsubscribe": _unsubscribe, "topics": _topics, "apps": _apps, "app": _app,
}  # fmt: skip
