"""Every error: what happened, the facts, the next command; and the exit code."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from p2pnode.node import Node
from p2pnode.ui.ends import failure_of
from tests.cli.conftest import Run
from tests.support.fake_node import ID, OTHERS, FakeNode

KEY = "ab" * 32


def program(line: str, out: str) -> subprocess.CompletedProcess[str]:
    """A command line, with its stdout redirected as a shell does it."""
    argv = ["sh", "-c", f'exec "$0" -m p2pnode.cli.main {line} {out}', sys.executable]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("line", ["--version", "--help", "config paths", "status --json", "files"])
def test_a_disk_that_is_full_is_no_bug(
    line: str, unbuffered: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = program(f"--home {home} {line}", ">/dev/full")
    assert done.stderr.startswith("error: not all can be written\n")
    assert done.stderr.endswith("  reason  No space left on device\n")
    assert done.returncode == 1


def test_a_list_that_cannot_be_written(node: FakeNode, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    node.answers["files", "list"] = []
    full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - what is left in it cannot be written at its end
    monkeypatch.setattr(sys, "stdout", full)
    ran = run("files", "list")
    full.close()
    assert (ran.code, ran.err.startswith("error: not all can be written")) == (1, True)


@pytest.mark.parametrize(("line", "code"), [("--version", 0), ("status", 3), ("status --json", 3)])
def test_where_nobody_listens_the_exit_code_is_left(line: str, code: int, home: Path) -> None:
    done = program(f"--home {home} {line}", ">&- 2>&-")
    assert (done.returncode, done.stderr) == (code, "")


def test_not_even_the_error_can_be_written(home: Path) -> None:
    assert program(f"--home {home} --version", ">/dev/full 2>&1").returncode == 1


@pytest.mark.parametrize("line", [("status",), ("peers",), ("dht", "table"), ("stop",), ("ticket",)])
def test_no_node(run: Run, home: Path, line: tuple[str, ...]) -> None:
    ran = run(*line)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: no node is running here\n")
    assert f"looked for  {home}/control.sock" in ran.err
    assert f"start one   p2pnode --home {home} run  " in ran.err


def test_facts_in_json_name_the_home_too(run: Run, home: Path) -> None:
    facts = run("status", "--json").json["error"]["facts"]
    assert facts["start one"].startswith(f"p2pnode --home {home} run  ")


def test_no_node_behind_a_socket_that_was_left(run: Run, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "control.sock"))
    assert run("status").code == 3


@pytest.mark.parametrize("line", [(), ("app", "list"), ("peers", "show", ID), ("dht", "get", KEY)], ids=" ".join)
def test_a_hint_names_the_home_that_was_named(run: Run, home: Path, line: tuple[str, ...]) -> None:
    command = " ".join(line)
    said = run(*line).err
    assert not re.search(r"(?<!`)p2pnode (?!--home)[a-z]", said), f"{command}: {said}"


def test_a_node_that_hangs_is_named_with_what_ends_it(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What accepts connections and never answers, as a process does that got SIGSTOP."""
    monkeypatch.setattr("p2pnode.cli.commands.status.PATIENCE_S", 0.01)
    with socket.socket(socket.AF_UNIX) as listener, subprocess.Popen(["sleep", "100"]) as process:
        listener.bind(str(home / "control.sock"))
        listener.listen()
        (home / "node.lock").write_text(f"{process.pid}\n")
        try:
            ran = run("status")
            assert ran.code == 6
            assert f"end it   kill {process.pid}  " in ran.err
            assert "p2pnode" not in ran.err.replace(str(home), "")  # not the same question again
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            assert f"let it go on  kill -CONT {process.pid}\n" in run("status").err
            (home / "node.lock").unlink()
            assert f"fuser '{home}/control.sock'" in run("status").err
        finally:
            process.kill()


def test_error_as_json_is_on_stdout_and_stderr_is_empty(run: Run) -> None:
    ran = run("status", "--json")
    assert (ran.code, ran.err) == (3, "")
    assert ran.json["error"]["code"] == "no_node"
    assert ran.json["error"]["facts"]["looked for"].endswith("control.sock")


@pytest.mark.parametrize(
    "line",
    [
        ("dht", "get", "xyz"),
        ("dht", "get", "abc/name"),  # three letters name too many ids
        ("dht", "get", f"{ID}/"),
        ("dht", "get", f"{ID}/{'n' * 33}"),
        ("dht", "get", KEY, "--raw", "--json"),
        ("dht", "get", KEY, "--paths", "9"),
        ("dht", "put", "x" * 833),
        ("dht", "put", "x", "--ttl", "0"),
        ("dht", "put", "x", "--ttl", "25h"),
        ("dht", "put", "x", "--ttl", "soon"),
        ("dht", "put", "x", "--profile", "fast"),
        ("dht", "put", "x", "--cas", "1"),
        ("dht", "put", "x", "--name", "ü" * 17),
        ("dht", "put"),
        ("dht", "lookup", ID[:9]),
        ("dht", "provide", KEY[1:]),
        ("dht", "providers", ID),
        ("peers", "ping", "192.0.2.1:port"),
        ("peers", "ping", OTHERS[0], "--count", "0"),
        ("peers", "ping", OTHERS[0][:-1] + ("0" if OTHERS[0][-1] != "0" else "1")),  # a check letter is wrong
        ("peers", "show", "!!!!"),
        ("run", "--puzzle-bits", "99"),
        ("run", "--listen", "nowhere"),
        ("run", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:1"),
        ("run", "192.0.2.1:4433"),
        ("demo", "--peers", "1"),
    ],
    ids=" ".join,
)
def test_arguments_are_checked_before_anything_is_contacted(run: Run, line: tuple[str, ...]) -> None:
    ran = run(*line)
    assert ran.code == 2  # 3 would say that it looked for a node first
    assert ran.err.startswith("error: ") or ran.json["error"]["code"] == "usage"


def test_mistyped_id_says_where(run: Run) -> None:
    wrong = ("0" if ID[0] != "0" else "1") + ID[1:]
    assert "group 1" in run("peers", "ping", wrong).err


@pytest.mark.parametrize("place", ["192.0.2.1:4433", "[2001:db8::1]:4433", "office:4433"])
def test_ping_leaves_names_to_the_node(run: Run, node: FakeNode, place: str) -> None:
    node.fails["ping"] = ("usage", f"{place} is this node itself")
    ran = run("peers", "ping", place)
    assert (ran.code, ran.err.splitlines()[0]) == (2, f"error: {place} is this node itself")
    assert node.asked == [("ping", {"peer": place})]


def test_a_pipe_in_the_place_of_the_settings(run: Run, home: Path) -> None:
    os.mkfifo(home / "node.toml")
    for line in (("config", "check"), ("config", "show"), ("run",), ("id", "new")):
        ran = run(*line)
        assert ran.code == 2
        assert "node.toml: a pipe, not a file" in ran.err


@pytest.mark.parametrize("line", [("run",), ("id", "export", "-"), ("id", "show")], ids=" ".join)
def test_a_passphrase_without_a_terminal_is_asked_for_by_its_name(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.setenv("P2PNODE_PASSPHRASE", "correct horse")
    assert run("id", "new", "--puzzle-bits", "0", "--passphrase").code == 0
    monkeypatch.delenv("P2PNODE_PASSPHRASE")
    done = subprocess.run(
        [sys.executable, "-m", "p2pnode.cli.main", "--home", str(home), *line],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "P2PNODE_PASSPHRASE in the environment" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("run", "--network-key", "/nonexistent"), "network key: the key file cannot be read"),
        (("run", "--app", "no.such:App"), "an application cannot be loaded"),
        (("run", "--app", "builtins:dict"), "this is not an application"),
        (("run", "--app", "overlay.app:App"), "application overlay.app:App needs a name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_setting_names_and_cannot_be_used_is_usage(
    run: Run, home: Path, line: tuple[str, ...], said: str
) -> None:
    ran = run(*line)
    assert ran.code == 2
    assert ran.err.startswith(f"error: {said}")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("path", ["/dev/null", "/dev/null/below"])
def test_a_home_that_is_no_folder(run: Run, path: str) -> None:
    ran = run("run", before=("--home", path))
    assert ran.code == 1
    assert ran.err.startswith("error: the home folder cannot be made")


def test_too_much_on_stdin(run: Run) -> None:
    assert run("dht", "put", "-", stdin=b"x" * 833).code == 2


@pytest.mark.parametrize(("code", "exit"), [("not_found", 4), ("not_verified", 5), ("timed_out", 6), ("failed", 1)])
def test_exit_code_of_what_the_node_says(run: Run, node: FakeNode, code: str, exit: int) -> None:
    node.fails["get"] = (code, "in its own words")
    ran = run("dht", "get", KEY)
    assert (ran.code, ran.out) == (exit, "")
    assert ran.err.splitlines()[0] == "error: in its own words"
    assert ("p2pnode" in ran.err) == (code != "failed")  # the next command; for "failed" nobody knows one
    assert run("dht", "get", KEY, "--json").json["error"]["code"] == code


def test_ping_that_nobody_answers(run: Run, node: FakeNode) -> None:
    node.fails["ping"] = ("timed_out", "no answer")
    ran = run("peers", "ping", OTHERS[0], "--count", "2", "--interval", "0")
    assert ran.code == 6
    assert "did not answer any of 2 pings" in ran.err
    lines = run("peers", "ping", OTHERS[0], "--count", "2", "--interval", "0", "--json")
    assert lines.code == 6
    assert [line["rtt_ms"] for line in lines.lines] == [None, None]


@pytest.mark.parametrize("length", [4, len(ID)])
def test_the_node_itself_is_no_peer_of_its_own(run: Run, node: FakeNode, length: int) -> None:
    ran = run("peers", "show", ID[:length])
    assert ran.code == 2
    assert ran.err.startswith(f"error: {ID[:length]} is this node itself\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("dht", "get", KEY, "--paths", "x"), "'x' is not a whole number"),
        (("peers", "ping", ID, "--interval", "x"), "'x' is not a number"),
        (("completion", "tcsh"), "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_types_are_named_as_people_name_them(run: Run, line: tuple[str, ...], said: str) -> None:
    ran = run(*line)
    assert ran.code == 2
    assert ran.err.splitlines()[0].endswith(f": {said}")
    assert "[bash|zsh|fish]" not in ran.err.splitlines()[0]


def test_ping_by_a_prefix_that_nobody_has(run: Run, node: FakeNode) -> None:
    assert run("peers", "ping", "zzzz").code == 4


def test_prefix_that_several_have(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = node._peers()[0]
    monkeypatch.setattr(FakeNode, "_peers", lambda _: [peer, peer])
    assert run("peers", "show", peer["id"][:4]).code == 2


def test_file_of_somebody_else_in_the_place_of_the_socket(run: Run, home: Path) -> None:
    (home / "control.sock").write_text("")
    assert run("status").code == 3


def test_what_answers_is_not_a_node(run: Run, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "control.sock"))
        listener.listen()
        listener.settimeout(30)
        child = subprocess.Popen(
            [sys.executable, "-m", "p2pnode.cli.main", "--home", str(home), "status"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (1, "")
    assert err.startswith("error: the node closed the connection without an answer")


@pytest.mark.parametrize("program", ["p2pnode.ui.begin:p2pnode", "apps.chain.cli.begin:chain_explorer"])
def test_ctrl_c_while_modules_are_imported_is_one_line(program: str) -> None:
    module, _, function = program.partition(":")
    script = f"""
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name.endswith(".main"):
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from {module} import {function}
{function}()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: stopped by Ctrl-C\n")


def test_reader_that_has_enough_is_no_error_message(node: FakeNode, home: Path) -> None:
    line = f"'{sys.executable}' -m p2pnode.cli.main --home '{home}' peers --json | true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


def test_bug_is_called_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("impossible")

    monkeypatch.setattr("p2pnode.api.Client.call", broken)
    ran = run("status")
    assert ran.code == 1
    assert ran.err.startswith("error: a bug in p2pnode\n")
    assert "RuntimeError: impossible" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in run("status", before=("-v",)).err


def test_a_bug_that_ends_a_node_leaves_its_traceback_in_the_log(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("impossible")

    monkeypatch.setattr("p2pnode.node.make_parts", broken)
    ran = run("run", before=("--log-file", str(home / "node.log")))
    assert ran.code == 1
    for text in (ran.err, (home / "node.log").read_text()):
        assert "Traceback" in text
        assert "RuntimeError: impossible" in text


def test_a_core_that_raised_is_told_once(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("impossible")

    async def greet(node: Node, _seconds: float) -> bool:
        node.driver._feed(broken)
        return False

    monkeypatch.setattr("p2pnode.cli.commands.run._greet", greet)
    ran = run("run", "--listen", "127.0.0.1:0", "--no-lan", "--puzzle-bits", "0")
    assert ran.code == 1
    assert ran.err.count("Traceback") == 1
    assert "error: the node ended: the core raised RuntimeError: this is a bug" in ran.err


def test_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("p2pnode.api.Client.call", interrupted)
    assert run("status").code == 130


def test_a_file_of_another_user_is_not_our_bug() -> None:
    failure = failure_of(PermissionError(13, "Permission denied", "/srv/bob/node.toml"), program="p2pnode")
    assert failure.facts == {"file": "/srv/bob/node.toml", "reason": "Permission denied"}
