"""A scenario: what a swarm consists of, what happens to it, and what is claimed of it.

Written as TOML; docs/simulator.md describes every key. Times are virtual seconds from the start, shares are 0 to 1.
`simulations.spec` reads files; the values here are what they become.
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from simulations.bounds import LONGEST_S, ascending, between, not_negative, one_of, positive, share
from simulations.plugins import Registry

#: More would not fit into the memory of the machines this is made for.
MAX_NODES = 200_000


class BadScenario(ValueError):
    """What is wrong with a scenario, each with the path of its key."""

    def __init__(self, path: str, what: str, *more: tuple[str, str]) -> None:
        #: (path, what), at least one.
        self.problems = ((path, what), *more)
        self.path = path
        super().__init__("; ".join(f"{path}: {what}" if path else what for path, what in self.problems))


class TooMany(ValueError):
    """More adversaries than nodes that can be one; `key`: of the scenario, that asks for them."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


class Swarm(Protocol):
    """What parts of a scenario get: `simulations.swarm.Swarm`, which imports this module."""


class Part(Protocol):
    """One entry of `timeline`, `workload` or `adversaries`, or `churn`: an attrs class whose fields are its keys."""

    def begin(self, swarm: Any) -> None:
        """Called once before the run; puts what it does on the swarm's clock (`swarm.at`, `swarm.every`)."""


CHURN: Registry[Part] = Registry(
    "a churn model",
    "model",
    {
        "exponential": "simulations.churn:Exponential",
        "weibull": "simulations.churn:Weibull",
        "pareto": "simulations.churn:Pareto",
    },
)
ACTIONS: Registry[Part] = Registry(
    "an action",
    "action",
    {
        "partition": "simulations.timeline:Partition",
        "heal": "simulations.timeline:Heal",
        "kill": "simulations.timeline:Kill",
        "leave": "simulations.timeline:Leave",
        "join": "simulations.timeline:Join",
        "link": "simulations.timeline:SetLink",
        "cut": "simulations.timeline_network:Cut",
        "unplug": "simulations.timeline_network:Unplug",
        "move": "simulations.timeline_network:Move",
        "freeze": "simulations.timeline_machines:Freeze",
        "sleep": "simulations.timeline_machines:Sleep",
        "clock": "simulations.timeline_machines:SetClock",
        "disk": "simulations.timeline_machines:BreakDisk",
    },
)
WORKLOADS: Registry[Part] = Registry(
    "a workload",
    "kind",
    {
        "lookup": "simulations.workload:Lookups",
        "put-get": "simulations.workload:PutGet",
        "updates": "simulations.updates:Updates",
        "census": "simulations.census:Census",
        "publish": "simulations.messages:Publish",
        "app-command": "simulations.messages:AppCommand",
        "share-files": "simulations.files.sharing:ShareFiles",
        "mine-blocks": "simulations.chain.blocks:MineBlocks",
        "one-chain": "simulations.chain.blocks:OneChain",
        "double-spends": "simulations.chain.blocks:DoubleSpends",
    },
)
ADVERSARIES: Registry[Part] = Registry(
    "an adversary",
    "kind",
    {
        "colluding-routers": "simulations.adversaries.routers:ColludingRouters",
        "eclipse": "simulations.adversaries.sybils:Eclipse",
        "sybil-flood": "simulations.adversaries.sybils:SybilFlood",
        "table-poisoning": "simulations.adversaries.poisoning:TablePoisoning",
        "silent-droppers": "simulations.adversaries.silent:SilentDroppers",
        "slow-peers": "simulations.adversaries.silent:SlowPeers",
        "replayers": "simulations.adversaries.replay:Replayers",
        "forgers": "simulations.adversaries.forgers:Forgers",
        "equivocators": "simulations.adversaries.equivocators:Equivocators",
        "mute-members": "simulations.adversaries.gossipers:MuteMembers",
        "hollow-members": "simulations.adversaries.gossipers:HollowMembers",
        "spam-publishers": "simulations.adversaries.gossipers:SpamPublishers",
        "flooders": "simulations.adversaries.flood:Flooders",
        "reflectors": "simulations.adversaries.flood:Reflectors",
        "corrupt-units": "simulations.adversaries.sharers:CorruptUnits",
        "free-riders": "simulations.adversaries.sharers:FreeRiders",
        "selfish-miner": "simulations.adversaries.selfish:SelfishMiner",
        "chain-liars": "simulations.adversaries.chain_liars:ChainLiars",
        "tx-flooders": "simulations.adversaries.tx_flood:TxFlooders",
    },
)


def loadable(_instance: Any, attribute: Any, names: tuple[str, ...]) -> None:
    """A validator: the applications can be made, and can run beside each other."""
    from simulations.apps import factory  # for who runs some: most scenarios have none

    try:
        factory(names)
    except ValueError as error:
        raise ValueError(str(error), attribute) from error


def known_invariants(_instance: Any, attribute: Any, names: tuple[str, ...]) -> None:
    """A validator: a name that is misspelt would leave nothing out."""
    if not names:
        return
    from simulations.invariants import INVARIANTS  # which know the swarm, which knows scenarios

    for name in names:
        if name not in INVARIANTS:
            raise ValueError(f"{name!r} is no invariant; known: {', '.join(INVARIANTS)}", attribute)


@attrs.frozen(slots=True, kw_only=True)
class NatShares:
    """How many nodes are behind which sort of NAT (simulations.nat); the others are behind none."""

    full_cone: float = attrs.field(default=0.0, validator=share)
    restricted: float = attrs.field(default=0.0, validator=share)
    port_restricted: float = attrs.field(default=0.0, validator=share)
    symmetric: float = attrs.field(default=0.0, validator=share)
    #: A mapping is forgotten when nothing went out by it for so long.
    expire_s: float = attrs.field(default=120.0, validator=positive)

    def __attrs_post_init__(self) -> None:
        if self.full_cone + self.restricted + self.port_restricted + self.symmetric > 1.000001:
            raise ValueError("the shares are more than 1 together")


@attrs.frozen(slots=True, kw_only=True)
class Access:
    """Lines that are not endlessly fast."""

    #: Of the nodes through which nobody joins.
    share: float = attrs.field(default=1.0, validator=share)
    up_mbit: float = attrs.field(default=10.0, validator=between(0.001, 100_000))
    down_mbit: float = attrs.field(default=50.0, validator=between(0.001, 100_000))
    #: What would wait longer is lost.
    queue_ms: float = attrs.field(default=200.0, validator=not_negative)


@attrs.frozen(slots=True, kw_only=True)
class Population:
    """Who takes part."""

    nodes: int = attrs.field(default=100, validator=between(2, MAX_NODES))
    #: "internet": global addresses; "lan": one private network; "sites": several, each behind a NAT, and only
    #: the nodes through which others join are on the internet.
    place: str = attrs.field(default="internet", validator=one_of("internet", "lan", "sites"))
    #: Private networks, for `place = "sites"`.
    sites: int = attrs.field(default=5, validator=between(1, 10_000))
    #: Nodes on the internet that share a /24.
    per_24: int = attrs.field(default=1, validator=between(1, 200))
    nat: NatShares = NatShares()
    access: Access | None = None
    #: The nodes start within this time, one after the other, and join through one of the first.
    arrive_s: float = attrs.field(default=20.0, validator=between(0, LONGEST_S))
    #: Nodes through which the others join: always honest, the first to start.
    bootstraps: int = attrs.field(default=3, validator=positive)
    #: Bits of the puzzle of this network; keys that solve it are looked for, so keep it small.
    puzzle_bits: int = attrs.field(default=0, validator=between(0, 12))
    #: Applications that every node runs, adversaries too: `package.module:Class`, or names as of `p2pnode run --app`.
    apps: tuple[str, ...] = attrs.field(default=(), validator=loadable)


@attrs.frozen(slots=True, kw_only=True)
class LinkSpec:
    """What lies between two nodes; a profile, and what differs from it."""

    profile: str = attrs.field(default="wan", validator=one_of("loopback", "lan", "wan"))
    #: One way, the least and the most.
    latency_ms: tuple[float, float] | None = attrs.field(default=None, validator=ascending)
    loss: float = attrs.field(default=0.0, validator=share)
    #: What is lost is lost in bursts of so many datagrams of one sender, on average; 1: each by itself.
    burst: float = attrs.field(default=1.0, validator=between(1, 10_000))
    duplicate: float = attrs.field(default=0.0, validator=share)
    reorder: float = attrs.field(default=0.0, validator=share)
    #: Longer datagrams are lost: bytes above UDP. 1452 if left out.
    mtu: int | None = attrs.field(default=None, validator=between(500, 65_507))


@attrs.frozen(slots=True, kw_only=True)
class Claim:
    """Must hold at the end: a measure and its bounds."""

    measure: str
    at_least: float | None = None
    at_most: float | None = None
    name: str = ""

    def __attrs_post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a claim needs at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"nothing is at least {self.at_least:g} and at most {self.at_most:g}")


@attrs.frozen(slots=True, kw_only=True)
class Scenario:
    """A whole scenario, checked."""

    name: str
    description: str = ""
    duration_s: float = attrs.field(default=300.0, validator=between(0.001, LONGEST_S))
    #: How often population, memory and traffic are sampled for plots.
    sample_s: float = attrs.field(default=5.0, validator=between(0.001, LONGEST_S))
    population: Population = Population()
    link: LinkSpec = LinkSpec()
    churn: Part | None = None
    timeline: tuple[Part, ...] = ()
    workload: tuple[Part, ...] = ()
    adversaries: tuple[Part, ...] = ()
    claims: tuple[Claim, ...] = ()
    #: Invariants that do not apply here, by name; all others are checked while it runs.
    without: tuple[str, ...] = attrs.field(default=(), validator=known_invariants)
