"""Search in swarms: who has it is found, whoever else is there."""

from __future__ import annotations

from typing import Any

import pytest

from apps.files.core.app import Files
from apps.files.core.catalogue import Entry
from apps.files.core.limits import LEASE_S, MAX_PEERS_ASKED, MAX_POSTINGS_PER_PEER, MAX_SHARE_TERMS, MAX_TERMS
from apps.files.core.memory_disk import Made, make_share
from apps.files.core.terms import term_key
from overlay.app import AppContext
from overlay.identity.network import Network
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND
from tests.support.files_swarm import FilesSwarm
from tests.support.swarm import PORT, internet_address


def made(name: str, *, private: bool = False) -> Made:
    return make_share(name.encode(), {(name.encode(),): 5000}, private=private)


MOON, SUN, SECRET = made("Red Moon.mkv"), made("Blue Sun 2024.iso"), made("secret moon", private=True)
LIBRARY = {one.info.id: one for one in (MOON, SUN, SECRET)}
FOLDER = make_share(b"moon folder", {(b"a",): 9000, (b"b",): 9000})
N = 80
NUMBERED = [made(f"common number{number:03}") for number in range(N)]


class Spammer(Files):
    """Has 10,000 shares that do not exist, all called like what others have."""

    def _whole(self, share_id: bytes) -> bool:
        return True

    async def run(self, ctx: AppContext) -> None:
        await super().run(ctx)
        for number in range(10_000):
            self.search.catalogue.add(Entry(number.to_bytes(32, "big"), "red moon mkv", 1, 1, ("pills",)), 0)


class Renamer(Spammer):
    """Says of a share that others have, and it has not, that it is called otherwise."""

    async def run(self, ctx: AppContext) -> None:
        await Files.run(self, ctx)
        self.search.catalogue.add(Entry(MOON.info.id, "red moon mkv FREE PILLS", 9, 9, ("pills",)), 0)


def share(swarm: FilesSwarm, node: int, of: Made, **more: Any) -> str:
    return str(swarm.ask(node, "share", path=of.info.name.decode(), **more)["link"])


def search(swarm: FilesSwarm, node: int, words: str) -> list[dict[str, Any]]:
    return list(swarm.ask(node, "search", words=words)["results"])


def ids(swarm: FilesSwarm, node: int, words: str) -> set[str]:
    return {one["id"] for one in search(swarm, node, words)}


def found(swarm: FilesSwarm, node: int, words: str) -> dict[str, int]:
    """Name -> seeds, the best first."""
    return {one["name"]: one["seeds"] for one in search(swarm, node, words)}


@pytest.fixture(scope="module")
def eighty() -> FilesSwarm:
    """Eighty nodes, each with a share of its own."""
    swarm = FilesSwarm(N, {one.info.id: one for one in NUMBERED}, seed=1)
    swarm.run_for(5)
    swarm.commands(
        (node, "app", {"app": "files", "command": "share", "args": {"path": one.info.name.decode()}})
        for node, one in enumerate(NUMBERED)
    )
    swarm.run_for(30)
    return swarm


def test_what_one_node_has_all_find(eighty: FilesSwarm) -> None:
    for node in range(0, N, 5):
        other = (node * 7 + 31) % N
        answer = eighty.ask(node, "search", words=f"NUMBER{other:03}")
        assert [one["id"] for one in answer["results"]] == [NUMBERED[other].info.id.hex()]
        assert answer["asked"] <= 1


def test_of_several_words_the_rarest_decides_who_is_asked(eighty: FilesSwarm) -> None:
    for node in range(0, N, 10):
        answer = eighty.ask(node, "search", words=f"common number{N - 1 - node:03}")
        assert [one["id"] for one in answer["results"]] == [NUMBERED[N - 1 - node].info.id.hex()]
        assert answer["asked"] <= 1
    assert search(eighty, 0, "common nothing") == []


def test_a_word_that_everybody_has_is_answered_within_bounds(eighty: FilesSwarm) -> None:
    answers = []
    for node in (3, 50):
        begun_ns = eighty.engine.now_ns
        answer = eighty.ask(node, "search", words="common")
        assert eighty.engine.now_ns - begun_ns <= 8.1 * SECOND
        assert answer["asked"] <= MAX_PEERS_ASKED + 48
        assert len(answer["results"]) >= 50
        answers.append({one["id"] for one in answer["results"]})
    assert answers[0] != answers[1]  # a sample, another one for everybody


def test_a_share_is_found_by_its_tags_by_several_words_and_in_any_case() -> None:
    swarm = FilesSwarm(6, LIBRARY, seed=1)
    swarm.run_for(5)
    share(swarm, 0, MOON, tags=["film", "Luna"])
    share(swarm, 1, SUN)
    swarm.run_for(20)
    [one] = search(swarm, 5, "LUNA red")
    assert {key: one[key] for key in ("name", "size", "files", "seeds", "publishers", "tags")} == {
        "name": "Red Moon.mkv", "size": 5000, "files": 1, "seeds": 1, "publishers": 1, "tags": ["Luna", "film"],
    }  # fmt: skip
    assert found(swarm, 4, "blue 2024") == {"Blue Sun 2024.iso": 1}
    assert found(swarm, 4, "blue moon") == {}
    swarm.ask(5, "get", link=one["link"], folder="/downloads")
    swarm.until_all([5], MOON.info.id, within_s=60)
    swarm.run_for(20)
    assert found(swarm, 3, "moon") == {"Red Moon.mkv": 2}  # who got it can be found, too
    assert found(swarm, 5, "moon") == {"Red Moon.mkv": 2}  # and counts itself
    assert search(swarm, 3, "luna")[0]["publishers"] == 1
    assert found(swarm, 3, "luna") == {"Red Moon.mkv": 2}  # without the tag it is a seed all the same


def test_what_is_paused_or_removed_is_not_found_and_what_is_resumed_is() -> None:
    swarm = FilesSwarm(5, LIBRARY, seed=2)
    swarm.run_for(5)
    share(swarm, 0, MOON)
    swarm.run_for(20)
    assert found(swarm, 4, "moon") == {"Red Moon.mkv": 1}
    swarm.ask(0, "pause", share=MOON.info.id.hex())
    assert found(swarm, 4, "moon") == {}
    assert found(swarm, 0, "moon") == {}
    swarm.ask(0, "resume", share=MOON.info.id.hex())
    swarm.run_for(1)
    assert found(swarm, 4, "moon") == {"Red Moon.mkv": 1}
    swarm.ask(0, "remove", share=MOON.info.id.hex())
    assert found(swarm, 4, "moon") == {}


def test_tags_outlive_a_restart_and_can_be_changed() -> None:
    swarm = FilesSwarm(5, LIBRARY, seed=3)
    swarm.run_for(5)
    share(swarm, 1, MOON, tags=["luna"])
    swarm.restart(1, power_loss=True)
    swarm.join(nodes=[1])
    swarm.run_for(20)
    assert found(swarm, 4, "luna") == {"Red Moon.mkv": 1}
    share(swarm, 1, MOON, tags=["selene"])
    swarm.run_for(20)
    assert found(swarm, 4, "luna") == {}
    assert found(swarm, 4, "selene") == {"Red Moon.mkv": 1}
    share(swarm, 1, MOON)  # again, to see its link
    assert swarm.ask(1, "status", share=MOON.info.id.hex())["tags"] == ["selene"]
    swarm.ask(1, "pause", share=MOON.info.id.hex())
    swarm.ask(1, "resume", share=MOON.info.id.hex())
    swarm.run_for(1)
    assert found(swarm, 4, "selene") == {"Red Moon.mkv": 1}
    share(swarm, 1, MOON, tags=[])
    assert found(swarm, 4, "selene") == {}


def providers_of(swarm: FilesSwarm, node: int, word: str) -> int:
    return len(swarm.command(node, "providers", key=term_key(word).hex())["providers"])


def test_that_there_are_too_many_words_is_told_once_until_there_are_fewer() -> None:
    wordy = [made(" ".join(f"w{number}x{n}" for n in range(MAX_SHARE_TERMS))) for number in range(45)]
    swarm = FilesSwarm(1, {one.info.id: one for one in wordy}, seed=1)
    for one in wordy:
        share(swarm, 0, one)
    [(_, told)] = swarm.events("too many words")
    most = MAX_TERMS // MAX_SHARE_TERMS
    assert told == {"announced": MAX_TERMS, "left_out": (most + 1) * MAX_SHARE_TERMS - MAX_TERMS}
    for one in wordy[:3]:
        swarm.ask(0, "remove", share=one.info.id.hex())
    assert len(swarm.events("too many words")) == 1
    share(swarm, 0, wordy[0])
    assert len(swarm.events("too many words")) == 2


def test_a_lease_is_renewed_as_long_as_the_node_runs_and_then_ends() -> None:
    swarm = FilesSwarm(3, LIBRARY, seed=4)
    swarm.run_for(5)
    share(swarm, 1, MOON)
    for _ in range(2):
        swarm.run_for(LEASE_S)
        assert providers_of(swarm, 2, "moon") == 1
        assert found(swarm, 2, "moon") == {"Red Moon.mkv": 1}
    swarm.kill(1)
    swarm.run_for(LEASE_S + 60)
    assert providers_of(swarm, 2, "moon") == 0


def test_what_has_only_a_part_is_not_posted() -> None:
    library = {FOLDER.info.id: FOLDER}
    swarm = FilesSwarm(4, library, seed=5)
    swarm.run_for(5)
    link = share(swarm, 0, FOLDER)
    swarm.ask(1, "get", link=link, folder="/downloads", only=["a"])
    swarm.until_all([1], FOLDER.info.id, within_s=60)
    swarm.run_for(20)
    assert found(swarm, 3, "folder") == {"moon folder": 1}
    assert providers_of(swarm, 3, "folder") == 1


def test_a_share_that_lost_a_file_is_no_longer_given() -> None:
    swarm = FilesSwarm(4, LIBRARY, seed=11)
    swarm.run_for(5)
    link = share(swarm, 0, MOON)
    swarm.run_for(20)
    assert found(swarm, 3, "moon") == {"Red Moon.mkv": 1}
    swarm.disks[0].held[MOON.info.id].clear()
    swarm.ask(1, "get", link=link, folder="/downloads")  # who asks for it has it noticed
    swarm.run_for(20)
    assert swarm.events("withdrawn")
    assert found(swarm, 3, "moon") == {}


def test_a_private_share_is_told_to_nobody() -> None:
    swarm = FilesSwarm(4, LIBRARY, seed=6)
    swarm.run_for(5)
    share(swarm, 0, SECRET, tags=["luna"])
    swarm.run_for(20)
    for word in ("secret", "moon", "luna"):
        assert found(swarm, 3, word) == {}
        assert found(swarm, 0, word) == {}
        assert providers_of(swarm, 3, word) == 0


def test_who_is_banned_is_neither_asked_nor_answered() -> None:
    swarm = FilesSwarm(4, LIBRARY, seed=12)
    swarm.run_for(5)
    share(swarm, 0, MOON)
    share(swarm, 3, SUN)
    swarm.run_for(20)
    assert found(swarm, 3, "moon") == {"Red Moon.mkv": 1}
    swarm.files[3].around.bans.convict(swarm.id(0), b"evidence")
    assert swarm.ask(3, "search", words="moon") == {"results": [], "asked": 0}
    assert found(swarm, 0, "sun") == {}
    assert found(swarm, 1, "sun") == {"Blue Sun 2024.iso": 1}


def test_members_of_a_private_network_find_each_others_shares() -> None:
    swarm = FilesSwarm(4, LIBRARY, seed=7, realm=Network("ours", puzzle_bits=0, psk=bytes(32)))
    swarm.run_for(5)
    share(swarm, 0, MOON)
    swarm.run_for(20)
    assert found(swarm, 3, "moon") == {"Red Moon.mkv": 1}


def test_after_a_third_of_the_nodes_was_replaced_everything_that_is_left_is_found() -> None:
    swarm = FilesSwarm(45, {one.info.id: one for one in NUMBERED}, seed=8)
    swarm.run_for(5)
    for node in range(30):
        share(swarm, node, NUMBERED[node])
    swarm.run_for(30)
    for node in [*range(1, 11), *range(30, 35)]:
        swarm.kill(node)
        swarm.join(nodes=[swarm.add()])
        swarm.run_for(2)
    for node in range(11, 30):
        assert ids(swarm, 0, f"number{node:03}") == {NUMBERED[node].info.id.hex()}
    for node in range(1, 11):
        assert ids(swarm, 0, f"number{node:03}") == set()
    assert ids(swarm, 44, "common") == {NUMBERED[node].info.id.hex() for node in [0, *range(11, 30)]}


def test_a_spammer_fills_its_part_of_a_list_and_not_the_first() -> None:
    swarm = FilesSwarm(8, LIBRARY, seed=9, kinds={2: Spammer})
    swarm.run_for(5)
    for node in (0, 1, 3, 4):
        share(swarm, node, MOON)
    swarm.run_for(30)
    listed = search(swarm, 7, "red moon mkv")
    assert (listed[0]["id"], listed[0]["seeds"]) == (MOON.info.id.hex(), 4)
    assert len(listed) == 1 + MAX_POSTINGS_PER_PEER
    assert swarm.events("bad peer") == []


def test_a_share_has_the_name_that_is_given_at_most_places() -> None:
    """Six keys in one subnet of the internet against three honest nodes."""

    def address(index: int) -> Address:
        return Address(bytes((203, 1, 1, index)), PORT) if index >= 4 else internet_address(index)

    swarm = FilesSwarm(10, LIBRARY, seed=10, kinds=dict.fromkeys(range(4, 10), Renamer), address=address)
    swarm.run_for(5)
    for node in (0, 1, 2):
        share(swarm, node, MOON, tags=["film"])
    swarm.run_for(30)
    [listed] = search(swarm, 3, "moon")
    assert (listed["name"], listed["size"], listed["tags"][0]) == ("Red Moon.mkv", 5000, "film")
    assert listed["publishers"] == 3 + 4  # of one subnet, four are asked
