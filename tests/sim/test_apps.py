"""Applications in a swarm: the class that a node runs, its events, commands, topics, and what a restart leaves."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from apps.chat.core import Chat
from overlay import App, AppContext
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND, Ok
from simulations.apps import factory
from simulations.messages import AppCommand, Deliveries, Publish
from simulations.population import Codec
from simulations.scenario import LinkSpec, Population, Scenario
from simulations.spec import BadScenario, load, scenario_of
from simulations.swarm import Swarm
from simulations.timeline import Kill, Partition

CHAT = Population(nodes=12, arrive_s=2, apps=("apps.chat.core:Chat",))
SAY = AppCommand(app="chat", command="say", args={"text": "message {n}"}, heard="said", count=10, from_s=20, within_s=5)


def scenario(**changes: Any) -> Scenario:
    base = Scenario(name="test", duration_s=40, population=CHAT, workload=(SAY,))
    return attrs.evolve(base, **changes)


def test_everybody_hears_what_one_says() -> None:
    end = Swarm(scenario(), seed=1).run()
    figures = end.measures
    assert (figures["chat.say_success"], figures["chat.say_count"]) == (1, 10)
    assert (figures["chat.said_success"], figures["chat.said_count"]) == (1, 110)
    assert figures["chat.said"] == 120  # who speaks hears itself
    assert figures["chat.said_again"] == 0
    assert 0 < figures["chat.said_p50_ms"] < 1000


def test_a_run_with_applications_is_the_same_at_every_run() -> None:
    first, second = (Swarm(scenario(duration_s=30), seed=3).run() for _ in range(2))
    assert first.trace_hash == second.trace_hash
    assert first.measures == second.measures


class Whimsical(App):
    """Does something with a word that each run may choose differently, as by the order of a set."""

    name = "whimsical"

    def __init__(self, where: str, word: str) -> None:
        self.operations = {"choose": lambda: word}
        self._where = where
        self._word = word

    async def run(self, ctx: AppContext) -> None:
        await ctx.sleep(10 * SECOND)
        match self._where:
            case "event":
                ctx.emit("chose", word=self._word)
            case "done":
                await ctx.operate("choose")
            case "body":
                await ctx.put(self._word.encode())


@pytest.mark.parametrize("where", ["event", "done", "body"])
def test_whatever_an_application_chooses_moves_the_trace(where: str) -> None:
    quiet = scenario(population=Population(nodes=4, arrive_s=2), workload=(), duration_s=15)
    traces = [
        Swarm(quiet, seed=1, apps=lambda node, word=word: [Whimsical(where, word)]).run().trace_hash  # type: ignore[misc]
        for word in ("alpha", "bravo", "alpha")
    ]
    assert traces[0] == traces[2] != traces[1]


def test_who_is_cut_off_is_measured() -> None:
    end = Swarm(scenario(timeline=(Partition(at_s=18, shares=(0.5,)),)), seed=1).run()
    assert end.measures["chat.said_success"] < 0.6
    assert end.measures["chat.said_count"] == 110


def test_who_dies_is_not_expected_to_hear() -> None:
    killed = Kill(at_s=22.5, share=0.5)
    end = Swarm(scenario(timeline=(killed,)), seed=1).run()
    assert end.measures["chat.said_success"] > 0.95
    assert end.measures["chat.said_count"] < 110


def test_who_died_is_neither_a_success_nor_a_miss() -> None:
    """Exactly those pairs count whose receiver lived through the time of the message."""
    swarm = Swarm(scenario(timeline=(Kill(at_s=22.5, share=0.5),), link=LinkSpec(profile="lan")), seed=1)
    sent: list[tuple[int, list[int]]] = []
    swarm.ended.append(lambda asked: sent.append((asked.began_ns, [n for n in swarm.honest() if n != asked.node])))
    figures = swarm.run().measures
    lived = sum(len([n for n in nodes if swarm.engine.life(n) == 1]) for _, nodes in sent)
    assert (figures["chat.said_count"], figures["chat.said_success"]) == (lived, 1)


class TestDeliveries:
    """Without a run: who hears what when."""

    @pytest.fixture
    def swarm(self) -> Swarm:
        swarm = Swarm(scenario(population=Population(nodes=4, arrive_s=0), workload=()), seed=1)
        swarm.run_until(SECOND)
        return swarm

    def test_a_repetition_is_told_to_the_end_of_the_run(self, swarm: Swarm) -> None:
        deliveries = Deliveries(swarm, "x", SECOND)
        deliveries.sent("one", [1, 2])
        for node in (0, 1):
            deliveries.heard(node, 2 * SECOND, "one")
        assert swarm.measures.counts["x_again"] == 0
        deliveries.heard(0, 2 * SECOND, "one")  # its author, of whom nothing was expected
        swarm.run_until(30 * SECOND)
        operations = swarm.measures.operation("x")
        assert (list(operations.ok), list(operations.took_ns)) == ([True, False], [SECOND, SECOND])
        deliveries.heard(1, 30 * SECOND, "one")
        deliveries.heard(2, 30 * SECOND, "one")  # late, and the first time
        assert swarm.measures.counts["x_again"] == 2
        deliveries.heard(2, 30 * SECOND, "one")
        assert swarm.measures.counts["x_again"] == 3
        assert len(operations) == 2

    def test_a_new_life_remembers_nothing(self, swarm: Swarm) -> None:
        deliveries = Deliveries(swarm, "x", SECOND)
        deliveries.sent("one", [1, 2])
        deliveries.heard(1, SECOND, "one")
        swarm.engine.restart(1)
        deliveries.heard(1, SECOND, "one")
        swarm.run_until(3 * SECOND)
        assert list(swarm.measures.operation("x").ok) == [False], "node 1 did not live through it"
        assert swarm.measures.counts["x_again"] == 0

    def test_neither_adversaries_nor_foreign_words_count(self, swarm: Swarm) -> None:
        deliveries = Deliveries(swarm, "x", SECOND)
        deliveries.sent("one", [1])
        swarm.adversaries[3] = "x"
        tokens: tuple[object, ...] = ("two", 7, None, [], {})
        for token in tokens:
            deliveries.heard(1, SECOND, token)
        for _ in range(2):
            deliveries.heard(3, SECOND, "one")
        assert swarm.measures.counts["x_again"] == 0

    def test_what_is_remembered_is_bounded(self, swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("simulations.messages._MOST_HEARD", 12)
        deliveries = Deliveries(swarm, "x", SECOND)
        for n in range(10):
            deliveries.sent(f"{n}", [1])
            deliveries.heard(1, swarm.engine.now_ns, f"{n}")
            swarm.run_until((3 + 2 * n) * SECOND)
        assert len(deliveries._messages) == 3
        assert list(swarm.measures.operation("x").ok) == [True] * 10


def test_two_entries_on_one_topic_are_told_apart() -> None:
    news = [Publish(count=5, from_s=5, settle_s=from_s, within_s=5) for from_s in (10, 10.5)]
    end = Swarm(scenario(population=Population(nodes=6, arrive_s=2), workload=tuple(news)), seed=1).run()
    figures = end.measures
    assert (figures["publish_count"], figures["delivery_count"], figures["delivery_again"]) == (10, 50, 0)
    assert figures["delivery_success"] == 1


def test_two_entries_for_one_application_are_told_apart() -> None:
    says = (attrs.evolve(SAY, count=5), attrs.evolve(SAY, count=4, from_s=20.5))
    figures = Swarm(scenario(workload=says), seed=1).run().measures
    assert (figures["chat.say_count"], figures["chat.said_count"], figures["chat.said_again"]) == (9, 99, 0)
    assert figures["chat.said_success"] == 1


@pytest.mark.parametrize("text", ["hello", 7])
def test_messages_must_differ(text: object) -> None:
    table = {"kind": "app-command", "app": "chat", "command": "say", "heard": "said", "args": {"text": text}}
    with pytest.raises(BadScenario, match=r"workload\[0\]: args.text is the same in every message"):
        scenario_of("test", {"workload": [table]})


def test_messages_of_a_topic_are_measured_without_an_application() -> None:
    news = Publish(count=10, size=900, subscribers=0.5, from_s=5, settle_s=10, within_s=5)
    quiet = Population(nodes=20, arrive_s=2)
    end = Swarm(scenario(population=quiet, workload=(news,), link=LinkSpec(loss=0.05)), seed=1).run()
    figures = end.measures
    assert (figures["publish_success"], figures["publish_count"]) == (1, 10)
    assert figures["delivery_success"] > 0.98
    assert 10 < figures["delivery_count"] < 190
    assert figures["delivery_again"] == 0


def test_subscriptions_are_made_again_after_a_restart() -> None:
    news = Publish(count=10, from_s=5, settle_s=25, within_s=5)
    all_again = Kill(at_s=15, share=1, restart_after_s=5)
    swarm = Swarm(scenario(population=Population(nodes=8, arrive_s=2), workload=(news,), timeline=(all_again,)), seed=1)
    assert swarm.run().measures["delivery_count"] == 70


class Counter(App):
    """Uses what only a shell can do."""

    name = "counter"
    functions = {"square": lambda n: n * n, "fail": lambda: 1 // 0}  # noqa: RUF012

    def __init__(self) -> None:
        self.operations = {"count": self._count}
        self._counted = 0

    def _count(self, by: int) -> int:
        self._counted += by
        return self._counted

    async def run(self, ctx: AppContext) -> None:
        async def total(args: dict[str, Any]) -> Any:
            return [await ctx.compute("square", 7), await ctx.operate("count", args["by"])]

        async def starts(args: dict[str, Any]) -> Any:
            return int(ctx.storage.get(b"starts") or b"0")

        async def fail(args: dict[str, Any]) -> Any:
            try:
                return await ctx.compute("fail")
            except LocalError as error:
                return str(error)

        ctx.command("total", total)
        ctx.command("fail", fail)
        ctx.command("starts", starts)
        n = int(ctx.storage.get(b"starts") or b"0") + 1
        ctx.storage.put(b"starts", str(n).encode())
        await ctx.storage.synced()
        ctx.emit("started")


def asked(swarm: Swarm, node: int, command: str, **args: Any) -> Any:
    """What the application at a node answers."""
    got: list[Any] = []
    swarm.ask(node, "app", {"app": "counter", "command": command, "args": args}, lambda outcome, _: got.append(outcome))
    swarm.engine.run_while(lambda: not got, until_ns=swarm.engine.now_ns + SECOND)
    assert isinstance(got[0], Ok), got
    return got[0].value


def test_functions_and_operations_are_those_of_the_node() -> None:
    population = Population(nodes=3, arrive_s=1)
    swarm = Swarm(scenario(population=population, workload=()), seed=1, apps=lambda node: [Counter()])
    swarm.run_until(5 * SECOND)
    assert asked(swarm, 0, "total", by=2) == [49, 2]
    assert asked(swarm, 0, "total", by=2) == [49, 4]
    assert asked(swarm, 1, "total", by=5) == [49, 5]
    assert "ZeroDivisionError" in asked(swarm, 1, "fail")


def test_each_start_makes_the_applications_anew_on_what_was_stored() -> None:
    population = Population(nodes=3, arrive_s=1)
    swarm = Swarm(scenario(population=population, workload=()), seed=1, apps=lambda node: [Counter()])
    swarm.run_until(5 * SECOND)
    assert asked(swarm, 2, "total", by=2) == [49, 2]
    swarm.kill(2, power_loss=True)
    swarm.start(2)
    swarm.run_until(10 * SECOND)
    assert asked(swarm, 2, "total", by=2) == [49, 2]
    assert asked(swarm, 2, "starts") == 2
    assert swarm.measures.counts["counter.started"] == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "no application 'nobody': expected package.module:Class"),
        ("no.such.module:App", "cannot be loaded: ModuleNotFoundError"),
        ("apps.chat.core:Chit", "cannot be loaded: AttributeError"),
        ("apps.chat.core:Say", "is no application: expected a subclass of overlay.App"),
        ("overlay.app:App", "needs a name of 1 to 32"),
    ],
)
def test_an_application_that_cannot_be_had_is_named_with_its_path(name: str, told: str) -> None:
    with pytest.raises(BadScenario, match=told) as caught:
        scenario_of("test", {"population": {"apps": [name]}})
    assert caught.value.path == "population.apps"


def test_two_of_one_name_cannot_run_beside_each_other() -> None:
    with pytest.raises(ValueError, match="the name of another one"):
        factory(["apps.chat.core:Chat"] * 2)


def test_applications_are_found_by_the_name_that_a_node_runs_them_by() -> None:
    assert [type(app) for app in factory(["chat"])(0)] == [Chat]


def test_what_tells_that_it_was_heard_must_be_said() -> None:
    table = {"kind": "app-command", "app": "chat", "command": "say", "heard": "said"}
    with pytest.raises(BadScenario, match=r"workload\[0\]: heard = 'said' is told by field 'text'"):
        scenario_of("test", {"workload": [table]})


def test_the_shipped_scenario_holds_its_claims() -> None:
    end = Swarm(load("chat", ("population.nodes=16",)), seed=1, codec=Codec.OBJECTS).run()
    assert end.ok, (end.verdicts, end.broken)
    assert end.measures["chat.said_count"] == 100 * 15


def test_the_shipped_scenario_fails_where_nobody_waits() -> None:
    settings = ("population.nodes=16", "workload.within_s=0.05", "duration_s=130")
    end = Swarm(load("chat", settings), seed=1, codec=Codec.OBJECTS).run()
    assert [verdict.name for verdict in end.verdicts if not verdict.ok] == ["everybody hears what is said"]
