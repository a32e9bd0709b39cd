"""A swarm whose nodes keep a chain together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apps.chain.core.app import Chain
from apps.chain.core.params import Params, simulated
from overlay.app import App
from overlay.events import AppEvent
from overlay.peer import Peer
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Core, Entropy, Storage
from simulations.apps import SwarmApps
from simulations.chain.world import ChainWorld, MakeChain
from simulations.engine import Engine
from simulations.fake_keys import FakeKeyPair, fake_verify
from tests.support.swarm import Swarm

PARAMS = simulated(b"swarm", maturity=2)
#: Hashes a second of all miners together: a difficulty of about 1,000 at 15 s.
RATE = 68.0


class ChainSwarm(Swarm):
    """`Swarm` with a chain on every node; `rates` says who mines how fast, `kinds` who runs something else."""

    def __init__(
        self, n: int, *, rates: Mapping[int, float] | None = None, kinds: Mapping[int, MakeChain] | None = None,
        params: Params = PARAMS, light: Iterable[int] = (), setup: Callable[[ChainWorld], object] = lambda _world: None,
        **more: Any,
    ) -> None:  # fmt: skip
        self.world = ChainWorld()
        self.world.params = params
        self.world.rates |= rates or {}
        self.world.others |= kinds or {}
        self.world.light |= set(light)
        self.world.luck = lambda node: Rng(self.seed << 16 | node)
        setup(self.world)
        self.apps = SwarmApps(self._chains)
        super().__init__(0, make_peer=self._with_chain, join=False, fake_keys=True, **more)
        self.engine = Engine(
            self._with_chain, seed=self.seed, network=self.network, functions=self.apps.functions,
            operations=self.apps.operations, on_report=lambda *report: self.reports.append(report),
            on_power_loss=self.world.power_lost,
        )  # fmt: skip
        for _ in range(n):
            self.add()
        self.join()

    def _chains(self, node: int) -> list[App]:
        return [self.world.app(node)]

    def _with_chain(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Core:
        return Peer(
            network=self.realm, keys=FakeKeyPair(self.keys(index).key), storage=storage, rng=rng, entropy=entropy,
            verifier=fake_verify, book=self._book, codec=self._codec, apps=self.apps(index),
        )  # fmt: skip

    def chain(self, node: int) -> Chain:
        return self.world.running[node]

    def ask(self, node: int, command: str, **args: Any) -> Any:
        return self.command(node, "app", app="chain", command=command, args=args)

    def mine(self, *nodes: int) -> None:
        for node in nodes:
            self.ask(node, "mine_start")

    def rest(self, *nodes: int) -> None:
        for node in nodes:
            self.ask(node, "mine_stop")

    def count_operations(self, node: int, name: str) -> list[tuple[Any, ...]]:
        """Arguments of each call of an operation of that node from now on."""
        calls: list[tuple[Any, ...]] = []
        operation = self.apps._by_node[node, f"chain.{name}"]

        def noted(*args: Any) -> Any:
            calls.append(args)
            return operation(*args)

        self.apps._by_node[node, f"chain.{name}"] = noted
        return calls

    def tips(self) -> set[bytes]:
        return {self.chain(node).desk.summary.tip for node in self.alive()}

    def height(self, node: int) -> int:
        return self.chain(node).desk.summary.height

    def until_height(self, node: int, height: int) -> None:
        while self.height(node) < height:
            self.run_for(1)

    def events(self, name: str) -> list[tuple[int, dict[str, object]]]:
        return [
            (node, dict(event.fields))
            for node, _, event in self.reports
            if isinstance(event, AppEvent) and event.name == name
        ]
