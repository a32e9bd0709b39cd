"""Runs the applications of one peer, hands them their requests and commands, and survives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from overlay.app import App, AppContext, CommandHandler
from overlay.app_busy import Busy
from overlay.app_failures import WRONG, text_of, told_of
from overlay.app_messages import body_of, read_body
from overlay.app_storage import AppStorage
from overlay.app_streams import AppStreams
from overlay.dht.own import OwnRecords
from overlay.dht.state import DhtState
from overlay.errors import LocalError, NotFound, OverlayError, Refused
from overlay.events import AppEvent
from overlay.gossip.service import Gossip
from overlay.limits import MAX_ANSWER_DEPTH, MAX_APP_SERVING, MAX_APP_SERVING_PER_PEER
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.chance import Rng
from overlay.services import Services
from overlay.streams import Streams
from overlay.wire.messages import AppReply, AppRequest, AppStatus
from overlay.wire.registry import Kind
from overlay.work import Work


@attrs.define(slots=True, eq=False)
class Apps:
    """The applications of one peer."""

    dht: DhtState
    own: OwnRecords
    rng: Rng
    locate: Callable[[bytes], Awaitable[Contact]]
    gossip: Gossip
    work: Work
    streams: Streams
    _contexts: dict[str, AppContext] = attrs.Factory(dict)
    _services: dict[str, tuple[str, Any]] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self.dht.endpoint.serve(Kind.APP_REQUEST, self._on_request)

    async def run(self, app: App) -> None:
        """Until it ends. What goes wrong inside ends it alone and is reported, the peer lives on."""
        name = app.name
        services = Services(name, self._services)
        try:
            async with self.dht.loop.group(name=name) as group:
                ctx = AppContext(
                    app=app, dht=self.dht, own=self.own, rng=Rng(self.rng.u64()), tasks=group, locate=self.locate,
                    gossip=self.gossip, work=self.work, storage=AppStorage.of(self.dht.journal, name),
                    services=services, streams=AppStreams.of(self.streams, name, group, self.dht.report),
                    serving=Busy(MAX_APP_SERVING, MAX_APP_SERVING_PER_PEER),
                )  # fmt: skip
                self._contexts[name] = ctx
                await app.run(ctx)
                if ctx.handler is not None or ctx.commands or ctx.streams.serving:
                    await self.dht.loop.future()  # it serves until the peer ends
        except* WRONG as failure:
            self.dht.report(AppEvent(name, "failed", told_of(failure)))
        finally:
            if name in self._contexts:
                ctx = self._contexts.pop(name)
                ctx.streams.end()
                for subscription in ctx.subscriptions:
                    subscription.close()
            services.withdraw_all()

    # --- commands ---------------------------------------------------------------------------

    def listed(self) -> list[dict[str, Any]]:
        """What runs: [{"name", "commands": [name], "stored": bytes}]."""
        return [
            {"name": name, "commands": sorted(ctx.commands), "stored": ctx.storage.used}
            for name, ctx in self._contexts.items()
        ]

    async def command(self, app: str, name: str, args: dict[str, Any]) -> Any:
        """What its handler returns. NotFound, or what the handler raised; LocalError if it raised no OverlayError."""
        ctx = self._contexts.get(app)
        if ctx is None:
            raise NotFound(f"no application {app!r} runs here (there are: {_names(self._contexts)})")
        handler = ctx.commands.get(name)
        if handler is None:
            raise NotFound(f"application {app!r} has no command {name!r} (there are: {_names(ctx.commands)})")
        task = ctx.tasks.spawn(self._obey(ctx, name, handler, args), name=f"{app}: command {name}")
        try:
            outcome = await task
        finally:
            task.cancel()
        if isinstance(outcome, OverlayError):
            raise outcome
        return outcome

    async def _obey(self, ctx: AppContext, name: str, handler: CommandHandler, args: dict[str, Any]) -> Any:
        """The value, or the error: one that is raised in the group of an application ends it."""
        try:
            value = await handler(args)
            if not _is_plain(value):
                raise TypeError(f"it returned {type(value).__name__}, not dicts, lists, texts, numbers and bytes")
            return value
        except OverlayError as error:
            return error
        except WRONG as error:
            self.dht.report(AppEvent(ctx.name, "command failed", (("command", name), *told_of(error))))
            return LocalError(f"command {name} of {ctx.name} failed: {text_of(error)}")

    # --- requests ---------------------------------------------------------------------------

    def _on_request(self, inbound: Inbound) -> None:
        message = inbound.message
        assert isinstance(message, AppRequest)
        ctx = self._contexts.get(message.app)
        if ctx is None or ctx.handler is None:
            return self.dht.endpoint.reply(inbound, AppReply(status=AppStatus.NO_SUCH_APP, body=b""))
        if not ctx.serving.begin(inbound.contact.key):
            return self.dht.endpoint.reply(inbound, AppReply(status=AppStatus.REFUSED, body=b""))
        ctx.tasks.spawn(self._serve(ctx, inbound, message.body), name=f"{ctx.name}: request")
        return None

    async def _serve(self, ctx: AppContext, inbound: Inbound, body: bytes) -> None:
        status, answer = AppStatus.OK, b""
        try:
            assert ctx.handler is not None
            answer = body_of(await ctx.handler(inbound.contact.id, read_body(body, ctx.handled)))
        except Refused:
            status = AppStatus.REFUSED
        except WRONG as error:  # whatever a stranger's body brings about must not end the application
            status = AppStatus.FAILED
            self.dht.report(AppEvent(ctx.name, "request failed", told_of(error)))
        finally:
            ctx.serving.end(inbound.contact.key)
        self.dht.endpoint.reply(inbound, AppReply(status=status, body=answer))


def _names(known: dict[str, Any]) -> str:
    return ", ".join(sorted(known)) or "none"


def _is_plain(value: Any, *, depth: int = 0) -> bool:
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return True
        case list() | tuple() if depth < MAX_ANSWER_DEPTH:
            return all(_is_plain(item, depth=depth + 1) for item in value)
        case dict() if depth < MAX_ANSWER_DEPTH:
            return all(isinstance(key, str) and _is_plain(item, depth=depth + 1) for key, item in value.items())
    return False
