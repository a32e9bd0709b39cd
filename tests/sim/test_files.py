"""Shares of files in a swarm: everybody gets them whole, and bad peers hurt nobody but themselves."""

from __future__ import annotations

from apps.files.core.memory_disk import make_share
from tests.support.files_swarm import FilesSwarm

MIB = 1 << 20
FILM = make_share(b"film", {(b"film",): 10 * MIB + 12345})
LIBRARY = {made.info.id: made for made in (FILM,)}


def begun(swarm: FilesSwarm, leechers: list[int], *, seeds: tuple[int, ...] = (0,)) -> str:
    """The film is shared by the seeds and wanted by the leechers; its link."""
    swarm.run_for(5)
    for seed in seeds:
        link = swarm.ask(seed, "share", path="film")["link"]
    swarm.run_for(5)
    for leecher in leechers:
        swarm.ask(leecher, "get", link=link, folder="/downloads")
    return str(link)


def test_one_seed_and_four_leechers() -> None:
    swarm = FilesSwarm(5, LIBRARY, seed=1)
    begun(swarm, [1, 2, 3, 4])
    took = swarm.until_all([1, 2, 3, 4], FILM.info.id, within_s=60)
    assert took < 30
    for node in (1, 2, 3, 4):
        status = swarm.ask(node, "status", share=FILM.info.id.hex())
        assert status["state"] == "complete"
        assert status["done"] == status["size"] == FILM.info.length
        assert status["wasted"] <= 0.05 * FILM.info.length
    assert swarm.events("bad peer") == swarm.events("corrupt") == swarm.events("failed") == []
