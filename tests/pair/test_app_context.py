"""What an application can do with its context, and how it ends when something in it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from overlay import App, AppContext, message
from overlay.errors import BadMessage, LimitError, LocalError, OverlayError, Refused
from overlay.events import AppEvent
from overlay.identity.node_id import node_id_of
from overlay.limits import MAX_APP_BODY, MAX_APP_COMMANDS, MAX_APP_KEY, MAX_APP_VALUE, MAX_LARGE_BODY, MAX_WORK
from overlay.runtime.ports import SECOND, Compute, Failed, Ok, Operate
from tests.support.pair import Pair, make_peer, pair

Body = Callable[[AppContext], Awaitable[None]]


@message("say/1", 1)
class Say:
    text: str


@message("heard/1", 1)
class Heard:
    length: int


@attrs.define(eq=False)
class Does(App):
    """Does what the test gives it, and keeps its context for the test to look at."""

    body: Body
    ctx: AppContext | None = None
    name = "does"
    functions = {"double": lambda n: 2 * n}  # noqa: RUF012
    operations = {"read": lambda name: name.encode()}  # noqa: RUF012

    async def run(self, ctx: AppContext) -> None:
        self.ctx = ctx
        await self.body(ctx)


async def nothing(ctx: AppContext) -> None:
    pass


async def forever(ctx: AppContext) -> None:
    await ctx.sleep(10**6 * SECOND)


def events(link: Pair, side: str = "a") -> list[tuple[str, dict[str, object]]]:
    """What the applications of a side emitted."""
    return [(event.name, dict(event.fields)) for at, event in link.events if isinstance(event, AppEvent) and at == side]


def met(a: Body, b: Body = nothing) -> Pair:
    """Both run an application each; they know each other a second after the start."""
    link = pair(apps_a=[Does(a)], apps_b=[Does(b)]).met()
    link.settle(seconds=8)
    return link


def ctx_of(link: Pair, side: str = "a") -> AppContext:
    (app,) = link.peer(side)._apps  # type: ignore[attr-defined]
    assert app.ctx is not None
    return app.ctx  # type: ignore[no-any-return]


B_ID = node_id_of(make_peer(2).endpoint.signer.key)


# --- messages ---


def asking(*asked: object, answers: tuple[type, ...] = ()) -> tuple[Body, list[Any]]:
    """An application that asks b these, and what came of it."""
    got: list[Any] = []

    async def body(ctx: AppContext) -> None:
        await ctx.sleep(3 * SECOND)
        for one in asked:
            try:
                got.append(await ctx.call(B_ID, one, *answers))
            except OverlayError as error:
                got.append(error)

    return body, got


async def serves_say(ctx: AppContext) -> None:
    async def handler(caller: bytes, said: Say) -> Heard:
        ctx.emit("asked", by=caller, text=said.text)
        return Heard(len(said.text))

    ctx.serve(handler, Say)


def test_messages_are_asked_and_answered() -> None:
    body, got = asking(Say("hello"), answers=(Heard,))
    link = met(body, serves_say)
    assert got == [Heard(5)]
    assert events(link, "b") == [("asked", {"by": ctx_of(link).id, "text": "hello"})]


def test_an_answer_of_another_type_is_a_bad_message() -> None:
    body, got = asking(Say("hello"), answers=(Say,))
    met(body, serves_say)
    assert isinstance(got[0], BadMessage)


def test_a_request_that_is_no_message_is_refused() -> None:
    body, got = asking(b"junk", Heard(1))
    link = met(body, serves_say)
    assert [type(one) for one in got] == [Refused, Refused]
    assert events(link, "b") == []


def test_a_message_that_does_not_fit_is_not_sent() -> None:
    body, got = asking(Say("x" * MAX_APP_BODY), 3)
    met(body, serves_say)
    assert "the message has 912 bytes, at most 900 fit" in str(got[0])
    assert "int is no message" in str(got[1])


def test_who_announces_a_key_is_found_asked_there_and_forgotten_in_time() -> None:
    heard: list[Any] = []

    async def announces(ctx: AppContext) -> None:
        await serves_say(ctx)
        await ctx.sleep(3 * SECOND)
        assert await ctx.announce(bytes(32), ttl_s=60) == 1

    async def looks(ctx: AppContext) -> None:
        await ctx.sleep(5 * SECOND)
        for _ in range(2):
            contacts = await ctx.some_providers(bytes(32), most=5, within_ns=2 * SECOND)
            heard.append([await ctx.call(contact, Say("hello"), Heard) for contact in contacts])
            await ctx.sleep(60 * SECOND)

    link = met(looks, announces)
    link.settle(seconds=65)
    assert heard == [[Heard(5)], []]
    assert link.command("b", "own") == []  # it is not published again by itself


# --- topics ---


async def listens(ctx: AppContext) -> None:
    async for author, said in ctx.subscribe("chat", Say):
        ctx.emit("said", author=author, text=said.text)


def test_what_is_published_reaches_the_other_applications() -> None:
    async def says(ctx: AppContext) -> None:
        await ctx.sleep(5 * SECOND)
        await ctx.publish("chat", b"not a message")
        await ctx.publish("chat", Heard(1))
        await ctx.publish("chat", Say("hello"))

    link = met(says, listens)
    assert events(link, "b") == [("said", {"author": ctx_of(link).id, "text": "hello"})]


def test_without_types_a_topic_gives_bytes() -> None:
    async def hears(ctx: AppContext) -> None:
        async for delivered in ctx.subscribe("raw"):
            ctx.emit("got", author=delivered.author_id, body=delivered.body)

    link = pair(apps_a=[Does(hears)])
    link.command("a", "publish", {"topic": "raw", "body": b"\x00"})
    assert events(link) == [("got", {"author": ctx_of(link).id, "body": b"\x00"})]


def test_a_body_that_does_not_fit_is_not_published() -> None:
    async def says(ctx: AppContext) -> None:
        with pytest.raises(LocalError, match="at most 1048576"):
            await ctx.publish("chat", bytes(MAX_LARGE_BODY + 1))
        ctx.emit("told")

    assert events(pair(apps_a=[Does(says)])) == [("told", {})]


def test_a_long_message_is_published_and_heard() -> None:
    said = Say("x" * (MAX_LARGE_BODY - 20))

    async def says(ctx: AppContext) -> None:
        messages = ctx.subscribe("chat", Say)
        await ctx.publish("chat", said)
        async for author, heard in messages:
            ctx.emit("heard", author=author, same=heard == said)

    link = pair(apps_a=[Does(says)])
    assert events(link) == [("heard", {"author": ctx_of(link).id, "same": True})]


@attrs.define(eq=False)
class Gossip(Does):
    name = "gossip"


def test_no_application_takes_the_streams_of_the_peer_itself() -> None:
    with pytest.raises(LocalError, match="another name than 'gossip'"):
        pair(apps_a=[Gossip(nothing)])


def test_subscriptions_end_with_the_application() -> None:
    async def listens_a_little(ctx: AppContext) -> None:
        ctx.subscribe("chat", Say)
        await ctx.sleep(3 * SECOND)

    link = pair(apps_a=[Does(listens_a_little)])
    assert link.command("a", "topics")[0]["subscribed"] is True
    link.settle(seconds=4)
    assert not any(topic["subscribed"] for topic in link.command("a", "topics"))


# --- compute and operate ---


async def computes(ctx: AppContext) -> None:
    try:
        ctx.emit("done", value=await ctx.compute("double", 21))
    except LocalError as error:
        ctx.emit("not done", error=str(error))


def test_a_function_is_computed_by_the_shell() -> None:
    link = pair(apps_a=[Does(computes)])
    [(_, effect)] = link.unanswered
    assert effect == Compute(effect.id, "does.double", (21,))
    link.answer_storage(Ok(42))
    assert events(link) == [("done", {"value": 42})]


def test_a_function_that_fails_is_an_error_here() -> None:
    link = pair(apps_a=[Does(computes)])
    link.answer_storage(Failed("failed", "ValueError: no"))
    assert events(link) == [("not done", {"error": "ValueError: no"})]


def test_an_operation_is_done_by_the_shell() -> None:
    async def operates(ctx: AppContext) -> None:
        ctx.emit("read", value=await ctx.operate("read", "name"))

    link = pair(apps_a=[Does(operates)])
    [(_, effect)] = link.unanswered
    assert effect == Operate(effect.id, "does.read", ("name",))
    link.answer_storage(Ok(b"bytes"))
    assert events(link) == [("read", {"value": b"bytes"})]


@pytest.mark.parametrize("call", [AppContext.compute, AppContext.operate])
def test_what_is_not_declared_is_not_asked_for(call: Callable[[AppContext, str], Awaitable[object]]) -> None:
    async def body(ctx: AppContext) -> None:
        await call(ctx, "other")

    link = pair(apps_a=[Does(body)])
    assert "other" in str(events(link)[0][1]["error"])
    assert link.unanswered == []


def test_a_late_result_of_cancelled_work_is_ignored() -> None:
    async def gives_up(ctx: AppContext) -> None:
        with ctx.dht.loop.move_on_after(SECOND):
            await ctx.compute("double", 1)
        ctx.emit("gave up")

    link = pair(apps_a=[Does(gives_up)])
    link.settle(seconds=2)
    link.answer_storage(Ok(2))
    assert events(link) == [("gave up", {})]


def test_work_under_way_is_bounded() -> None:
    async def body(ctx: AppContext) -> None:
        for _ in range(MAX_WORK):
            ctx.spawn(ctx.compute("double", 1))
        await ctx.sleep(1)
        with pytest.raises(LimitError):
            await ctx.compute("double", 1)
        ctx.emit("refused")
        await forever(ctx)

    link = pair(apps_a=[Does(body)])
    assert events(link) == [("refused", {})]
    assert len(link.unanswered) == MAX_WORK


# --- storage ---


def test_storage_is_ordered_and_its_own() -> None:
    link = pair(apps_a=[Does(forever)])
    storage = ctx_of(link).storage
    for key in (b"b", b"a", b"c/2", b"c/1"):
        storage.put(key, b"value " + key)
    storage.delete(b"b")
    assert storage.get(b"a") == b"value a"
    assert storage.get(b"b") is None
    assert [key for key, _ in storage.scan()] == [b"a", b"c/1", b"c/2"]
    assert list(storage.scan(b"c/", after=b"c/1")) == [(b"c/2", b"value c/2")]
    assert {key for key, _ in ctx_of(link).dht.journal.storage.scan(b"app/")} == {
        b"app/\x04does" + key for key in (b"a", b"c/1", b"c/2")
    }


def test_applications_with_similar_names_do_not_share_keys() -> None:
    class Short(Does):
        name = "a"

    class Long(Does):
        name = "ab"

    short, long = Short(forever), Long(forever)
    pair(apps_a=[short, long])
    assert short.ctx is not None
    assert long.ctx is not None
    long.ctx.storage.put(b"key", b"x")
    assert list(short.ctx.storage.scan()) == []


def test_storage_has_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.app_storage.MAX_APP_STORAGE", 100)
    link = pair(apps_a=[Does(forever)])
    storage = ctx_of(link).storage
    storage.put(b"key", bytes(97))
    assert storage.used == 100
    with pytest.raises(LimitError, match="delete something"):
        storage.put(b"more", b"")
    storage.put(b"key", bytes(50))  # in place of the other
    storage.put(b"k", bytes(40))
    storage.delete(b"key")
    storage.delete(b"key")
    assert storage.used == 41


@pytest.mark.parametrize(("key", "value"), [(bytes(MAX_APP_KEY + 1), b""), (b"", bytes(MAX_APP_VALUE + 1))])
def test_keys_and_values_are_bounded(key: bytes, value: bytes) -> None:
    with pytest.raises(LocalError, match="at most 256 and 65536"):
        ctx_of(pair(apps_a=[Does(forever)])).storage.put(key, value)


def test_what_was_stored_outlives_the_application_and_counts() -> None:
    link = pair(apps_a=[Does(forever)])
    ctx = ctx_of(link)
    ctx.storage.put(b"key", b"value")
    link.replace("a", make_peer(1, storage=ctx.dht.journal.storage, apps=[Does(forever)], life=1))
    link.advance(1)
    assert ctx_of(link) is not ctx
    assert ctx_of(link).storage.get(b"key") == b"value"
    assert ctx_of(link).storage.used == 8


def test_committed_waits_for_the_disk() -> None:
    async def body(ctx: AppContext) -> None:
        await ctx.sleep(2 * SECOND)
        ctx.storage.put(b"key", b"value")
        await ctx.storage.committed()
        ctx.emit("safe")

    link = pair(apps_a=[Does(body)])
    link.storage_works = False
    link.settle(seconds=2)
    assert events(link) == []
    link.answer_storage()
    assert events(link) == [("safe", {})]


# --- services ---


@attrs.define(eq=False)
class Provider(Does):
    name = "provider"


def test_applications_meet_through_services() -> None:
    async def provides(ctx: AppContext) -> None:
        ctx.services.provide("clock", ctx.now)
        await ctx.sleep(2 * SECOND)

    link = pair(apps_a=[Provider(provides), Does(forever)])
    services = ctx_of_app(link, 1).services
    assert services.get("clock").mono_ns == 0
    with pytest.raises(LocalError, match="'clock' is provided by provider already"):
        services.provide("clock", 1)
    link.settle(seconds=3)  # provider ends, and what it provided with it
    with pytest.raises(LocalError, match=r"provides 'clock' \(there are: none\)"):
        services.get("clock")
    services.provide("clock", 2)
    services.provide("clock", 3)
    assert services.get("clock") == 3


def ctx_of_app(link: Pair, number: int) -> AppContext:
    ctx: AppContext | None = link.a._apps[number].ctx  # type: ignore[attr-defined]
    assert ctx is not None
    return ctx


# --- commands ---


async def obeys(ctx: AppContext) -> None:
    async def say(args: dict[str, Any]) -> dict[str, Any]:
        match args.get("text"):
            case "refuse":
                raise Refused("not that")
            case "break":
                raise KeyError("text")
            case "object":
                return {"what": object()}
            case "wait":
                try:
                    await ctx.sleep(10 * SECOND)
                finally:
                    ctx.emit("waited no longer")
            case "end":
                ctx.spawn(fails())
                await ctx.sleep(10 * SECOND)
        return {"said": args["text"], "list": [1, (b"x",), None]}

    ctx.command("say", say)


async def fails() -> None:
    raise ValueError("on purpose")


def test_a_command_is_answered() -> None:
    link = pair(apps_a=[Does(obeys)])
    answer = link.command("a", "app", {"app": "does", "command": "say", "args": {"text": "hello"}})
    assert answer == {"said": "hello", "list": [1, (b"x",), None]}
    assert link.command("a", "apps") == [{"name": "does", "commands": ["say"], "stored": 0}]


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        ({"app": "other", "command": "say"}, "not_found", r"no application 'other' runs here (there are: does)"),
        ({"app": "does", "command": "sing"}, "not_found", r"has no command 'sing' (there are: say)"),
        ({"app": "does"}, "usage", "command is missing"),
        ({"app": "does", "command": "say", "args": {"text": "refuse"}}, "failed", "not that"),
        ({"app": "does", "command": "say", "args": {"text": "break"}}, "failed", "say of does failed: KeyError"),
        ({"app": "does", "command": "say", "args": {"text": "object"}}, "failed", "it returned dict, not"),
    ],
)
def test_a_command_that_fails_says_how_and_ends_nothing(args: dict[str, object], code: str, told: str) -> None:
    link = pair(apps_a=[Does(obeys)])
    failed = link.fails("a", "app", args)
    assert failed.code == code
    assert told in failed.message
    assert link.command("a", "app", {"app": "does", "command": "say", "args": {"text": "still there"}})
    assert not [name for name, _ in events(link) if name == "failed"]


def test_a_command_whose_caller_is_gone_is_cancelled() -> None:
    link = pair(apps_a=[Does(obeys)])
    asked = link.ask("a", "app", {"app": "does", "command": "say", "args": {"text": "wait"}})
    link.feed("a", link.a.handle_cancel, asked)
    assert events(link) == [("waited no longer", {})]


def test_a_command_of_an_application_that_ends_meanwhile_fails() -> None:
    link = pair(apps_a=[Does(obeys)])
    assert link.fails("a", "app", {"app": "does", "command": "say", "args": {"text": "end"}}).code == "failed"
    assert link.command("a", "apps") == []


def test_commands_have_names_and_a_bound() -> None:
    ctx = ctx_of(pair(apps_a=[Does(forever)]))
    for number in range(MAX_APP_COMMANDS):
        ctx.command(str(number), lambda args: ctx.sleep(1))
    ctx.command("0", lambda args: ctx.sleep(2))
    with pytest.raises(LimitError):
        ctx.command("one more", lambda args: ctx.sleep(1))
    for bad in ("", "x" * 33, "a\n", "a/b", 3):
        with pytest.raises(LocalError, match="a command has a name"):
            ctx.command(bad, lambda args: ctx.sleep(1))  # type: ignore[arg-type]


# --- the end ---


def test_a_task_that_fails_ends_its_application_alone() -> None:
    async def spawns(ctx: AppContext) -> None:
        ctx.spawn(fails(), name="one that fails")
        try:
            await forever(ctx)
        finally:
            ctx.emit("cancelled")

    link = pair(apps_a=[Does(spawns), Provider(obeys)])
    failure = events(link)[-1][1]
    assert str(failure["where"]).endswith(" in fails")
    assert failure["error"] == "ValueError: on purpose"
    assert events(link) == [("cancelled", {}), ("failed", failure)]
    assert [one["name"] for one in link.command("a", "apps")] == ["provider"]


def test_an_application_that_returns_has_ended_unless_it_serves() -> None:
    link = pair(apps_a=[Does(nothing), Provider(obeys)])
    assert [one["name"] for one in link.command("a", "apps")] == ["provider"]
