"""An overlay application: all that it sees is its `AppContext`.

The same class runs in a node and in a simulated swarm, so it may use neither clock nor socket
nor thread: time, chance, storage and tasks come from the context.

    class Echo(App):
        name = "echo"

        async def run(self, ctx: AppContext) -> None:
            async def echo(caller: bytes, body: bytes) -> bytes:
                return body
            ctx.serve(echo)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar

import attrs

from overlay.dht.get import Got, get
from overlay.dht.own import OwnRecords
from overlay.dht.providers import Provider, providers
from overlay.dht.publish import Published, publish_blob, publish_provider, publish_signed
from overlay.dht.put import Profile
from overlay.dht.state import DhtState
from overlay.errors import LocalError, Refused, TimedOut
from overlay.events import AppEvent
from overlay.limits import MAX_APP_BODY, MAX_APP_NAME, MAX_APP_SERVING, MAX_APPS
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.chance import Rng
from overlay.runtime.group import Group
from overlay.runtime.ports import Now
from overlay.wire.messages import AppReply, AppRequest, AppStatus
from overlay.wire.registry import Kind

#: (public key of the caller, body) -> body of the answer; raise Refused to say no.
Handler = Callable[[bytes, bytes], Awaitable[bytes]]


class App:
    """Subclass it, give it a name, write `run`. It ends when the peer does, or when `run` returns."""

    name: ClassVar[str] = ""

    async def run(self, ctx: AppContext) -> None:
        raise LocalError(f"{type(self).__name__} has no run(ctx)")


def check_apps(apps: Sequence[App]) -> None:
    """Raises LocalError unless there are at most MAX_APPS and each has a name of its own: requests carry it."""
    if len(apps) > MAX_APPS:
        raise LocalError(f"{len(apps)} applications: a peer runs at most {MAX_APPS}")
    names: dict[str, App] = {}
    for app in apps:
        what = f"application {type(app).__module__}:{type(app).__qualname__}"
        name: object = app.name  # its author may not check types
        if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.encode()) <= MAX_APP_NAME:
            raise LocalError(f"{what} needs a name of 1 to {MAX_APP_NAME} printable bytes, not {name!r}")
        if name in names:
            raise LocalError(f"{what} has the name of another one here: {name!r}")
        names[name] = app


@attrs.define(slots=True, eq=False)
class AppContext:
    """What a peer gives to one application."""

    name: str
    dht: DhtState
    own: OwnRecords
    rng: Rng
    tasks: Group
    #: By node id: where a peer can be asked. Supplied by the peer.
    locate: Callable[[bytes], Awaitable[Contact]]
    handler: Handler | None = None

    @property
    def now(self) -> Now:
        return self.dht.loop.now

    @property
    def id(self) -> bytes:
        """NodeId of this peer, 32 bytes."""
        return self.dht.own_id

    def serve(self, handler: Handler) -> None:
        """Answer requests of other peers' copies of this application.

        What the handler raises is answered with "failed" and reported; the application lives on.
        """
        self.handler = handler

    async def call(self, node_id: bytes, body: bytes) -> bytes:
        """Ask the same application at another peer; bodies up to MAX_APP_BODY bytes.

        Raises TimedOut, NotFound (nobody knows that id), Refused, LocalError (body too long).
        """
        if len(body) > MAX_APP_BODY:
            raise LocalError(f"the body has {len(body)} bytes, at most {MAX_APP_BODY} fit into a datagram")
        contact = await self.locate(node_id)
        _, reply = await self.dht.endpoint.call(contact, AppRequest(app=self.name, body=body))
        if not isinstance(reply, AppReply):
            raise TimedOut("the peer answered something else")
        if reply.status is AppStatus.OK:
            return reply.body
        raise Refused(f"{self.name} at the other peer: {reply.status.name.lower().replace('_', ' ')}")

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

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str = "") -> None:
        """Run beside; ends with the application. A failure ends the application."""
        self.tasks.spawn(coro, name=f"{self.name}: {name}")

    async def sleep(self, ns: int) -> None:
        await self.dht.loop.sleep(ns)

    def emit(self, event: str, **fields: object) -> None:
        """Tell whoever watches this peer."""
        self.dht.report(AppEvent(self.name, event, tuple(fields.items())))


@attrs.define(slots=True, eq=False)
class Apps:
    """The applications of one peer."""

    dht: DhtState
    own: OwnRecords
    rng: Rng
    locate: Callable[[bytes], Awaitable[Contact]]
    _contexts: dict[str, AppContext] = attrs.Factory(dict)
    _serving: int = 0

    def __attrs_post_init__(self) -> None:
        self.dht.endpoint.serve(Kind.APP_REQUEST, self._on_request)

    async def run(self, app: App) -> None:
        """Until it ends. What goes wrong inside ends it alone and is reported, the peer lives on."""
        name = app.name
        try:
            async with self.dht.loop.group(name=name) as group:
                ctx = AppContext(name, self.dht, self.own, Rng(self.rng.u64()), group, self.locate)
                self._contexts[name] = ctx
                await app.run(ctx)
                if ctx.handler is not None:
                    await self.dht.loop.future()  # it serves until the peer ends
        except* Exception as failure:
            reasons = "; ".join(f"{type(e).__name__}: {e}" for e in failure.exceptions)
            self.dht.report(AppEvent(name, "failed", (("error", reasons),)))
        finally:
            self._contexts.pop(name, None)

    def _on_request(self, inbound: Inbound) -> None:
        message = inbound.message
        assert isinstance(message, AppRequest)
        ctx = self._contexts.get(message.app)
        if ctx is None or ctx.handler is None:
            return self.dht.endpoint.reply(inbound, AppReply(status=AppStatus.NO_SUCH_APP, body=b""))
        if self._serving >= MAX_APP_SERVING:
            return self.dht.endpoint.reply(inbound, AppReply(status=AppStatus.REFUSED, body=b""))
        self._serving += 1
        ctx.tasks.spawn(self._serve(ctx.handler, inbound, message.body), name=f"{ctx.name}: request")
        return None

    async def _serve(self, handler: Handler, inbound: Inbound, body: bytes) -> None:
        status, answer = AppStatus.OK, b""
        try:
            answer = await handler(inbound.contact.key, body)
            if len(answer) > MAX_APP_BODY:
                raise LocalError(f"the answer has {len(answer)} bytes, at most {MAX_APP_BODY} fit into a datagram")
        except Refused:
            status, answer = AppStatus.REFUSED, b""
        except Exception as error:  # whatever a stranger's body brings about must not end the application
            status, answer = AppStatus.FAILED, b""
            reason = f"{type(error).__name__}: {error}"
            self.dht.report(AppEvent(inbound.message.app, "request failed", (("error", reason),)))  # type: ignore[union-attr]
        finally:
            self._serving -= 1
        self.dht.endpoint.reply(inbound, AppReply(status=status, body=answer))
