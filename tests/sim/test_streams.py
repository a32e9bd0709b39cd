"""Streams of applications in a swarm: ctx.connect and ctx.accept, with lossy lines, failures and deaths."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from overlay import App, AppContext
from overlay.errors import BadMessage, LocalError, Refused
from overlay.events import AppEvent
from overlay.limits import MAX_APP_STREAMS_PER_PEER
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND, Failed, Ok, Outcome
from overlay.streams import End, Stream, StreamEnded, Streams, pressure, stream
from overlay.streams.slots import Sessions
from simulations.scenario import LinkSpec, Population, Scenario
from simulations.swarm import Swarm

MIB = 1 << 20
PART = 256 * 1024


def bytes_of(number: int, part: int) -> bytes:
    return hashlib.shake_128(b"%d %d" % (number, part)).digest(PART)


@attrs.define(eq=False)
class Swap(App):
    """Gives bytes of its own to whoever connects, as many as asked for; does what `failing` says instead."""

    number: int = 0
    failing: str = ""
    ctx: AppContext | None = None
    name = "swap"

    async def run(self, ctx: AppContext) -> None:
        self.ctx = ctx
        ctx.accept(self.give)
        ctx.accept(self.fail, protocol="fail")

        async def fetch(args: dict[str, Any]) -> Any:
            return await self.fetch(ctx, bytes.fromhex(args["from"]), args["number"], args["parts"])

        async def connect(args: dict[str, Any]) -> Any:
            stream = await ctx.connect(bytes.fromhex(args["to"]), protocol=args["protocol"])
            try:
                return await stream.receive()
            except StreamEnded as error:
                return [str(error), int(error.end.value) if isinstance(error.end, End) else error.end.value]

        ctx.command("fetch", fetch)

        async def pour(args: dict[str, Any]) -> Any:
            stream = await ctx.connect(bytes.fromhex(args["to"]), protocol="fail")
            for _ in range(args["parts"]):
                await stream.send(bytes(PART))

        async def touch(args: dict[str, Any]) -> Any:
            """Open, see whether it lasts a second, and go; how it ended."""
            stream = await ctx.connect(bytes.fromhex(args["to"]), protocol="fail")
            await ctx.sleep(SECOND)
            stream.close()
            assert stream.ended is not None
            return [str(stream.ended), int(stream.ended.end.value)]

        async def talk(args: dict[str, Any]) -> Any:
            """Talk beside on a stream that this side opened."""
            stream = await ctx.connect(bytes.fromhex(args["to"]), protocol="fail")
            ctx.talk(self.fail, stream)
            await ctx.sleep(SECOND)
            assert stream.ended is not None
            return str(stream.ended)

        ctx.command("talk", talk)
        ctx.command("touch", touch)
        ctx.command("connect", connect)
        ctx.command("pour", pour)

    async def give(self, stream: Stream) -> None:
        while True:
            part = int.from_bytes(await stream.receive(), "big")
            await stream.send(bytes_of(self.number, part))

    async def fail(self, stream: Stream) -> None:
        match self.failing:
            case "refuse":
                raise Refused("not today")
            case "raise":
                raise ZeroDivisionError("a bug")
            case "exit":
                sys.exit("a bug")
            case "blame":
                raise BadMessage("nonsense")
            case "hang":
                await stream.receive()
            case "deaf" if self.ctx is not None:
                await self.ctx.sleep(3600 * SECOND)

    async def fetch(self, ctx: AppContext, node_id: bytes, number: int, parts: int) -> int:
        """All asked for at once, as pipelining does; what comes must be right."""
        stream = await ctx.connect(node_id)
        for part in range(parts):
            await stream.send(part.to_bytes(4, "big"))
        for part in range(parts):
            if await stream.receive() != bytes_of(number, part):
                raise LocalError("wrong bytes")
        stream.close()
        return stream.received


def swarm_of(nodes: int, *, loss: float = 0.0, failing: str = "", seed: int = 1) -> Swarm:
    scenario = Scenario(
        name="test", duration_s=300, population=Population(nodes=nodes, arrive_s=2), link=LinkSpec(loss=loss)
    )
    swarm = Swarm(scenario, seed=seed, apps=lambda node: [Swap(node, failing)])
    swarm.run_until(15 * SECOND)
    return swarm


def ask(swarm: Swarm, node: int, command: str, got: Callable[[Outcome], object], **args: Any) -> None:
    swarm.ask(node, "app", {"app": "swap", "command": command, "args": args}, lambda outcome, _: got(outcome))


def asked(swarm: Swarm, node: int, command: str, *, seconds: int = 30, **args: Any) -> Outcome:
    got: list[Outcome] = []
    ask(swarm, node, command, got.append, **args)
    swarm.engine.run_while(lambda: not got, until_ns=swarm.engine.now_ns + seconds * SECOND)
    assert got, "no answer"
    return got[0]


def peer(swarm: Swarm, node: int) -> Any:
    return swarm.engine.hosts[node].peer


def test_twenty_peers_exchange_five_mebibytes_each_under_loss() -> None:
    swarm = swarm_of(20, loss=0.03)
    got: dict[int, Outcome] = {}
    for node in range(20):
        there = (node * 7 + 3) % 20
        ask(
            swarm, node, "fetch", lambda outcome, node=node: got.update({node: outcome}),
            **{"from": peer(swarm, there).id.hex(), "number": there, "parts": 5 * MIB // PART},
        )  # fmt: skip
    swarm.engine.run_while(lambda: len(got) < 20, until_ns=swarm.engine.now_ns + 200 * SECOND)
    assert got == dict.fromkeys(range(20), Ok(5 * MIB))
    swarm.run_until(swarm.engine.now_ns + 5 * SECOND)
    for node in range(20):
        assert set(peer(swarm, node).streams.figures().values()) == {0}
        assert peer(swarm, node).loop.crashed == []


def test_a_run_with_streams_is_the_same_at_every_run() -> None:
    def run() -> tuple[int, Outcome]:
        swarm = swarm_of(5, loss=0.02, seed=4)
        there = peer(swarm, 3).id.hex()
        outcome = asked(swarm, 1, "fetch", **{"from": there, "number": 3, "parts": 8})
        return swarm.engine.now_ns, outcome

    first = run()
    assert first == run()
    assert first[1] == Ok(8 * PART)


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ("refuse", ["not today", End.REFUSED]),
        ("raise", ["the application failed", End.FAILED]),
        ("exit", ["the application failed", End.FAILED]),
        ("", ["done", End.DONE]),
    ],
)
def test_what_a_handler_does_ends_its_stream_alone(failing: str, told: list[Any]) -> None:
    swarm = swarm_of(3, failing=failing)
    events: list[Any] = []
    swarm.watchers.append(lambda *heard: events.append(heard))
    there = peer(swarm, 1).id.hex()
    for _ in range(2):
        assert asked(swarm, 0, "connect", to=there, protocol="fail") == Ok(told)
    assert asked(swarm, 0, "fetch", **{"from": there, "number": 1, "parts": 2}) == Ok(2 * PART)
    assert ("ZeroDivisionError: a bug" in repr(events)) == (failing == "raise")
    assert ("SystemExit: a bug" in repr(events)) == (failing == "exit")


@pytest.mark.parametrize(
    ("failing", "told", "event"),
    [
        ("raise", "the application failed", "stream crashed"),
        ("blame", "the application failed", "stream failed"),
        ("refuse", "not today", None),
        ("", "this side has closed the stream", None),
    ],
)
def test_what_goes_wrong_on_a_stream_that_this_side_opened_ends_that_alone(
    failing: str, told: str, event: str | None
) -> None:
    """The application lives on; but in a swarm a mistake of its own fails the run."""
    swarm = swarm_of(3, failing=failing)
    for node in (1, 2):
        peer(swarm, node).apps._contexts["swap"].app.failing = "hang"
    events: list[AppEvent] = []
    swarm.watchers.append(lambda _node, _ns, heard: events.append(heard) if isinstance(heard, AppEvent) else None)
    assert asked(swarm, 0, "talk", to=peer(swarm, 1).id.hex()) == Ok(told)
    assert [one.name for one in events] == ([event] if event else [])
    if event == "stream crashed":
        fields = dict(events[0].fields)
        assert (fields["peer"], fields["error"]) == (peer(swarm, 1).id, "ZeroDivisionError: a bug")
        assert str(fields["where"]).endswith(" in Swap.fail")
    assert asked(swarm, 0, "fetch", **{"from": peer(swarm, 1).id.hex(), "number": 1, "parts": 2}) == Ok(2 * PART)
    swarm.run_until(swarm.engine.now_ns + 5 * SECOND)
    assert [broken.invariant for broken in swarm.broken] == (["apps-run"] if event == "stream crashed" else [])


def test_a_protocol_that_the_application_does_not_take_is_refused() -> None:
    swarm = swarm_of(3)
    failed = asked(swarm, 0, "connect", to=peer(swarm, 1).id.hex(), protocol="other")
    assert isinstance(failed, Failed)
    assert "nothing here takes streams of that protocol" in failed.message
    failed = asked(swarm, 0, "connect", to=peer(swarm, 1).id.hex(), protocol="a/b")
    assert isinstance(failed, Failed)
    assert "without /" in failed.message
    failed = asked(swarm, 0, "connect", to=bytes(32).hex(), protocol="1")
    assert isinstance(failed, Failed)
    assert "nobody with that id" in failed.message


def test_an_application_reaches_a_peer_whose_address_in_the_table_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = swarm_of(3)
    here, there = peer(swarm, 0), peer(swarm, 1)
    asked(swarm, 0, "fetch", **{"from": there.id.hex(), "number": 1, "parts": 1})
    right = here.meeting.known(there.id)
    stale = here.endpoint.book.contact(right.key, Address(bytes((20, 9, 9, 9)), 4433))

    async def locate(node_id: bytes) -> Contact:
        assert node_id == there.id
        return stale

    monkeypatch.setattr(here.apps._contexts["swap"], "locate", locate)
    fetched = asked(swarm, 0, "fetch", **{"from": there.id.hex(), "number": 1, "parts": 1})
    assert fetched == Ok(PART)


def test_a_command_that_is_given_up_leaves_its_stream_to_the_application() -> None:
    swarm = swarm_of(3, failing="hang")
    opening = peer(swarm, 0)
    ask(swarm, 0, "connect", lambda _: None, to=peer(swarm, 1).id.hex(), protocol="fail")
    swarm.run_until(swarm.engine.now_ns + 5 * SECOND)
    assert opening.streams.figures()["streams"] == 1
    context = opening.apps._contexts["swap"]
    context.tasks.cancel()  # the application ends, the peer lives on
    swarm.run_until(swarm.engine.now_ns + 60 * SECOND)
    for node in (0, 1):
        assert set(peer(swarm, node).streams.figures().values()) == {0}


def test_tasks_that_outlive_their_streams_are_bounded() -> None:
    """Who opens a stream for a handler that does not read, goes and comes again leaves a task each time."""
    swarm = swarm_of(3, failing="deaf")
    there = peer(swarm, 1)
    tasks = len(there.loop.tasks())
    told: list[Outcome] = []
    for _ in range(MAX_APP_STREAMS_PER_PEER + 8):
        ask(swarm, 0, "touch", told.append, to=there.id.hex())
        swarm.run_until(swarm.engine.now_ns + 2 * SECOND)
    assert len(told) == MAX_APP_STREAMS_PER_PEER + 8
    assert there.apps._contexts["swap"].streams.talking == MAX_APP_STREAMS_PER_PEER
    assert len(there.loop.tasks()) - tasks <= MAX_APP_STREAMS_PER_PEER + 8
    assert set(there.streams.figures().values()) == {0}
    assert told[-1] == Ok(["swap is still busy with other streams", End.BUSY])
    ask(swarm, 2, "touch", told.append, to=there.id.hex())
    swarm.run_until(swarm.engine.now_ns + 2 * SECOND)
    assert told[-1] == Ok(["this side has closed the stream", End.DONE])  # another peer is let in
    assert swarm.broken == []
    swarm.run_until(swarm.engine.now_ns + 3700 * SECOND)
    assert there.apps._contexts["swap"].streams.talking == 0


def test_a_peer_that_dies_in_the_middle_is_told() -> None:
    swarm = swarm_of(3, failing="hang")
    got: list[Outcome] = []
    ask(swarm, 0, "connect", got.append, to=peer(swarm, 1).id.hex(), protocol="fail")
    swarm.run_until(swarm.engine.now_ns + 2 * SECOND)
    swarm.kill(1)
    swarm.run_until(swarm.engine.now_ns + 3 * SECOND)
    assert got == [Ok(["the other side died", "reset"])]
    swarm.start(1)
    swarm.run_until(swarm.engine.now_ns + 10 * SECOND)
    assert asked(swarm, 0, "fetch", **{"from": peer(swarm, 1).id.hex(), "number": 1, "parts": 1}) == Ok(PART)


# --- what the invariants of a swarm see of streams ---


def bounds_told(swarm: Swarm) -> set[str]:
    """What the invariant says, without names and numbers."""
    told = (broken.what for broken in swarm.broken if broken.invariant == "memory-bounded")
    return {re.sub(r"^[\d,]+ |( of <.*)?, at most .*", "", what) for what in told}


def talk(swarm: Swarm) -> None:
    """Streams that come and go, and one that lives."""
    there = peer(swarm, 1).id.hex()
    asked(swarm, 0, "fetch", **{"from": there, "number": 1, "parts": 4})
    ask(swarm, 2, "connect", lambda _: None, to=there, protocol="fail")
    swarm.run_until(swarm.engine.now_ns + 10 * SECOND)


def test_streams_are_within_their_bounds() -> None:
    swarm = swarm_of(3, failing="hang")
    talk(swarm)
    assert peer(swarm, 1).streams.figures()["streams"] == 1
    assert swarm.broken == []


def forgets_to_release(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sessions, "release", lambda self, lease: None)


def forgets_its_pipes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Streams, "_forget", lambda self, pipe: None)


def grants_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stream, "FIRST_WINDOW", 64 << 20)


def sends_without_waiting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pressure, "UNSENT_HIGH", 64 << 20)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (forgets_to_release, "places of streams that are over"),
        (forgets_its_pipes, "connections that belong to nothing"),
        (grants_without_end, "bytes unread and granted"),
        (sends_without_waiting, "bytes unsent"),
    ],
)
def test_a_leak_of_streams_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], told: str
) -> None:
    plant(monkeypatch)
    deaf = plant is sends_without_waiting
    swarm = swarm_of(3, failing="deaf" if deaf else "hang")
    (pour if deaf else talk)(swarm)
    assert bounds_told(swarm) == {told}


def pour(swarm: Swarm) -> None:
    """10 MiB at once to somebody who does not read."""
    ask(swarm, 0, "pour", lambda _: None, to=peer(swarm, 1).id.hex(), parts=40)
    swarm.run_until(swarm.engine.now_ns + 20 * SECOND)


def test_who_does_not_read_makes_nobody_hold_more() -> None:
    swarm = swarm_of(3, failing="deaf")
    pour(swarm)
    assert peer(swarm, 0).streams.figures()["streams"] == 1
    assert swarm.broken == []
