"""Two copies of one application ask each other by datagram, whatever the one sends and the other raises."""

from __future__ import annotations

import attrs
import pytest

from overlay.app import App, AppContext
from overlay.errors import LocalError, Refused
from overlay.events import AppEvent
from overlay.limits import MAX_APP_BODY, MAX_APP_SERVING, MAX_APP_SERVING_PER_PEER
from overlay.runtime.ports import SECOND
from overlay.wire.messages import AppReply, AppRequest, AppStatus, Message
from tests.support.gossiping import Strangers
from tests.support.pair import B, Pair, pair


class Echo(App):
    """Gives back what it gets; some bodies make it fail in the ways that a handler can."""

    name = "echo"

    async def run(self, ctx: AppContext) -> None:
        async def handler(caller: bytes, body: bytes) -> bytes:
            match body:
                case b"refuse":
                    raise Refused("not you")
                case b"break":
                    raise KeyError("not foreseen")
                case b"nothing":
                    return None  # type: ignore[return-value]
                case b"long":
                    return bytes(MAX_APP_BODY + 1)
            return body

        ctx.serve(handler)


@attrs.define(eq=False)
class Asker(App):
    bodies: list[bytes]
    answers: list[bytes | str] = attrs.Factory(list)
    name = "echo"

    async def run(self, ctx: AppContext) -> None:
        await ctx.sleep(3_000_000_000)  # until the test has made them meet
        node_id = next(iter(ctx.dht.table.contacts())).id
        for body in self.bodies:
            try:
                self.answers.append(await ctx.call(node_id, body))
            except (LocalError, Refused) as error:
                self.answers.append(str(error))


def asked(*bodies: bytes, serving: App | None = None) -> tuple[Pair, list[bytes | str]]:
    asker = Asker(list(bodies))
    link = pair(apps_a=[asker], apps_b=[serving] if serving is not None else [])
    link.command("a", "ping", {"peer": str(B)})
    link.settle(seconds=6)
    assert len(asker.answers) == len(bodies)
    return link, asker.answers


def test_a_call_is_answered() -> None:
    assert asked(b"hello", bytes(MAX_APP_BODY), serving=Echo())[1] == [b"hello", bytes(MAX_APP_BODY)]


def test_a_body_that_does_not_fit_is_not_sent() -> None:
    _, (told,) = asked(bytes(MAX_APP_BODY + 1), serving=Echo())
    assert "at most 900" in str(told)


def test_a_peer_without_the_application_says_so() -> None:
    assert asked(b"hello")[1] == ["echo at the other peer: no such app"]


def test_a_handler_may_refuse() -> None:
    assert asked(b"refuse", serving=Echo())[1] == ["echo at the other peer: refused"]


@pytest.mark.parametrize("body", [b"break", b"nothing", b"long"])
def test_a_body_that_breaks_the_handler_does_not_end_the_application(body: bytes) -> None:
    link, answers = asked(body, b"still there?", serving=Echo())
    assert answers == ["echo at the other peer: failed", b"still there?"]
    assert [event.name for _, event in link.events if isinstance(event, AppEvent)] == ["request failed"]


# --- who asks without end -------------------------------------------------------------------

_OK = AppReply(status=AppStatus.OK, body=b"?")
_REFUSED = AppReply(status=AppStatus.REFUSED, body=b"")


class Slow(App):
    name = "slow"

    async def run(self, ctx: AppContext) -> None:
        async def handler(caller: bytes, body: bytes) -> bytes:
            await ctx.sleep(60 * SECOND)
            return body

        ctx.serve(handler)


def busy(askers: int) -> tuple[Pair, Strangers, list[Message]]:
    """b runs a slow application and a quick one; each asker asks the slow one once more than b answers."""
    link = pair(apps_b=[Slow(), Echo()]).met()
    strangers = Strangers(link)
    told: list[Message] = []
    for number in range(100, 100 + askers):
        who = strangers.one(number)
        for _ in range(MAX_APP_SERVING_PER_PEER + 1):
            told += strangers.sends(AppRequest("slow", b"?"), who=who)
    return link, strangers, told


def test_of_one_peer_so_many_requests_are_answered_at_once_and_others_have_their_own() -> None:
    link, strangers, told = busy(1)
    assert told == [_REFUSED]
    assert strangers.sends(AppRequest("slow", b"?"), number=60) == []  # it is being answered
    assert strangers.sends(AppRequest("echo", b"?"), number=61) == [_OK]
    link.settle(61)
    assert link.b.apps._contexts["slow"].serving.peers == 0, "nobody is remembered"
    assert strangers.sends(AppRequest("slow", b"?"), number=100) == []


def test_an_application_that_is_busy_takes_nothing_from_another_one() -> None:
    askers = MAX_APP_SERVING // MAX_APP_SERVING_PER_PEER
    link, strangers, told = busy(askers)
    assert told == [_REFUSED] * askers
    assert len(link.b.apps._contexts["slow"].serving) == MAX_APP_SERVING
    assert strangers.sends(AppRequest("slow", b"?"), number=60) == [_REFUSED]
    assert strangers.sends(AppRequest("echo", b"?"), number=61) == [_OK]
