"""A swarm whose nodes exchange files that exist nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.files.core.app import Files
from apps.files.core.memory_disk import Made, MemoryDisk
from overlay.app import App
from overlay.events import AppEvent
from overlay.peer import Peer
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Core, Entropy, Storage
from simulations.apps import SwarmApps
from simulations.engine import Engine
from simulations.fake_keys import FakeKeyPair, fake_verify
from tests.support.swarm import Swarm


class FilesSwarm(Swarm):
    """`Swarm` with file sharing on every node; `kinds` gives some nodes another application."""

    def __init__(
        self, n: int, library: Mapping[bytes, Made], *, kinds: Mapping[int, type[Files]] | None = None, **more: Any
    ) -> None:
        self.library = library
        self.kinds = kinds or {}
        self.disks: dict[int, MemoryDisk] = {}
        self.files: dict[int, Files] = {}
        self.apps = SwarmApps(self._files)
        super().__init__(0, make_peer=self._with_files, join=False, fake_keys=True, **more)
        self.engine = Engine(
            self._with_files, seed=self.seed, network=self.network, functions=self.apps.functions,
            operations=self.apps.operations, on_report=lambda *report: self.reports.append(report),
        )  # fmt: skip
        for _ in range(n):
            self.add()
        self.join()

    def _files(self, node: int) -> list[App]:
        disk = self.disks.setdefault(node, MemoryDisk(self.library))
        self.files[node] = self.kinds.get(node, Files)(disk.operations())
        return [self.files[node]]

    def _with_files(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Core:
        return Peer(
            network=self.realm, keys=FakeKeyPair(self.keys(index).key), storage=storage, rng=rng, entropy=entropy,
            verifier=fake_verify, book=self._book, codec=self._codec, apps=self.apps(index),
        )  # fmt: skip

    def ask(self, node: int, command: str, **args: Any) -> Any:
        return self.command(node, "app", app="files", command=command, args=args)

    def events(self, name: str) -> list[tuple[int, dict[str, object]]]:
        return [
            (node, dict(event.fields))
            for node, _, event in self.reports
            if isinstance(event, AppEvent) and event.name == name
        ]

    def until_all(self, nodes: list[int], share: bytes, *, within_s: float) -> float:
        """Virtual seconds until these nodes have all of it."""
        start_ns = self.engine.now_ns
        waiting = lambda: any(share not in self.disks[node].finished for node in nodes)  # noqa: E731
        if not self.engine.run_while(waiting, until_ns=start_ns + round(within_s * 1e9)):
            states = {node: self.ask(node, "list") for node in nodes}
            raise TimeoutError(f"not finished within {within_s} s: {states}")
        assert not any(disk.wrong for disk in self.disks.values())
        took_s = (self.engine.now_ns - start_ns) / 1e9
        self.run_for(0.1)  # the disk has them: the applications hear of it
        return took_s
