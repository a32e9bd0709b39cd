"""Nothing in a peer grows without a bound: every container against its limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from overlay import limits
from overlay.dht.store import RecordStore
from overlay.gossip.service import Gossip
from overlay.limits import K
from overlay.peer import Peer
from overlay.streams import Streams
from overlay.streams.frames import HEAD_BYTES
from overlay.streams.plains import Plains
from simulations.invariants.base import Broken, Rotation

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Nodes looked at in one sample: 20 us each.
_AT_ONCE = 200
#: HAVEs in flight of one topic: to its mesh, to those it publishes to, and to three others at each beat of a second,
#: who are given up after three tries, of 8 s at most.
_ASKING = 2 * limits.MESH_HIGH + 64
#: Less than the bound, one message, an END, and what is said while nothing is taken: one small frame in PROBE_S.
_SMALL = (2 + limits.STALLED_S // limits.PROBE_S) * HEAD_BYTES + 1 + limits.MAX_END_TEXT
_UNSENT = limits.UNSENT_HIGH + limits.MAX_STREAM_MESSAGE + _SMALL
#: Tasks that applications spawn for themselves, as file sharing does for every peer that it fetches from.
_SPAWNED = 1024


class MemoryBounded:
    """Table, peers and stamps remembered, replies, requests (also those given up), records, commands, tasks and timers
    of honest nodes, and what they keep of topics, their members and messages, and of streams, are within the limits of
    overlay/limits.py."""

    name: ClassVar[str] = "memory-bounded"

    def __init__(self, swarm: Swarm) -> None:
        self._turn = Rotation(_AT_ONCE)

    def sample(self, swarm: Swarm) -> list[Broken]:
        return [
            Broken(self.name, node, swarm.now_s, f"{size:,} {what}, at most {most:,} are allowed")
            for node, peer in self._turn.peers(swarm)
            for what, size, most in sizes(peer)
            if size > most
        ]

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm)


def sizes(peer: Peer) -> Iterator[tuple[str, int, int]]:
    """(what, how much, at most) of every container that others can fill."""
    endpoint, dht = peer.endpoint, peer.dht
    yield "peers remembered", len(endpoint.peers), limits.MAX_PEERS_REMEMBERED
    yield "senders with their stamp", len(endpoint._fresh), limits.MAX_STAMPS_REMEMBERED
    yield "bytes of replies kept", endpoint._replies.size_bytes, limits.REPLY_CACHE_BYTES
    yield "addresses metered", len(endpoint._meter._counts), limits.MAX_ADDRESSES_METERED
    yield "requests waiting", endpoint.asked.waiting, limits.MAX_PENDING
    yield "requests given up", len(endpoint.asked._late), limits.MAX_LATE
    yield "addresses that did not answer", len(endpoint.asked._unanswered), limits.MAX_UNANSWERED
    replies = endpoint._replies._per_peer.values()
    yield "replies kept of one peer", max(map(len, replies), default=0), limits.REPLY_CACHE_PER_PEER
    yield from _of_store(dht.store)
    yield "own records", len(peer.own) + len(peer.own._swaps), limits.MAX_OWN_RECORDS
    yield "own records read back", len(peer.own._read_back), limits.MAX_OWN_RECORDS
    yield "lookups", dht.lookups_running, limits.MAX_LOOKUPS
    yield "probes a second", len(dht._probed), limits.PROBES_PER_S
    yield "lost contacts", len(peer.upkeep.healing._lost), limits.LOST_REMEMBERED
    yield "places to join at", len(peer.entrance.places), limits.MAX_SEEDS
    # They are of the two above, and those that are no longer leave at the next question.
    yield "places that have no room", len(peer.upkeep.healing._reached), limits.MAX_SEEDS + limits.LOST_REMEMBERED
    yield "addresses dialled for others", len(peer.reach._dialling), limits.MAX_DIALLED
    yield "computations and operations", len(peer.work._waiting), limits.MAX_WORK
    yield "crashes kept", len(peer.loop.crashed), limits.MAX_CRASHES_KEPT
    yield "commands", len(peer._commands), limits.MAX_COMMANDS
    for bucket in peer.table.buckets():
        # The k nearest of all are kept even if their bucket is full: membership.py.
        yield f"contacts in bucket {bucket.depth}", len(bucket.entries), 2 * K
        yield f"replacements in bucket {bucket.depth}", len(bucket.replacements), limits.REPLACEMENTS
    yield from _of_gossip(peer.gossip)
    yield from _of_streams(peer.streams)
    tasks, streams = len(peer.loop.tasks()), peer.streams.figures()
    # A command is a task and at most two groups of asking ones; upkeep joins through 64 places at once; a stream of
    # others has its handshake or who talks on it, one that is dialled a task an address of the peer.
    contexts = peer.apps._contexts
    for name, ctx in contexts.items():
        yield f"requests that {name} answers", len(ctx.serving), limits.MAX_APP_SERVING
        yield f"peers whom {name} answers", ctx.serving.peers, len(ctx.serving)
    talking = sum(ctx.streams.talking for ctx in contexts.values())
    most_talking = limits.MAX_APP_STREAMS + limits.MAX_APP_PLAIN
    yield "tasks that talk on streams", talking, most_talking * max(1, len(peer._apps))
    # One that opens a stream of gossip and reads it, one that sends on it; one a body that is awaited and one a source.
    fetches = peer.gossip._exchange.fetches
    talking += 2 * len(peer.gossip._lines) + len(fetches) + fetches.running
    talking += sum(len(ctx.serving) for ctx in contexts.values())
    talking += streams["handshakes"] + limits.MAX_DIAL_ADDRESSES * streams["dials"]
    yield "tasks", tasks, 256 + 32 * (len(peer._commands) + len(peer._apps)) + _SPAWNED + talking
    # One a request, a stream, a task that sleeps or has a deadline, a few a lookup; as many again may be dead.
    plain = peer.streams.plains.figures()["open"]
    alive = endpoint.asked.waiting + streams["streams"] + plain + 4 * tasks + 4 * dht.lookups_running + 256
    yield "timers", len(peer.loop._heap), 2 * alive


def _of_store(store: RecordStore) -> Iterator[tuple[str, int, int]]:
    shelf = store._shelf
    yield "records", len(store), limits.MAX_RECORDS
    yield "providers", store.provider_count, limits.MAX_PROVIDERS
    yield "providers of one key", max(shelf._per_key.values(), default=0), limits.MAX_PROVIDERS_PER_KEY
    for what, quota in (("records", store._quota), ("provider records", shelf._quota)):
        authors, groups = quota._authors.values(), quota._groups.values()
        yield f"{what} of one author", max(map(len, authors), default=0), limits.MAX_RECORDS_PER_AUTHOR
        yield f"{what} of one group", max(map(len, groups), default=0), limits.MAX_RECORDS_PER_GROUP
    yield "records that end", len(store._expires), limits.MAX_RECORDS
    # One whose life was extended is in the heap twice, until there are twice as many as are held.
    yield "ends of records", len(store._expiry), 2 * limits.MAX_RECORDS + 64
    yield "ends of provider records", len(shelf._expiry), 2 * limits.MAX_PROVIDERS + 64


def _of_streams(streams: Streams) -> Iterator[tuple[str, int, int]]:
    figures, sessions, handshakes = streams.figures(), streams._sessions, streams._handshakes
    yield "streams", sessions.total, limits.MAX_STREAMS
    yield "streams of others", sessions.incoming, limits.MAX_INCOMING_STREAMS
    yield "streams of one peer", max(sessions._by_peer.values(), default=0), limits.MAX_STREAMS_PER_PEER
    yield "streams of one address", max(sessions._by_place.values(), default=0), limits.MAX_STREAMS_PER_ADDRESS
    yield "streams with a large window", sessions.large, limits.MAX_LARGE_WINDOWS
    yield "handshakes", len(handshakes), limits.MAX_HANDSHAKES
    most = max(map(len, handshakes._by_place.values()), default=0)
    yield "handshakes of one address", most, limits.MAX_HANDSHAKES_PER_ADDRESS
    yield "streams being opened", figures["dials"], limits.MAX_DIALS
    # What is counted must be there: a place that nobody gave back is gone for ever.
    yield "places of streams that are over", sessions.total - len(streams._leases), figures["dials"]
    known = len(streams._taken) + len(streams._opened)
    yield "streams by name", known, sessions.total
    yield from _of_plains(streams.plains)
    pipes = figures["pipes"] - sessions.total - len(handshakes) - streams.plains._places.total
    yield "connections that belong to nothing", pipes, (limits.MAX_DIAL_ADDRESSES - 1) * figures["dials"]
    for stream in streams._leases:
        name = f"of {stream!r}"
        yield f"bytes unread and granted {name}", stream.unread + stream._pipe.granted, limits.STREAM_WINDOW
        yield f"bytes unsent {name}", stream.unsent, _UNSENT
        yield f"messages unread {name}", len(stream._queue), limits.MAX_UNREAD_MESSAGES


def _of_plains(plains: Plains) -> Iterator[tuple[str, int, int]]:
    places, dials = plains._places, plains.figures()["dials"]
    yield "plain streams", places.total, limits.MAX_PLAIN
    yield "plain streams of others", places.incoming, limits.MAX_INCOMING_PLAIN
    yield "plain streams with one address", max(places._by_peer.values(), default=0), limits.MAX_PLAIN_PER_ADDRESS
    yield "plain streams with a large window", places.large, limits.MAX_PLAIN_LARGE_WINDOWS
    yield "plain streams being opened", dials, limits.MAX_PLAIN_DIALS
    yield "places of plain streams that are over", places.total - len(plains._held), dials
    for stream in plains._held:
        name = f"of {stream!r}"
        yield f"bytes unread and granted {name}", stream.unread + stream._pipe.granted, limits.STREAM_WINDOW
        yield f"bytes unsent {name}", stream.unsent, limits.UNSENT_HIGH + limits.MAX_STREAM_MESSAGE


def _of_gossip(gossip: Gossip) -> Iterator[tuple[str, int, int]]:
    state, exchange = gossip.state, gossip._exchange
    yield "topics", len(state.topics), limits.MAX_TOPICS
    yield "messages kept", len(state.kept), limits.MAX_KEPT_MESSAGES
    have = max((len(kept.have) for kept in state.kept.values()), default=0)
    yield "peers who have a message", have, limits.MAX_HAVERS
    yield "messages seen", len(state.memory), limits.MAX_SEEN_MESSAGES
    yield "authors", state.memory.authors, limits.MAX_AUTHORS
    yield "conducts", len(state.conducts), limits.MAX_CONDUCTS
    yield "messages promised", len(state.promised), limits.MAX_WANTED
    yield "messages promised by one peer", state.promised.largest_share, limits.MAX_OPEN_PROMISES
    yield "receivers without token", len(exchange._greetings), limits.MAX_GREETINGS
    waiting = max(map(len, exchange._greetings.values()), default=0)
    yield "messages that wait for a token", waiting, limits.MAX_WAITING_MESSAGES
    lines, fetches = gossip._lines, exchange.fetches
    yield "bytes of bodies kept", state.bodies.size, limits.MAX_KEPT_BODY_BYTES
    yield "bytes of bodies kept of one author", state.bodies.largest_share, limits.MAX_KEPT_BODY_BYTES_PER_AUTHOR
    held = state.bodies._held.values()
    yield "peers who were given a body", max((len(one.given) for one in held), default=0), limits.MAX_HAVERS
    count, size = fetches.sizes()
    yield "bodies awaited", count, limits.MAX_AWAITED
    yield "bytes of bodies awaited", size, limits.MAX_AWAITED_BYTES
    known = fetches._fetches.values()
    waiting_of = Counter(one.publication.author for fetch in known for one in fetch.messages.values()).values()
    yield "bodies awaited of one author", max(waiting_of, default=0), limits.MAX_AWAITED_PER_AUTHOR
    yield "sources of a body", max((len(fetch.sources) for fetch in known), default=0), limits.MAX_BODY_SOURCES
    running = max((len(fetch.running) for fetch in known), default=0)
    yield "sources that bring a body", running, limits.MAX_BODY_RUNNING
    yield "streams of gossip", len(lines), limits.MAX_BODY_STREAMS
    yield "streams of gossip being opened", len(lines._dialling), limits.MAX_BODY_DIALS
    for line in (line for of_one in lines._lines.values() for line in of_one):
        yield f"bodies asked for by {line.stream!r}", len(line.queue), limits.MAX_BODY_ASKS
        yield f"bodies asked for of {line.stream!r}", len(line.asked), limits.MAX_BODY_ASKS
    subscriptions = sum(len(topic.subscriptions) for topic in state.topics.values())
    yield "subscriptions", subscriptions, limits.MAX_SUBSCRIPTIONS
    readers = [one for topic in state.topics.values() for one in topic.subscriptions]
    # One that is longer than all of them still has its place.
    waiting = max((one.waiting for one in readers), default=0)
    yield "bytes that wait for a reader", waiting, limits.MAX_SUBSCRIPTION_BYTES + limits.MAX_LARGE_BODY
    for topic in state.topics.values():
        mesh, roster, name = topic.mesh, topic.roster, topic.name
        yield f"members of {name}", len(mesh), limits.MESH_HIGH
        yield f"clients in the mesh of {name}", mesh.clients, limits.MESH_CLIENTS
        yield f"asked to take us in of {name}", len(mesh.asked), limits.MESH_HIGH + 2
        yield f"told to stay away from {name}", len(mesh._backoff), limits.MAX_CONDUCTS
        yield f"subscribers known of {name}", len(roster.known), limits.MAX_KNOWN_SUBSCRIBERS
        yield f"subscribers claimed of {name}", len(roster.claimed), limits.MAX_KNOWN_SUBSCRIBERS
        yield f"subscribers lost of {name}", len(roster.lost), limits.MAX_LOST_SUBSCRIBERS
        yield f"subscribers back in {name}", len(topic.back), limits.MAX_LOST_SUBSCRIBERS
        yield f"times of subscribers lost of {name}", len(topic.silent_since), limits.MAX_LOST_SUBSCRIBERS + 1
        yield f"who left {name}", len(roster.left), limits.MAX_KNOWN_SUBSCRIBERS
        yield f"receivers beside the mesh of {name}", len(topic.fanout), limits.MESH
        yield f"helpers of {name}", len(topic.rescued_by), limits.MAX_KNOWN_SUBSCRIBERS
        yield f"recent messages of {name}", len(topic.recent), limits.MAX_KEPT_MESSAGES
        yield f"offers under way in {name}", len(topic.asking), _ASKING
