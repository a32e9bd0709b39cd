"""Plain streams of applications in a swarm: ctx.connect_plain and ctx.accept_plain, under loss, beside sealed ones."""

from __future__ import annotations

from typing import Any

import pytest

from overlay import App, AppContext
from overlay.errors import LocalError
from overlay.runtime.address import parse_address
from overlay.runtime.ports import SECOND, Failed, Ok, Outcome
from overlay.streams import Plain, StreamEnded
from overlay.streams.slots import Sessions
from simulations.scenario import LinkSpec, Population, Scenario
from simulations.swarm import Swarm
from tests.support.plain_app import BLOCK, GREETING, Plainly

SWAPPED = [True, len(GREETING) + 64 * (4 + BLOCK)]


def swarm_of(nodes: int, *, loss: float = 0.0, failing: str = "", seed: int = 1) -> Swarm:
    scenario = Scenario(
        name="test", duration_s=300, population=Population(nodes=nodes, arrive_s=2), link=LinkSpec(loss=loss)
    )
    swarm = Swarm(scenario, seed=seed, apps=lambda node: [Plainly(failing)])
    swarm.run_until(15 * SECOND)
    return swarm


def address(swarm: Swarm, node: int) -> str:
    ((address, *_),) = [swarm.engine.network.addresses(node)]
    return str(address)


def ask(swarm: Swarm, node: int, command: str, got: list[Outcome], **args: Any) -> None:
    asking = {"app": "plainly", "command": command, "args": args}
    swarm.ask(node, "app", asking, lambda outcome, _: got.append(outcome))


def asked(swarm: Swarm, node: int, command: str, **args: Any) -> Outcome:
    got: list[Outcome] = []
    ask(swarm, node, command, got, **args)
    swarm.engine.run_while(lambda: not got, until_ns=swarm.engine.now_ns + 60 * SECOND)
    return got[0]


def peer(swarm: Swarm, node: int) -> Any:
    return swarm.engine.hosts[node].peer


def test_ten_peers_exchange_a_mebibyte_each_under_loss() -> None:
    swarm = swarm_of(10, loss=0.03)
    got: list[Outcome] = []
    for node in range(10):
        ask(swarm, node, "swap", got, to=address(swarm, (node * 7 + 3) % 10), blocks=64)
    swarm.engine.run_while(lambda: len(got) < 10, until_ns=swarm.engine.now_ns + 200 * SECOND)
    assert got == [Ok(SWAPPED)] * 10
    swarm.run_until(swarm.engine.now_ns + 5 * SECOND)
    assert swarm.broken == []
    for node in range(10):
        assert set(peer(swarm, node).streams.plains.figures().values()) == {0}
        assert peer(swarm, node).streams.figures()["pipes"] == 0
        assert peer(swarm, node).apps._contexts["plainly"].streams.talking == 0


def test_a_run_with_plain_streams_is_the_same_at_every_run() -> None:
    def run() -> tuple[int, Outcome]:
        swarm = swarm_of(4, loss=0.02, seed=4)
        return swarm.engine.now_ns, asked(swarm, 1, "swap", to=address(swarm, 3), blocks=64)

    first = run()
    assert first == run()
    assert first[1] == Ok(SWAPPED)


@pytest.mark.parametrize("failing", ["refuse", "raise", "return"])
def test_what_a_handler_does_ends_its_stream_alone(failing: str) -> None:
    swarm = swarm_of(3, failing=failing)
    events: list[Any] = []
    swarm.watchers.append(lambda *heard: events.append(heard))
    for _ in range(2):
        assert asked(swarm, 0, "greet", to=address(swarm, 1)) == Ok("the other side went without a word")
    told = repr(events)
    assert ("ZeroDivisionError: a bug" in told) == (failing == "raise")
    assert (f"('address', '{address(swarm, 0)}')" in told) == (failing == "raise")


def test_nobody_there_is_told_as_a_failure_of_the_command() -> None:
    swarm = swarm_of(3)
    failed = asked(swarm, 0, "greet", to=address(swarm, 0))
    assert isinstance(failed, Failed)
    assert "nobody takes streams at" in failed.message


def test_strangers_do_not_say_who_is_on_our_lan() -> None:
    swarm = swarm_of(2)
    ctx: AppContext = peer(swarm, 0).apps._contexts["plainly"]
    said: list[str] = []

    async def dial() -> None:
        for to, teller in (("192.168.1.7:6881", "85.1.2.3:6881"), ("127.0.0.1:6881", "192.168.1.2:6881")):
            try:
                await ctx.connect_plain(parse_address(to), named_by=parse_address(teller))
            except LocalError as error:
                said.append(str(error))

    ctx.spawn(dial())
    swarm.run_until(swarm.engine.now_ns + SECOND)
    assert said == [
        "85.1.2.3:6881 cannot know who is at 192.168.1.7:6881",
        "192.168.1.2:6881 cannot know who is at 127.0.0.1:6881",
    ]


def test_an_application_that_ends_takes_its_plain_streams_with_it() -> None:
    class Brief(App):
        name = "brief"

        async def run(self, ctx: AppContext) -> None:
            ctx.accept_plain(b"\x07", self.hear)
            await ctx.sleep(20 * SECOND)
            raise ZeroDivisionError("it ends")

        async def hear(self, stream: Plain) -> None:
            await stream.read(2)

    scenario = Scenario(name="test", duration_s=300, population=Population(nodes=2, arrive_s=2))
    swarm = Swarm(scenario, seed=1, apps=lambda node: [Brief(), Plainly()])
    swarm.run_until(15 * SECOND)
    ctx = peer(swarm, 0).apps._contexts["plainly"]
    ended: list[StreamEnded] = []

    async def dial() -> None:
        stream = await ctx.connect_plain(parse_address(address(swarm, 1)))
        await stream.send(b"\x07")
        try:
            await stream.read(1)
        except StreamEnded as error:
            ended.append(error)

    ctx.spawn(dial())
    swarm.run_until(18 * SECOND)
    assert peer(swarm, 1).streams.plains.figures()["open"] == 1
    swarm.run_until(40 * SECOND)
    assert [str(error) for error in ended] == ["the other side went without a word"]
    plains = peer(swarm, 1).streams.plains
    assert (plains.figures()["open"], plains.takes(7), plains.takes(0x13)) == (0, False, True)


def test_a_place_that_is_not_given_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sessions, "release", lambda self, lease: None)
    swarm = swarm_of(3)
    assert asked(swarm, 0, "swap", to=address(swarm, 1), blocks=64) == Ok(SWAPPED)
    swarm.run_until(swarm.engine.now_ns + 20 * SECOND)
    assert any("places of plain streams that are over" in str(broken) for broken in swarm.broken)
