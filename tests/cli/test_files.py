"""`p2pnode files` in front of a fake node: what is printed, and which exit code says what."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from apps.files.cli import fetch
from p2pnode.driver import CommandFailed
from tests.cli import golden
from tests.cli.conftest import Run
from tests.support.fake_node import OTHERS, FakeNode

ID = "1f0a" * 16
LINK = f"magnet:?xt=urn:btmh:1220{ID}&dn=photo.jpg"


def share(**more: Any) -> dict[str, Any]:
    """What the application says of a share that is complete."""
    return {
        "id": ID, "state": "complete", "trouble": "", "path": "/home/ada/photo.jpg", "name": "photo.jpg", "link": LINK,
        "size": 2_140_000, "files": 1, "wanted": 2_140_000, "done": 2_140_000, "peers": 0, "useful": 0, "givers": 0,
        "lost_there": 0, "dropped": 0, "seeds": 0, "down_per_s": 0, "up_per_s": 0, "downloaded": 0, "uploaded": 0,
        "wasted": 0, "zeros": 0, "folder": "/home/ada", "only": [], "known": 0, "silent": [], "notes": [],
        "began": True, "again": False,
    } | more  # fmt: skip


FINDING = {"state": "finding", "path": "", "name": None, "size": None, "files": None, "wanted": None, "done": None}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are typed."""
    path = (tmp_path / "here").resolve()
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "NOBODY_S", 0.0)
    monkeypatch.setattr(fetch, "WRONG_S", 0.0)


def told(node: FakeNode) -> list[str]:
    """Commands of file sharing in the order they came, without those that only look."""
    names = [args["command"] for name, args in node.asked if name == "app"]
    return [name for name in names if name not in ("status", "progress")]


# --- share ---------------------------------------------------------------------------------


def test_share_prints_the_link_and_what_to_paste_elsewhere(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "share"] = {
        "id": ID, "link": LINK, "name": "photo.jpg", "size": 2_140_000, "files": 1, "notes": ["sock: left out"]
    }  # fmt: skip
    (here / "photo.jpg").touch()
    ran = run("files", "share", "photo.jpg", "--tag", "sea", "--tag", "2024", "--name", "x", "--hybrid")
    assert ran.out == f"shared   photo.jpg  2.1 MB   {LINK}\n"
    assert "note     sock: left out\n" in ran.err
    assert f"  p2pnode files get '{LINK}'\n" in ran.err
    args = next(args for name, args in node.asked if args.get("command") == "share")["args"]
    assert args == {"path": str(here / "photo.jpg"), "tags": ["sea", "2024"], "name": "x", "hybrid": True}


def test_share_as_json(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "share"] = {"id": ID, "link": LINK, "name": "d", "size": 0, "files": 2, "notes": []}
    ran = run("files", "share", str(here), "--json")
    assert ran.json == {"v": 1, "id": ID, "link": LINK, "name": "d", "size": 0, "files": 2, "notes": []}
    assert ran.err == ""


def test_what_is_not_there_is_said_before_the_node_is_asked(node: FakeNode, run: Run, here: Path) -> None:
    for line in (["share", "nothing"], ["get", "no.torrent"], ["get", "nonsense"], ["status", "xyz"]):
        ran = run("files", *line)
        assert ran.code == 2, ran
        assert ran.err.startswith("error: ")
    assert node.asked == []


def test_ctrl_c_while_it_is_hashed_has_the_node_stop(node: FakeNode, run: Run, here: Path) -> None:
    def progress(_: dict[str, Any]) -> dict[str, int]:
        os.kill(os.getpid(), signal.SIGINT)
        return {"done": 1, "total": 2}

    node.answers |= {("files", "progress"): progress, ("files", "stop"): {}}
    node.answers["files", "share"] = CommandFailed("failed", "it was stopped")
    node.slow["files", "share"] = "stop"
    ran = run("files", "share", str(here))
    assert ran.code == 130
    assert told(node) == ["share", "stop"]


# --- get -----------------------------------------------------------------------------------


def test_get_says_where_it_is(node: FakeNode, run: Run, here: Path) -> None:
    done = share(folder=str(here), path=f"{here}/photo.jpg", downloaded=2_140_000, givers=2, wasted=5000)
    states = iter([share(**FINDING, folder=str(here)), share(state="downloading", done=7, peers=2), done])
    node.answers["files", "get"] = lambda _: next(states)
    node.answers["files", "status"] = lambda _: next(states)
    ran = run("files", "get", LINK)
    assert ran.code == 0, ran.err
    assert ran.out == f"fetched  photo.jpg  2.1 MB   {here}/photo.jpg\n"
    assert re.search(r"^in [\d.]+ s, .*/s from 2 peers, 5.0 kB came in vain$", ran.err, re.MULTILINE)
    assert told(node) == ["get"]
    assert node.asked[0][1]["args"] == {"link": LINK, "folder": str(here), "only": []}


def test_get_as_json_says_nothing_else(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "get"] = share(folder=str(here), givers=1)
    ran = run("files", "get", LINK, "--only", "*.jpg", "--json")
    assert ran.err == ""
    assert ran.json.pop("seconds") < 60
    assert set(ran.json) == {"v", "path", "size", "seconds", "sources", "wasted_bytes", "notes"}
    assert node.asked[0][1]["args"]["only"] == ["*.jpg"]


def test_nobody_who_has_it(node: FakeNode, run: Run, here: Path, impatient: None) -> None:
    silent = [{"peer": OTHERS[0], "reason": "no answer from 192.0.2.1:4433"}]
    node.answers["files", "get"] = share(**FINDING, folder=str(here), known=1, silent=silent)
    node.answers["files", "status"] = node.answers["files", "get"]
    node.answers["files", "remove"] = {"id": ID, "erased": False}
    ran = run("files", "get", LINK)
    assert ran.code == 6
    assert "error: nobody who has it could be reached" in ran.err
    assert f"{OTHERS[0][:9]}  no answer from 192.0.2.1:4433" in ran.err
    assert told(node) == ["get", "remove"]  # of what has not even a name nothing stays


def test_peers_that_lack_the_same_are_no_help(node: FakeNode, run: Run, here: Path, impatient: None) -> None:
    node.answers["files", "get"] = share(state="downloading", done=9, peers=1, known=2, folder=str(here))
    node.answers |= {("files", "status"): node.answers["files", "get"], ("files", "pause"): share()}
    ran = run("files", "get", LINK)
    assert ran.code == 6
    assert "nobody who has what is missing could be reached" in ran.err
    assert "1 peer answered, and lacks it too" in ran.err


def test_peers_that_have_it_no_longer_are_told_of(node: FakeNode, run: Run, here: Path, impatient: None) -> None:
    lost = {"state": "downloading", "done": 9, "known": 3, "folder": str(here)}
    node.answers |= {("files", "pause"): share(), ("files", "get"): share(**lost, peers=3, lost_there=1)}
    node.answers["files", "status"] = node.answers["files", "get"]
    ran = run("files", "get", LINK)
    assert "nobody who has what is missing could be reached" in ran.err
    assert "1 peer had it and can give it no longer: changed or deleted there" in ran.err
    assert "2 peers answered, and lack it too" in ran.err
    node.answers["files", "status"] = node.answers["files", "get"] = share(**lost, peers=1, lost_there=1)
    ran = run("files", "get", LINK)
    assert (ran.code, "what is missing is gone: who had it has deleted or changed it" in ran.err) == (6, True)


def test_names_that_were_changed_are_told_when_it_is_there(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "get"] = share(state="downloading", folder=str(here))
    node.answers["files", "status"] = share(folder=str(here), notes=[rf"a\n{n} is called a_{n} here" for n in range(7)])
    ran = run("files", "get", LINK)
    assert ran.err.count("note     ") == 5
    assert r"note     a\n0 is called a_0 here" in ran.err
    assert re.search(r"^… and 2 more: .* files status 1f0a1f0a$", ran.err, re.MULTILINE)


def test_an_empty_name_is_refused(node: FakeNode, run: Run, here: Path) -> None:
    (here / "photo.jpg").touch()
    for name in ("", " "):
        ran = run("files", "share", "photo.jpg", "--name", name)
        assert (ran.code, node.asked, "cannot be called by an empty name" in ran.err) == (2, [], True)


def test_as_long_as_nobody_has_looked_nothing_is_said_of_how_far_it_is(node: FakeNode, run: Run) -> None:
    node.answers["files", "resume"] = share(state="checking", done=None, wanted=None)
    assert run("files", "resume", ID).out == "resumed  photo.jpg\n"


def test_what_changed_since_it_was_shared_is_not_complete(node: FakeNode, run: Run) -> None:
    node.answers["files", "list"] = [share(done=1_000_000)]
    node.answers["files", "status"] = share(done=1_000_000)
    assert "changed 46 %" in run("files", "list").out
    assert run("files", "list", "--json").json["state"] == "changed"
    assert run("files", "status", ID, "--json").json["state"] == "changed"


def test_everybody_sent_what_is_wrong(node: FakeNode, run: Run, here: Path, impatient: None) -> None:
    node.answers["files", "get"] = share(state="downloading", done=0, dropped=2, folder=str(here))
    node.answers["files", "status"] = node.answers["files", "get"]
    node.answers["files", "pause"] = share()
    ran = run("files", "get", LINK, "--json")
    assert ran.code == 5
    assert ran.json["error"]["code"] == "not_verified"
    assert ran.json["error"]["facts"]["sent what is wrong"] == "2 peers"
    assert told(node) == ["get", "pause"]


def test_a_peer_that_is_there_is_waited_for(node: FakeNode, run: Run, here: Path, impatient: None) -> None:
    states = iter([*[share(state="downloading", done=0, peers=1, useful=1, dropped=1, folder=str(here))] * 5, share()])
    node.answers["files", "get"] = lambda _: next(states)
    node.answers["files", "status"] = lambda _: next(states)
    assert run("files", "get", LINK).code == 0


@pytest.mark.parametrize(("began", "after"), [(True, ["get", "pause"]), (False, ["get"])])
def test_ctrl_c_pauses_what_this_command_began(
    node: FakeNode, run: Run, here: Path, began: bool, after: list[str]
) -> None:
    def status(_: dict[str, Any]) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        return share(state="downloading", done=1_000_000, peers=1)

    node.answers["files", "get"] = share(state="downloading", done=1_000_000, peers=1, folder=str(here), began=began)
    node.answers |= {("files", "status"): status, ("files", "pause"): share()}
    ran = run("files", "get", LINK)
    assert ran.code == 130
    assert told(node) == after
    assert f"46 %; it is {'paused' if began else 'downloading'}" in ran.err
    assert "files resume 1f0a1f0a" in ran.err


@pytest.mark.parametrize(
    ("state", "says"),
    [("full", "no room on the disk"), ("failed", "a.iso: I/O error"), ("paused", "somebody paused it")],
)
def test_a_download_that_stops_says_why(node: FakeNode, run: Run, here: Path, state: str, says: str) -> None:
    trouble = says if state == "failed" else ""
    node.answers["files", "get"] = share(state=state, done=1, trouble=trouble, folder=str(here))
    node.answers["files", "pause"] = share()
    ran = run("files", "get", LINK)
    assert ran.code == 1
    assert says in ran.err


def test_what_is_in_another_folder_stays_there(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "get"] = share(began=False)
    ran = run("files", "get", LINK)
    assert ran.code == 1
    assert f"cp -a /home/ada/photo.jpg {here}" in ran.err


def test_a_folder_that_cannot_be_written_is_said_first(node: FakeNode, run: Run, here: Path) -> None:
    (here / "file").touch()
    ran = run("files", "get", LINK, "-o", "file/below")
    assert (ran.code, node.asked) == (2, [])
    assert f"path  {here / 'file'}" in ran.err


def test_time_is_up(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "get"] = share(state="downloading", done=1, peers=1, folder=str(here))
    node.answers |= {("files", "status"): node.answers["files", "get"], ("files", "pause"): share()}
    ran = run("files", "get", LINK, "--timeout", "0.05")
    assert ran.code == 6
    assert "not all of it came within 0.05 s" in ran.err


@pytest.mark.parametrize(
    ("words", "says"),
    [([], "nobody has told what is in it"), (["--timeout", "0.1"], "not all of it came within 0.1 s")],
)
def test_peers_that_claim_to_know_what_is_in_it_are_not_waited_for_without_end(
    words: list[str], says: str, node: FakeNode, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "UNTOLD_S", 0.0)
    looks = iter(range(1_000))  # always another number of them
    node.answers["files", "get"] = share(**FINDING, folder=str(here))
    node.answers["files", "status"] = lambda _: share(
        **FINDING, peers=next(looks), useful=1, folder=str(here), known=1
    )
    node.answers["files", "remove"] = {"id": ID, "erased": False}
    ran = run("files", "get", LINK, *words)
    assert ran.code == 6
    assert says in ran.err
    assert told(node) == ["get", "remove"]


# --- the rest ------------------------------------------------------------------------------


MANY = [
    share(),
    share(id="2e" * 32, name="a name that is much too long for a table\x1b[31m", size=123_456_789_012, wanted=10**11,
          state="downloading", done=98_760_000_000, peers=137, down_per_s=112_400_000, up_per_s=999_600),
    share(id="3d" * 32, **FINDING),
    share(id="4c" * 32, name="写真", size=999, wanted=999, done=0, state="paused"),
]  # fmt: skip


def test_list_fits_80_columns(node: FakeNode, run: Run) -> None:
    node.answers["files", "list"] = MANY
    ran = run("files", "list")
    golden.check("files-list", ran.out)
    assert max(map(len, ran.out.splitlines())) <= 80
    assert ran.err == "down 112 MB/s, up 1.0 MB/s\n"
    assert [line["id"] for line in run("files", "list", "--json").lines] == [MANY[i]["id"] for i in (2, 1, 3, 0)]


def test_an_empty_list_says_how_to_share(node: FakeNode, run: Run) -> None:
    node.answers["files", "list"] = []
    assert "files share PATH" in run("files", "list").err


def test_status_shows_one_share(node: FakeNode, run: Run) -> None:
    node.answers["files", "status"] = MANY[1] | {
        "only": ["*.flac"], "silent": [{"peer": OTHERS[0], "reason": "refused"}], "notes": ["a: gone"]
    }  # fmt: skip
    ran = run("files", "status", "2e2e")
    golden.check("files-status", ran.out)
    assert run("files", "status", LINK, "--json").json["done"] == 98_760_000_000


def test_pause_resume_and_remove_name_the_share(node: FakeNode, run: Run) -> None:
    node.answers |= {("files", name): share() for name in ("pause", "resume", "status")}
    node.answers["files", "remove"] = lambda args: {"id": ID, "erased": args["erase"]}
    assert run("files", "pause", "1F0A").out == "paused   photo.jpg  100 %\n"
    assert run("files", "resume", "1f0a").out == "resumed  photo.jpg  100 %\n"
    kept, erased = run("files", "remove", "1f0a"), run("files", "remove", "1f0a", "--erase")
    assert (kept.out, erased.out) == ("removed  photo.jpg\n",) * 2
    assert (kept.err, erased.err) == ("its files stay: /home/ada/photo.jpg\n", "")


def test_limits_are_typed_as_people_do(node: FakeNode, run: Run) -> None:
    node.answers["files", "limit"] = lambda args: {"up": 0, "down": 0} | args
    assert run("files", "limit", "--up", "2M", "--down", "1.5Mib/s").out == "up    2.0 MB/s\ndown  1.6 MB/s\n"
    assert run("files", "limit", "--up", "none", "--json").json == {"v": 1, "up": 0, "down": 0}
    assert run("files", "limit", "--up", "fast").code == 2
    zero = run("files", "limit", "--up", "0")
    assert (zero.code, "say `none` for no limit" in zero.err) == (2, True)


def test_search_gives_a_link_for_each(node: FakeNode, run: Run) -> None:
    found = {
        "id": ID, "link": LINK, "name": "photo\x1b[2J.jpg", "size": 10, "files": 1, "seeds": 3, "publishers": 1,
        "tags": ["sea"],
    }  # fmt: skip
    node.answers["files", "search"] = {"results": [found], "asked": 9}
    ran = run("files", "search", "photo", "sea")
    assert ran.out == f"photo?[2J.jpg   10 B, 1 file, 3 seeds   sea\n  {LINK}\n"
    assert run("files", "search", "photo", "--json").lines == [{"v": 1} | found]
    node.answers["files", "search"] = {"results": [], "asked": 9}
    ran = run("files", "search", "photo", "--json")
    assert (ran.code, ran.json["error"]["facts"]["asked"]) == (4, "9 peers")


def test_export_writes_a_torrent_where_it_was_typed(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "status"] = share()
    answer = {"id": ID, "link": LINK, "path": str(here / "x.torrent")}
    node.answers["files", "export"] = answer | {"bittorrent": True}
    ran = run("files", "export", "1f0a", "-o", "x.torrent", "--hybrid")
    assert ran.out == f"exported {here / 'x.torrent'}   {LINK}\n"
    assert ran.err == "give the file, or the link, to any program that knows BitTorrent v2 or v1\n"
    args = next(args for name, args in node.asked if args.get("command") == "export")["args"]
    assert args == {"share": ID, "path": str(here / "x.torrent"), "hybrid": True}
    node.answers["files", "export"] = answer | {"bittorrent": False}  # a private network
    ran = run("files", "export", "1f0a", "-o", "x.torrent")
    assert ran.err == "on other nodes of this network:   p2pnode files get x.torrent\n"
    ran = run("files", "export", LINK, "-o", "x.torrent", "--json")
    assert (ran.json, ran.err) == ({"v": 1, "id": ID, "link": LINK, "path": str(here / "x.torrent")}, "")


def test_an_export_that_fails_says_why(node: FakeNode, run: Run, here: Path) -> None:
    node.answers["files", "status"] = share()
    node.answers["files", "export"] = CommandFailed("failed", "x.torrent: there is something of this name already")
    ran = run("files", "export", "1f0a", "-o", "x.torrent")
    assert (ran.code, ran.out) == (1, "")
    assert "something of this name already" in ran.err


def test_a_node_without_file_sharing(node: FakeNode, run: Run) -> None:
    ran = run("files", "list")
    assert ran.code == 4
    assert "file sharing does not run in this node" in ran.err
    assert "run --no-files" in ran.err


def test_no_node(run: Run, here: Path) -> None:
    assert run("files", "list").code == 3
    assert run("files", "get", LINK).code == 3
