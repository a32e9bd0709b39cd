"""In what file sharing lives in a swarm: a library of made-up shares, and for each node a disk without a disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from apps.files.core.app import Files
from apps.files.core.memory_disk import Made, MemoryDisk
from apps.files.core.share import Share
from overlay.app import App
from simulations.scenario import BadScenario

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Makes the application of a node from the operations of its disk.
MakeFiles = Callable[[Mapping[str, Callable[..., Any]]], Files]


class FilesWorld:
    """A `simulations.apps.World`; scenarios call it "files"."""

    def __init__(self) -> None:
        #: All shares that there are, by id.
        self.library: dict[bytes, Made] = {}
        #: By node; what is on them outlives the process.
        self.disks: dict[int, MemoryDisk] = {}
        #: What runs on each node, or ran when it was switched off.
        self.running: dict[int, Files] = {}
        #: Nodes whose application is another one: adversaries.
        self.others: dict[int, MakeFiles] = {}
        #: Nodes that say that they have all: what they hold says nothing.
        self.pretending: set[int] = set()

    def app(self, node: int) -> App:
        make = self.others.get(node, Files)
        self.running[node] = make(self.disk(node).operations())
        return self.running[node]

    def disk(self, node: int) -> MemoryDisk:
        found = self.disks.get(node)
        if found is None:
            found = self.disks[node] = MemoryDisk(self.library)
        return found

    def share(self, node: int, share_id: bytes) -> Share | None:
        """How a node has it, if it does."""
        running = self.running[node].shares.get(share_id) if node in self.running else None
        return running.share if running is not None else None


def files_of(swarm: Swarm) -> FilesWorld:
    """That of a swarm. BadScenario if nobody shares files there."""
    found = swarm.worlds.find(FilesWorld)
    if found is None:
        raise BadScenario("population.apps", 'expected "files" among them: a part of the scenario is about files')
    return found
