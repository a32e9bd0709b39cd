"""`p2pnode topic` and `p2pnode app` in front of a fake node."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from p2pnode import api
from tests.cli.conftest import Ran, Run
from tests.support.fake_node import ID, OTHERS, FakeNode


@pytest.fixture
def while_it_listens(node: FakeNode, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a line that listens; once the node has accepted it, do something from another thread."""

    def listening(*line: str, then: Callable[[], object]) -> Ran:
        connected = threading.Event()
        real = api.Client.lines

        def lines(self: api.Client, path: str, *, query: dict[str, str], opened: Callable[[], object]):  # type: ignore[no-untyped-def]
            def told() -> None:
                opened()
                connected.set()

            return real(self, path, query=query, opened=told)

        def act() -> None:
            if connected.wait(30):
                then()

        monkeypatch.setattr(api.Client, "lines", lines)
        helper = threading.Thread(target=act)
        helper.start()
        try:
            return run(*line)
        finally:
            connected.set()
            helper.join()

    return listening


def post(node: FakeNode, home: object, path: str, body: dict[str, object]) -> None:
    api.connect(home).call("POST", path, body)  # type: ignore[arg-type]


def test_what_is_published_is_sent(run: Run, node: FakeNode) -> None:
    ran = run("topic", "pub", "news", "the kettle is on")
    assert (ran.code, ran.out) == (0, "")
    assert "sent to 2 peers" in ran.err
    assert run("topic", "pub", "news", "-", stdin=b"\x00\xff").code == 0
    published = [args for name, args in node.asked if name == "publish"]
    assert published == [{"topic": "news", "body": b"the kettle is on"}, {"topic": "news", "body": b"\x00\xff"}]


def test_who_publishes_to_nobody_is_told(run: Run, node: FakeNode) -> None:
    node.receivers = 0
    ran = run("topic", "pub", "news", "x")
    assert (ran.code, "nobody is known who subscribes" in ran.err) == (0, True)
    assert ran.err.endswith("p2pnode topic sub news\n")  # to be pasted
    assert run("topic", "pub", "tea time", "x").err.endswith("p2pnode topic sub 'tea time'\n")


def test_a_long_message_comes_from_stdin_and_goes_whole(run: Run, node: FakeNode) -> None:
    longest = bytes(range(256)) * 4096
    assert run("topic", "pub", "news", "-", stdin=longest).code == 0
    [published] = [args for name, args in node.asked if name == "publish"]
    assert published == {"topic": "news", "body": longest}
    ran = run("topic", "pub", "news", "-", stdin=longest + b"x")
    assert (ran.code, "too large: more than 1048576 bytes" in ran.err) == (2, True)


@pytest.mark.parametrize("line", [("pub", " ", "x"), ("pub", "n" * 65, "x"), ("sub", "a\nb"), ("sub", "")])
def test_bad_topics_and_bodies_are_noticed_before_anything_is_contacted(run: Run, line: tuple[str, ...]) -> None:
    assert run("topic", *line).code == 2


def test_a_listener_prints_messages_as_they_come(
    while_it_listens: Callable[..., Ran], node: FakeNode, home: object
) -> None:
    def publish() -> None:
        post(node, home, "/v1/topics/publish", {"topic": "news", "body": "two\nlines"})
        post(node, home, "/v1/topics/publish", {"topic": "other", "body": "not for us"})
        post(node, home, "/v1/topics/publish", {"topic": "news", "body": {"base64": "AP8="}})

    ran = while_it_listens("topic", "sub", "news", "--count", "2", then=publish)
    assert ran.out == f"{OTHERS[0][:9]}  two?lines\n{OTHERS[0][:9]}  base64:AP8=\n"
    assert (ran.code, ran.err) == (0, "listening to news; Ctrl-C ends it\n")


def test_a_listener_gives_json_lines(while_it_listens: Callable[..., Ran], node: FakeNode, home: object) -> None:
    then = lambda: post(node, home, "/v1/topics/publish", {"topic": "news", "body": "hello"})  # noqa: E731
    ran = while_it_listens("topic", "sub", "news", "--count", "1", "--json", then=then)
    assert ran.json == {"v": 1, "topic": "news", "author": OTHERS[0], "seq": 7, "body": "hello"}


def test_a_listener_without_a_node_says_so(run: Run) -> None:
    ran = run("topic", "sub", "news")
    assert (ran.code, ran.out) == (3, "")
    assert "listening" not in ran.err


def test_topics_are_listed(run: Run, node: FakeNode) -> None:
    assert run("topic", "list").out.splitlines() == [
        "TOPIC    SUBSCRIBED  MESH  KNOWN  SEEN  DROPPED",
        "news     yes            2      3     7        0",
        "weather  no             2      3     7        0",
    ]


def test_applications_are_listed(run: Run, node: FakeNode) -> None:
    assert run("app", "list").out.splitlines()[1] == "chat         say, who      12"
    node.runs_chat = False
    assert " run --app NAME" in run("app", "list").err


def test_an_application_is_asked(run: Run, node: FakeNode) -> None:
    ran = run("app", "ask", "chat", "say", "text=hello everybody", "loud=true", "times=3", "answer=[1, 2]")
    assert (ran.code, ran.out) == (0, "[1, 2]\n")
    args = {"text": "hello everybody", "loud": True, "times": 3, "answer": [1, 2]}
    assert node.asked[-1] == ("app", {"app": "chat", "command": "say", "args": args})
    assert run("app", "ask", "chat", "say", "answer=as it is").out == "as it is\n"


def test_what_is_no_argument_is_named(run: Run, node: FakeNode) -> None:
    ran = run("app", "ask", "chat", "say", "hello")
    assert (ran.code, node.asked) == (2, [])
    assert "KEY=VALUE" in ran.err


def test_an_application_that_is_not_there(run: Run, node: FakeNode) -> None:
    assert run("app", "ask", "what? #1", "say").code == 4
    assert node.asked[-1][1]["app"] == "what? #1"


def test_what_an_application_emits_is_printed(
    while_it_listens: Callable[..., Ran], node: FakeNode, home: object
) -> None:
    say = lambda: post(node, home, "/v1/apps/chat/say", {"text": "hello\x1b[2J"})  # noqa: E731
    ran = while_it_listens("app", "events", "chat", "--count", "1", then=say)
    assert ran.out == f"chat.said  author={ID} text=hello?[2J\n"


def test_without_a_name_all_events_are_printed(
    while_it_listens: Callable[..., Ran], node: FakeNode, home: object
) -> None:
    publish = lambda: post(node, home, "/v1/topics/publish", {"topic": "news", "body": "hello"})  # noqa: E731
    ran = while_it_listens("app", "events", "--count", "1", then=publish)
    assert ran.out == f"gossip_delivered  topic=news author={OTHERS[0]} seq=7 body=hello\n"


def test_events_of_an_application_that_does_not_run_are_not_waited_for(run: Run, node: FakeNode) -> None:
    ran = run("app", "events", "nope")
    assert ran.code == 4
    assert "no application 'nope' runs here" in ran.err
    assert "chat" in ran.err
