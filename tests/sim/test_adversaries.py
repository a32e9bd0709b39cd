"""Each adversary does what it says, from when it says, and what is left of its attack is what scenarios claim."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from overlay.limits import REPLY_CACHE_S
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Ok
from simulations.adversaries.replay import Heard
from simulations.adversaries.survey import entries
from simulations.population import Codec
from simulations.spec import BadScenario, load, scenario_of, shipped
from simulations.swarm import Asked, RunEnd, Swarm

GETS = {"kind": "put-get", "values": 10, "gets": 30, "from_s": 20}


def swarm_of(
    *adversaries: dict[str, Any], nodes: int = 25, duration_s: float = 40, seed: int = 1, **more: Any
) -> Swarm:
    table: dict[str, Any] = {
        "duration_s": duration_s,
        "population": {"nodes": nodes, "arrive_s": 5},
        "link": {"profile": "lan"},
        "adversaries": list(adversaries),
    }
    return Swarm(scenario_of("test", table | more), seed=seed, codec=Codec.OBJECTS)


def ran(*adversaries: dict[str, Any], **more: Any) -> RunEnd:
    return swarm_of(*adversaries, **more).run()


@attrs.frozen(slots=True, kw_only=True)
class Bored:
    """An adversary of somebody else."""

    marks: int = 2

    def begin(self, swarm: Swarm) -> None:
        for i in range(self.marks):
            swarm.at(1 + i, lambda: swarm.measures.count("yawns"))
        swarm.corrupt(swarm.corruptible[0], "bored", swarm.population.peer)


def test_one_of_another_package_plugs_in_by_name() -> None:
    swarm = swarm_of({"kind": f"{__name__}:Bored", "marks": 3}, nodes=5, duration_s=10)
    assert swarm.run().measures["yawns"] == 3
    assert list(swarm.adversaries.values()) == ["bored"]


def test_the_one_of_the_docs_works(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    [block] = [part.split("```")[0] for part in text.split("```python\n")[1:] if "class Mute" in part]
    module = ModuleType("mute_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block, "docs/simulator.md", "exec"), module.__dict__)
    swarm = swarm_of({"kind": f"{module.__name__}:Mute", "fraction": 0.3}, nodes=10, duration_s=15)
    swarm.run()
    assert list(swarm.adversaries.values()) == ["mute"] * 3


def test_positions() -> None:
    """By count, by share, near a key or the victim; they never share a node, and the victim stays honest."""
    key = "80" + "00" * 31
    swarm = swarm_of(
        {"kind": "silent-droppers", "count": 3, "near": key},
        {"kind": "slow-peers", "count": 3, "near": "victim"},
        {"kind": "replayers", "fraction": 0.5},
        nodes=20,
    )
    by_name = {name: [n for n, own in swarm.adversaries.items() if own == name] for name in swarm.adversaries.values()}
    free = range(3, 19)
    near_key = sorted(free, key=lambda node: swarm.number(node) ^ int(key, 16))[:3]
    assert sorted(by_name["silent-droppers"]) == sorted(near_key)
    rest = sorted(set(free) - set(near_key), key=lambda node: swarm.number(node) ^ swarm.number(19))
    assert sorted(by_name["slow-peers"]) == sorted(rest[:3])
    assert len(by_name["replayers"]) == 10  # half of 20: all that are left
    assert 19 not in swarm.adversaries


@pytest.mark.parametrize(
    ("adversary", "message"),
    [
        ({"kind": "eclipse", "near": "someone"}, r'adversaries\[0\].near: expected "victim" or a key'),
        ({"kind": "flooders", "rate": 90000, "to_s": 1000}, r"adversaries\[0\].to_s: that is 169,200,000 datagrams"),
        ({"kind": "colluding-routers", "names": "x"}, r"adversaries\[0\].names: expected one of accomplices"),
        ({"kind": "eclipsed"}, "did you mean 'eclipse'"),
    ],
)
def test_mistakes_are_named(adversary: dict[str, Any], message: str) -> None:
    with pytest.raises(BadScenario, match=message):
        swarm_of(adversary)


def test_they_are_honest_until_they_turn() -> None:
    """Before `from_s` a run with them is the same as one without but for who counts as honest."""
    swarm = swarm_of({"kind": "silent-droppers", "fraction": 0.5, "from_s": 15}, nodes=12)
    plain = swarm_of(nodes=12)
    for one in (swarm, plain):
        one.run_until(14 * SECOND)
    assert swarm.measures.counts["dropped_requests"] == 0
    assert swarm.network.sent == plain.network.sent


@pytest.mark.parametrize("names", ["accomplices", "false-port", "false-address"])
def test_colluding_routers_do_not_lead_eight_paths_astray(names: str) -> None:
    lookups = {"kind": "lookup", "count": 30, "paths": 8, "from_s": 12}
    liars = {"kind": "colluding-routers", "fraction": 0.4, "names": names, "from_s": 11}
    measures = ran(liars, nodes=40, duration_s=20, workload=[lookups]).measures
    assert measures["named_astray"] > 50
    assert measures["lookup_success"] >= 0.9


# --- what the headline figure says ---


def _brute_force(swarm: Swarm, found: list[bool]) -> None:
    """Appends of every lookup whether the nearest honest node, of those that run when it begins, is in its answer, or
    has died since."""
    begun: dict[str, int] = {}
    ask = swarm.ask

    def asked(node: int, name: str, args: dict[str, Any], on_end: Any) -> None:
        others = [i for i in range(len(swarm)) if i != node and i not in swarm.adversaries and swarm.engine.awake(i)]
        begun[args["key"]] = sorted(others, key=lambda i: swarm.number(i) ^ int(args["key"], 16))[0]
        ask(node, name, args, on_end)

    def ended(one: Asked) -> None:
        nearest = begun[one.args["key"]]
        answer = one.outcome.value["closest"] if isinstance(one.outcome, Ok) else []
        found.append(swarm.id_text(nearest) in answer or (bool(answer) and not swarm.engine.alive(nearest)))

    swarm.ask = asked  # type: ignore[method-assign]
    swarm.ended.append(ended)


@pytest.mark.parametrize(
    ("world", "least", "most"),
    [
        ({"timeline": [{"action": "partition", "at_s": 10, "shares": [0.5]}]}, 0.3, 0.7),
        ({"link": {"loss": 1.0}}, 0, 0),
        ({}, 1, 1),
    ],
    ids=["cut in two", "nobody is heard", "well"],
)
def test_lookups_that_miss_are_counted_as_such(world: dict[str, Any], least: float, most: float) -> None:
    lookups = {"kind": "lookup", "count": 50, "paths": 1, "from_s": 10.5}
    swarm, found = swarm_of(nodes=24, duration_s=15, workload=[lookups], **world), list[bool]()
    _brute_force(swarm, found)
    measures = swarm.run().measures
    assert measures["lookup_count"] == len(found)
    assert measures["lookup_success"] == pytest.approx(sum(found) / len(found), abs=1e-6)
    assert least <= measures["lookup_success"] <= most


def test_a_node_that_can_find_nobody_asks_nothing() -> None:
    """All but the one through which they join are behind NATs, and no lookup is to find those."""
    population = {"nodes": 4, "arrive_s": 2, "bootstraps": 1, "nat": {"symmetric": 1.0}}
    lookups = {"kind": "lookup", "count": 20, "from_s": 10}
    measures = swarm_of(population=population, duration_s=20, workload=[lookups]).run().measures
    assert measures["lookup_nobody_to_find"] > 0
    assert measures["lookup_count"] + measures["lookup_nobody_to_find"] == 20


def test_eclipse_owns_the_neighbours_of_its_victim_and_not_its_lookups() -> None:
    measures = ran({"kind": "eclipse", "count": 22, "from_s": 8}, nodes=20, duration_s=30).measures
    assert measures["eclipse_closest"] >= 0.9
    assert 0.2 <= measures["victim_table"] <= 0.65
    assert measures["victim_lookup_success"] >= 0.9


def test_a_value_whose_key_is_surrounded_is_found() -> None:
    measures = ran({"kind": "eclipse", "near": "", "count": 22, "from_s": 8}, nodes=20, duration_s=40).measures
    assert measures["eclipse_closest"] >= 0.9
    assert measures["eclipsed_put_success"] == 1
    assert measures["eclipsed_get_success"] >= 0.9


def test_sybils_of_one_network_are_fewer_in_tables_than_those_of_many() -> None:
    one, many = (
        ran({"kind": "sybil-flood", "count": 50, "groups": groups, "from_s": 6}, nodes=25, duration_s=14).measures
        for groups in (1, 0)
    )
    assert one["adversary_share"] == many["adversary_share"] == round(50 / 75, 6)
    assert one["table_adversary_share"] < many["table_adversary_share"]


@pytest.mark.parametrize(("aim", "most"), [("victim", 9), ("group", 9), ("unroutable", 0)])
def test_lies_about_places_bring_them_little(aim: str, most: float) -> None:
    lookups = {"kind": "lookup", "count": 20, "from_s": 15}
    measures = ran({"kind": "table-poisoning", "aim": aim}, duration_s=30, workload=[lookups]).measures
    assert measures["poison_answers"] > 20
    assert measures["poison_per_answer"] <= most
    assert (measures["poison_datagrams"] > 0) is (most > 0)
    assert measures["table_false"] == 0


@pytest.mark.parametrize("confirm", [False, True])
def test_values_outlive_those_who_drop_them(confirm: bool) -> None:
    measures = ran({"kind": "silent-droppers", "fraction": 0.3, "confirm": confirm}, workload=[GETS]).measures
    assert measures["dropped_requests"] > 50
    assert (measures["put_success"], measures["get_success"]) == (1, 1)


def test_slow_peers_delay_nobody_but_who_waits_for_them() -> None:
    measures = ran({"kind": "slow-peers", "fraction": 0.3, "delay_s": 1.5, "from_s": 15}, workload=[GETS]).measures
    assert measures["delayed"] > 100
    assert measures["get_success"] == 1
    assert measures["get_p99_ms"] <= 1500


def test_replayers_say_what_is_new_and_what_everybody_forgot() -> None:
    swarm = swarm_of({"kind": "replayers", "count": 2, "rate": 20, "from_s": 5}, nodes=8, duration_s=70)
    heard_s: dict[int, float] = {}
    kept: list[bytes] = []
    ages_s: list[float] = []
    inject = swarm.engine.inject

    def tap(sender: int, to: Address, data: bytes) -> None:
        kept.append(data)  # else its id would be another's
        heard_s.setdefault(id(data), swarm.now_s)

    def injected(node: int, to: Address, data: bytes, *, source: Address | None = None) -> None:
        ages_s.append(swarm.now_s - heard_s[id(data)])
        inject(node, to, data, source=source)

    swarm.engine.taps.append(tap)
    swarm.engine.inject = injected  # type: ignore[method-assign]
    assert swarm.run().measures["replayed"] == len(ages_s) > 2000
    assert sum(age > REPLY_CACHE_S for age in ages_s) > len(ages_s) / 10
    assert max(ages_s) > 55
    assert sum(age < 15 for age in ages_s) > len(ages_s) / 4


def test_of_all_that_was_heard_each_is_kept_with_the_same_chance() -> None:
    heard = Heard(Rng(3), 100)
    for n in range(20_000):
        heard.add((n, Address(bytes(4), 1), b""))
    assert [n for n, _, _ in heard.newest] == list(range(19_900, 20_000))
    drawn = [heard.one(Rng(n))[0] for n in range(4000)]
    old = [n for n in drawn if n < 19_900]
    assert 0.45 < len(old) / len(drawn) < 0.55
    assert 8_500 < sum(old) / len(old) < 11_500
    assert min(old) < 1000


@pytest.mark.parametrize("hears", ["own", "all"])
def test_replays_move_nobody_and_bring_nothing_back(hears: str) -> None:
    updates = {"kind": "updates", "authors": 3, "puts": 20, "reads": 20, "from_s": 20}
    measures = ran(
        {"kind": "replayers", "count": 3, "hears": hears, "rate": 40, "from_s": 10}, workload=[updates]
    ).measures
    assert measures["replayed"] > 2000
    assert measures["table_false"] == 0
    assert measures["fresh_success"] == 1
    assert measures["dropped_misaddressed" if hears == "own" else "dropped_unexpected_reply"] > 100


def test_forgeries_are_dropped_and_never_read() -> None:
    measures = ran({"kind": "forgers", "fraction": 0.2}, workload=[GETS]).measures
    assert min(measures["forged_datagrams"], measures["forged_values"], measures["dropped_malformed"]) > 50
    assert measures["get_wrong"] == 0
    assert measures["get_success"] >= 0.95
    assert measures["table_false"] == 0


def test_who_is_behind_a_nat_stands_in_tables_at_the_address_of_its_box() -> None:
    """All let strangers in, so all are in tables: none of these entries is false."""
    population = {"nodes": 24, "arrive_s": 5, "bootstraps": 4, "nat": {"full_cone": 1.0}}
    swarm = swarm_of({"kind": "forgers", "count": 2}, population=population, link={"profile": "wan"}, duration_s=60)
    measures = swarm.run().measures
    hidden = [node for node in swarm.honest() if swarm.network.nat_of(node) is not None]
    keys = {swarm.population.keys(node).key for node in hidden}
    assert sum(entry.contact.key in keys for node in swarm.honest() for entry in entries(swarm, node)) > 20
    assert measures["table_false"] == 0


def test_a_forgery_that_another_adversary_says_to_keep_counts_for_nothing() -> None:
    liars = {"kind": "silent-droppers", "fraction": 0.4, "confirm": True}
    forgers = {"kind": "forgers", "count": 4, "provide_every_s": 0.2}
    measures = ran(forgers, liars, nodes=20, duration_s=30).measures
    assert measures["forged_provides"] > 100
    assert measures["forged_provides_kept"] == 0


def test_equivocation_is_reported_and_mostly_settled() -> None:
    measures = ran({"kind": "equivocators", "count": 3, "from_s": 12, "every_s": 0.5}, duration_s=45).measures
    assert measures["equivocations"] >= 40
    assert measures["equivocations_reported"] > 0
    assert measures["equivocated_get_success"] >= 0.7


@pytest.mark.parametrize("what", ["ping", "forged", "junk"])
def test_a_flood_is_not_answered_with_more(what: str) -> None:
    flood = {"kind": "flooders", "count": 1, "rate": 2500, "what": what, "from_s": 15, "to_s": 17}
    measures = ran(flood, nodes=15, duration_s=22).measures
    assert measures["flood_datagrams"] == 5000
    assert measures["flood_dropped_rate"] == pytest.approx(0.2, abs=0.05)  # 2,000 a second are looked at
    assert measures["flood_answer_bytes_ratio"] <= 1
    assert (measures["flood_answers"] > 3000) is (what == "ping")
    assert measures["victim_lookup_success"] == 1


def test_reflection_does_not_pay() -> None:
    mirrors = {"kind": "reflectors", "count": 1, "rate": 100, "from_s": 12, "to_s": 20}
    measures = ran(mirrors, nodes=15, duration_s=25).measures
    assert measures["reflected_datagrams"] > 500
    assert 0.3 <= measures["reflection_ratio"] <= 1


def test_every_shipped_scenario_reads_and_begins() -> None:
    for name in shipped():
        assert len(Swarm(load(name, ("population.nodes=40",)))) >= 40
