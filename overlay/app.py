"""An overlay application: all that it sees is its `AppContext`.

The same class runs in a node and in a simulated swarm, so it may use neither clock nor socket
nor thread: time, chance, storage and tasks come from the context.

    @message("chat/1", 1)
    class Say:
        text: str

    class Chat(App):
        name = "chat"

        async def run(self, ctx: AppContext) -> None:
            async for author, said in ctx.subscribe("chat", Say):
                ctx.emit("said", author=author, text=said.text)

How it ends: when `run` returns (if nothing is served and no command declared, else with the peer), when the peer does,
or when `run` or a task that it spawned raises: then all of the application is cancelled, "failed" is reported, with
the line, and the peer and the other applications live on. What a handler of requests or of a command raises is answered
and reported, and ends nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, overload

import attrs

from overlay.app_busy import Busy
from overlay.app_messages import Messages, body_of, bytes_of
from overlay.app_names import CORE, is_name
from overlay.app_storage import AppStorage
from overlay.app_streams import AppStreams, PlainHandler, StreamHandler
from overlay.dht.get import Got, get
from overlay.dht.own import OwnRecords
from overlay.dht.providers import Provider, contact_of, many_providers, provide, providers
from overlay.dht.publish import Published, publish_blob, publish_provider, publish_signed
from overlay.dht.put import Profile
from overlay.dht.state import DhtState, may_pass
from overlay.errors import LimitError, LocalError, OverlayError, Refused, TimedOut
from overlay.events import AppEvent
from overlay.gossip.service import Gossip, Subscription
from overlay.identity.domain import DomainSigner
from overlay.limits import MAX_APP_COMMANDS, MAX_APP_NAME, MAX_APPS
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.group import Group
from overlay.runtime.ports import Now
from overlay.services import Services
from overlay.streams import Plain, Stream
from overlay.typed import decode_message
from overlay.wire.messages import AppReply, AppRequest, AppStatus
from overlay.work import Work

M = TypeVar("M")

#: (NodeId of the caller, bytes or message) -> bytes or message to answer; raise Refused to say no.
Handler = Callable[[bytes, Any], Awaitable[Any]]
#: (arguments) -> a value of dicts, lists, texts, numbers, bytes.
CommandHandler = Callable[[dict[str, Any]], Awaitable[Any]]


class App:
    """Subclass it, give it a name, write `run`. It ends when the peer does, or when `run` returns."""

    name: ClassVar[str] = ""
    #: Pure functions for `ctx.compute`, by name: called in a thread with what was given, which must not change.
    functions: Mapping[str, Callable[..., Any]] = {}
    #: What `ctx.operate` may do, by name. A shell gives them to its application: a core touches no disk.
    operations: Mapping[str, Callable[..., Any]] = {}

    async def run(self, ctx: AppContext) -> None:
        raise LocalError(f"{type(self).__name__} has no run(ctx)")


def check_apps(apps: Sequence[App]) -> None:
    """Raises LocalError unless there are at most MAX_APPS and each has a name of its own: requests carry it."""
    if len(apps) > MAX_APPS:
        raise LocalError(f"{len(apps)} applications: a peer runs at most {MAX_APPS}")
    names: dict[str, App] = {}
    for app in apps:
        what = f"application {type(app).__module__}:{type(app).__qualname__}"
        if not is_name(app.name):  # its author may not check types
            raise LocalError(f"{what} needs a name of 1 to {MAX_APP_NAME} printable bytes without /, not {app.name!r}")
        if app.name == CORE:
            raise LocalError(f"{what} needs another name than {CORE!r}, which has streams of its own in every peer")
        if app.name in names:
            raise LocalError(f"{what} has the name of another one here: {app.name!r}")
        names[app.name] = app


def work_of(apps: Sequence[App]) -> tuple[dict[str, Callable[..., Any]], dict[str, Callable[..., Any]]]:
    """(functions, operations) of these applications as a shell must know them: by `application.name`."""
    functions = {f"{app.name}.{name}": call for app in apps for name, call in app.functions.items()}
    return functions, {f"{app.name}.{name}": call for app in apps for name, call in app.operations.items()}


@attrs.define(slots=True, eq=False, kw_only=True)
class AppContext:
    """What a peer gives to one application."""

    app: App
    dht: DhtState
    own: OwnRecords
    rng: Rng
    tasks: Group
    #: By node id: where a peer can be asked. Supplied by the peer.
    locate: Callable[[bytes], Awaitable[Contact]]
    gossip: Gossip
    work: Work
    #: Keys and values of its own that outlive the process.
    storage: AppStorage
    #: What the other applications of this peer provide.
    services: Services
    #: Behind `connect`, `accept` and those of plain streams.
    streams: AppStreams
    #: Requests of others that it is answering.
    serving: Busy
    handler: Handler | None = None
    #: Types that the handler takes; none: bytes.
    handled: tuple[type, ...] = ()
    commands: dict[str, CommandHandler] = attrs.Factory(dict)
    subscriptions: list[Subscription] = attrs.Factory(list)

    @property
    def name(self) -> str:
        return self.app.name

    @property
    def now(self) -> Now:
        return self.dht.loop.now

    @property
    def id(self) -> bytes:
        """NodeId of this peer, 32 bytes."""
        return self.dht.own_id

    def signer(self, domain: bytes) -> DomainSigner:
        """Signs with the key of this peer what begins with `domain`, and nothing else: b"p2pnode/tx/1\\0".

        LocalError if it is no domain (overlay.identity.domain): records and datagrams are signed elsewhere."""
        return DomainSigner(self.dht.endpoint.signer, domain)

    # --- other peers ------------------------------------------------------------------------

    def serve(self, handler: Handler, *types: type) -> None:
        """Answer requests of other peers' copies of this application; with types, the handler gets messages.

        A request that is none of these types is answered with "refused", as is one of a peer with so many others under
        way (limits.MAX_APP_SERVING_PER_PEER). What the handler raises is answered with "failed" and reported; the
        application lives on.
        """
        self.handler, self.handled = handler, types

    @overload
    async def call(self, peer: bytes | Contact, body: object) -> bytes: ...
    @overload
    async def call(self, peer: bytes | Contact, body: object, *answers: type[M]) -> M: ...
    async def call(self, peer: bytes | Contact, body: object, *answers: type[Any]) -> Any:
        """Ask the same application at another peer: bytes or a message, at most MAX_APP_BODY bytes.

        The peer is looked up by its id, or asked where `some_providers` says that it is.

        The answer is bytes, or a message of one of the types in `answers`. Raises TimedOut, NotFound (nobody knows
        that id), Refused, BadMessage (the answer is none of these), LocalError (body too long).
        """
        data = body_of(body)
        contact = peer if isinstance(peer, Contact) else await self.locate(peer)
        _, reply = await self.dht.endpoint.call(contact, AppRequest(app=self.name, body=data))
        if not isinstance(reply, AppReply):
            raise TimedOut("the peer answered something else")
        if reply.status is not AppStatus.OK:
            raise Refused(f"{self.name} at the other peer: {reply.status.name.lower().replace('_', ' ')}")
        return decode_message(reply.body, *answers) if answers else reply.body

    async def connect(self, node_id: bytes, *, protocol: str = "1", hints: Sequence[Address] = ()) -> Stream:
        """A sealed stream of messages to the same application at another peer, which must `accept` this protocol.

        One per peer and protocol; it ends with the application. Every address is tried at which the peer has answered
        lately, and an error says what was wrong with each. `hints`: where somebody says that it is, tried first if it
        never answered us; the stream proves who is there. Raises NotFound (nobody knows that id), Refused,
        TimedOut, RemoteError, LimitError (there is one already, or a bound of this peer).
        """
        if hints and not self.dht.endpoint.peers.addresses_of(node_id):
            with contextlib.suppress(OverlayError):
                return await self.streams.connect(node_id, hints, protocol)
        contact = await self.locate(node_id)
        addresses = [contact.address, *self.dht.endpoint.peers.addresses_of(node_id), *hints]
        return await self.streams.connect(node_id, addresses, protocol)

    def accept(self, handler: StreamHandler, *, protocol: str = "1") -> None:
        """Have `handler(stream)` talk on each stream that another peer's copy of this application opens.

        It runs in a task of the application; when it returns the stream is closed. If it raises Refused the other side
        is told; anything else is reported and ends that stream alone.
        """
        self.streams.accept(handler, protocol)

    def talk(self, handler: StreamHandler, stream: Stream) -> None:
        """Have `handler(stream)` talk on a stream that this side opened, beside, as `accept` does on those of others:
        whatever goes wrong ends that stream alone, and is reported."""
        self.streams.talk(handler, stream)

    async def connect_plain(self, address: Address, *, named_by: Address | None = None) -> Plain:
        """A stream of bytes to whoever listens at `address`, neither sealed nor known: for protocols of others.

        It ends with the application. `named_by`: the stranger who said that somebody is there; None, if it was said
        from there, or by the user. Raises Refused, TimedOut, RemoteError, LimitError (a bound of this peer),
        LocalError for a port below MIN_FOREIGN_PORT, an address that is none, or one that `named_by` cannot know:
        nobody on the internet says what is on this machine or its LAN.
        """
        if named_by is not None and not may_pass(address, named_by):
            raise LocalError(f"{named_by} cannot know who is at {address}")
        return await self.streams.connect_plain(address)

    def accept_plain(self, first: bytes, handler: PlainHandler) -> None:
        """Have `handler(stream)` talk on each connection that others open and whose first byte is `first`.

        As for `accept`; who it is, nobody has proved, and the other side is not told why a stream ends. An application
        offers none on a private network: who has no key is to find nothing there.
        """
        self.streams.accept_plain(first, handler)

    def talk_plain(self, handler: PlainHandler, stream: Plain) -> None:
        """As `talk`."""
        self.streams.talk_plain(handler, stream)

    @overload
    def subscribe(self, topic: str) -> Subscription: ...
    @overload
    def subscribe(self, topic: str, *types: type[M]) -> Messages[M]: ...
    def subscribe(self, topic: str, *types: type[Any]) -> Any:
        """Iterate over it: every message of the topic from now on, once each, those of this peer too. With types it
        gives (NodeId of the author, message), without `Delivered` with the bytes. It ends with the application.
        """
        subscription = self.gossip.subscribe(topic)
        self.subscriptions = [*(one for one in self.subscriptions if not one.closed), subscription]
        return Messages(subscription, types) if types else subscription

    async def publish(self, topic: str, body: object) -> int:
        """Tell all subscribers of a topic, bytes or a message; how many peers it was sent to at once.

        A body above MAX_PUBLISH_BODY goes by stream, up to MAX_LARGE_BODY. Raises LocalError if it is too long,
        LimitError for more messages, or bytes, than others would take of one author.
        """
        return await self.gossip.publish(topic, bytes_of(body))

    # --- records ----------------------------------------------------------------------------

    async def put(
        self, value: bytes, *, name: str | None = None, ttl_s: int | None = None, profile: Profile = Profile.SECURE
    ) -> Published:
        """A blob, or with a name a signed record of this peer."""
        if name is None:
            return await publish_blob(self.dht, self.own, value, ttl_s=ttl_s, profile=profile)
        salt = name.encode()
        return await publish_signed(self.dht, self.own, salt, value, ttl_s=ttl_s, profile=profile, cas=None)

    async def get(self, key: bytes) -> Got:
        """Raises NotFound."""
        return await get(self.dht, key)

    async def provide(self, key: bytes) -> Published:
        return await publish_provider(self.dht, self.own, key, ttl_s=None)

    async def providers(self, key: bytes) -> list[Provider]:
        return (await providers(self.dht, key))[0]

    async def announce(self, key: bytes, *, ttl_s: int) -> int:
        """Be found as provider of a key for so long; how many peers hold that. It is not kept here: say it again in
        time, or be forgotten."""
        wall_ms = self.now.wall_ms
        confirmed, _ = await provide(self.dht, key, seq=wall_ms, expires_ms=wall_ms + ttl_s * 1000)
        return confirmed

    async def some_providers(self, key: bytes, *, most: int, within_ns: int) -> list[Contact]:
        """Where to ask about so many providers of a key, others for every asker if there are more; not this peer.
        Those that are found in time."""
        providers = await many_providers(self.dht, key, most, within_ns=within_ns)
        found = [contact_of(self.dht, provider) for provider in providers]
        return [contact for contact in found if contact is not None and contact.id != self.id]

    # --- this peer --------------------------------------------------------------------------

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str = "") -> None:
        """Run beside; ends with the application. A failure ends the application."""
        self.tasks.spawn(coro, name=f"{self.name}: {name}")

    async def sleep(self, ns: int) -> None:
        """For so many nanoseconds of this peer's time: `ctx.sleep(5 * SECOND)`, with overlay.runtime.ports.SECOND."""
        if type(ns) is not int:
            raise TypeError(f"ctx.sleep takes a whole number of nanoseconds, not {ns!r}: 5 * SECOND is five seconds")
        await self.dht.loop.sleep(ns)

    async def compute(self, function: str, *args: Any) -> Any:
        """The value of one of `App.functions`, computed without holding up the peer. LocalError if it raises."""
        if function not in self.app.functions:
            raise LocalError(f"application {self.name} declares no function {function!r} (App.functions)")
        return await self.work.compute(f"{self.name}.{function}", args)

    async def operate(self, operation: str, *args: Any) -> Any:
        """The result of one of `App.operations`. LocalError if it raises."""
        if operation not in self.app.operations:
            raise LocalError(f"application {self.name} was given no operation {operation!r} (App.operations)")
        return await self.work.operate(f"{self.name}.{operation}", args)

    def command(self, name: str, handler: CommandHandler) -> None:
        """Let people, programs and workloads of a swarm ask for this: `p2pnode app ask NAME COMMAND KEY=VALUE ...`.

        The handler gets the arguments as a dict and returns what JSON can say. What it raises fails the command, and
        is reported if it is no OverlayError; the application lives on.
        """
        if not is_name(name):
            raise LocalError(f"a command has a name of 1 to {MAX_APP_NAME} printable bytes without /, not {name!r}")
        if name not in self.commands and len(self.commands) >= MAX_APP_COMMANDS:
            raise LimitError(f"an application has at most {MAX_APP_COMMANDS} commands")
        self.commands[name] = handler

    def emit(self, event: str, **fields: object) -> None:
        """Tell whoever watches this peer."""
        self.dht.report(AppEvent(self.name, event, tuple(fields.items())))
