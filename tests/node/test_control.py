"""The control API over a real unix socket, in front of a fake node."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from overlay.events import GossipDelivered, PeerSeen
from overlay.identity.node_id import node_id_of
from overlay.limits import MAX_LARGE_BODY
from p2pnode import api
from p2pnode.control import limits, openapi
from p2pnode.control.operations import OPERATIONS
from p2pnode.control.server import serve
from p2pnode.ui.fail import Exit, Fail
from p2pnode.ui.values import to_json
from tests.support.fake_node import ID, KEY, OTHERS, FakeNode
from tests.support.schema import conforms

PRINTABLE, BINARY = b"gr\xc3\xbc\xc3\x9fe", b"\x00\x1b[2J\xff"


@attrs.frozen(slots=True)
class Served:
    node: FakeNode
    home: Path

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
        ask = partial(api.connect(self.home).call, method, path, body, **more)
        return await trio.to_thread.run_sync(ask, abandon_on_cancel=True)

    async def raw(self, *parts: bytes) -> bytes:
        """Send bytes as they are and read to the end."""
        async with await trio.open_unix_socket(str(self.home / api.SOCKET_NAME)) as stream:
            for part in parts:
                await stream.send_all(part)
            return b"".join([chunk async for chunk in stream])


@asynccontextmanager
async def served(home: Path) -> AsyncIterator[Served]:
    node = FakeNode()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, node, home / api.SOCKET_NAME)
        yield Served(node, home)
        nursery.cancel_scope.cancel()


async def test_socket_is_private_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / api.SOCKET_NAME
    async with served(tmp_path):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert api.connect(tmp_path).is_alive()
    assert not path.exists()


async def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / api.SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # never listens: connections are refused, as after kill -9
    async with served(tmp_path) as it:
        assert (await it.call("GET", "/v1/ticket"))["ticket"]


async def test_living_socket_is_left_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        with pytest.raises(Fail, match="already"):
            await serve(FakeNode(), tmp_path / api.SOCKET_NAME)
        assert (await it.call("GET", "/v1/status"))["v"] == 1


async def test_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / api.SOCKET_NAME).write_text("mine")
    with pytest.raises(Fail, match="cannot be made"):
        await serve(FakeNode(), tmp_path / api.SOCKET_NAME)
    assert (tmp_path / api.SOCKET_NAME).read_text() == "mine"


async def test_home_with_a_name_longer_than_a_socket_address(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 40)
    home.mkdir()
    node = FakeNode()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, node, home / api.SOCKET_NAME)
        assert (await Served(node, home).call("GET", "/v1/status"))["id"] == ID
        nursery.cancel_scope.cancel()


async def test_status_has_the_keys_of_the_contract_first(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        status = await it.call("GET", "/v1/status")
    contract = ["v", "id", "network", "listen", "ticket", "peers", "table", "records", "uptime_s", "version", "role"]
    assert list(status)[: len(contract)] == contract
    assert status["key"] == KEY.hex()


@pytest.mark.parametrize("value", [PRINTABLE, BINARY, b"", b"two\nlines\n", "\u202e".encode()])
async def test_value_comes_back_as_it_went_in(tmp_path: Path, value: bytes) -> None:
    from p2pnode.ui.values import from_json, to_json

    async with served(tmp_path) as it:
        key = (await it.call("POST", "/v1/dht/put", {"value": to_json(value)}))["key"]
        got = await it.call("POST", "/v1/dht/get", {"key": key})
    assert it.node.records[key] == (value, None)
    assert from_json(got["value"]) == value
    assert isinstance(got["value"], str) == (value not in (BINARY, "\u202e".encode()))
    assert "author" not in got
    assert "seq" not in got


@pytest.mark.parametrize(("code", "exit"), [("not_found", 4), ("not_verified", 5), ("timed_out", 6), ("failed", 1)])
async def test_failure_of_the_core_keeps_its_code(tmp_path: Path, code: str, exit: int) -> None:
    async with served(tmp_path) as it:
        it.node.fails["lookup"] = (code, "in words")
        with pytest.raises(Fail, match="in words") as caught:
            await it.call("POST", "/v1/dht/lookup", {"key": "ab" * 32})
    assert caught.value.exit == exit


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/dht/put", {}, "value: missing"),
        ("/v1/dht/put", {"value": "x", "colour": 1}, "colour: no such argument"),
        ("/v1/dht/put", {"value": "x", "ttl_s": -1}, "ttl_s: expected a whole number"),
        ("/v1/dht/put", {"value": "x", "ttl_s": True}, "ttl_s: expected a whole number"),
        ("/v1/dht/put", {"value": {"base64": "!"}}, "value: not base64"),
        ("/v1/dht/put", {"value": "x", "profile": "fast"}, "profile: expected secure or cheap"),
        ("/v1/dht/get", {"key": "abc"}, "key: expected 64 hex digits"),
        ("/v1/peers/join", {"addresses": [{"address": 1}]}, r"addresses\[0\]"),
    ],
)
async def test_bad_argument_is_named_and_never_reaches_the_core(
    tmp_path: Path, path: str, body: dict[str, Any], says: str
) -> None:
    async with served(tmp_path) as it:
        with pytest.raises(Fail, match=says) as caught:
            await it.call("POST", path, body)
        assert it.node.asked == []
    assert caught.value.exit is Exit.USAGE


async def test_unknown_path_and_method(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        with pytest.raises(Fail, match="GET /v1/nothing") as caught:
            await it.call("GET", "/v1/nothing")
        assert caught.value.exit is Exit.USAGE
        with pytest.raises(Fail, match="Method Not Allowed"):
            await it.call("GET", "/v1/dht/put")


async def test_bug_in_a_handler_is_an_answer_and_the_server_lives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path) as it:
        with pytest.raises(Fail, match="a bug in the node: TypeError"):
            await it.call("POST", "/v1/dht/get", {"key": "ab" * 32, "paths": 3})  # the fake knows no paths
        assert (await it.call("GET", "/v1/status"))["v"] == 1
    assert "unexpected keyword" in caplog.text


@pytest.mark.parametrize("host", [b"evil.example", b"", b"localhost.evil.example:80", b"192.0.2.1"])
async def test_foreign_host_is_refused(tmp_path: Path, host: bytes) -> None:
    async with served(tmp_path) as it:
        reply = await it.raw(b"GET /v1/status HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 4")
        assert it.node.asked == []


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:4480", b"127.0.0.1:1", b"[::1]:4480", b"[::1]"])
async def test_own_host_is_served(tmp_path: Path, host: bytes) -> None:
    async with served(tmp_path) as it:
        reply = await it.raw(b"GET /v1/status HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 200")


async def test_who_is_read_late_is_answered(tmp_path: Path, mock_clock: MockClock) -> None:
    """A machine that is too busy to let the node read for some seconds is no reason to hang up."""
    async with served(tmp_path), await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME)) as stream:
        await wait_all_tasks_blocked()
        mock_clock.jump(10)
        await wait_all_tasks_blocked()
        await stream.send_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"".join([chunk async for chunk in stream]).startswith(b"HTTP/1.1 200")


async def test_who_has_gone_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    async with served(tmp_path):
        for _ in range(3):
            async with await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME)):
                await wait_all_tasks_blocked()
            await wait_all_tasks_blocked()  # no time passes
            async with await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME)) as stream:
                await stream.send_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            await wait_all_tasks_blocked()


async def test_body_has_a_bound(tmp_path: Path) -> None:
    head = b"POST /v1/dht/put HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    async with served(tmp_path) as it:
        declared = await it.raw(head + b"Content-Length: %d\r\n\r\n" % (limits.MAX_BODY + 1))
        assert declared.startswith(b"HTTP/1.1 413")
        size = limits.MAX_BODY // 2
        chunk = b"%x\r\n" % size + b" " * size + b"\r\n"
        streamed = await it.raw(head + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, b"1\r\n \r\n0\r\n\r\n")
        assert streamed.startswith(b"HTTP/1.1 413")
        assert it.node.asked == []


async def test_requests_at_once_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS", 2)
    async with served(tmp_path) as it, trio.open_nursery() as nursery:
        it.node.hold["peers"] = trio.Event()
        for _ in range(2):
            nursery.start_soon(it.call, "GET", "/v1/peers")
        await it.node.until(lambda: len(it.node.asked) == 2)
        with pytest.raises(Fail, match="try again later"):
            await it.call("GET", "/v1/status")
        it.node.hold["peers"].set()


async def test_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS", 1)
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    async with served(tmp_path) as it:
        with trio.fail_after(30):
            begun = b"POST /v1/dht/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"
            assert (await it.raw(begun)).startswith(b"HTTP/1.1 408")
        assert (await it.call("GET", "/v1/status"))["v"] == 1
        assert [name for name, _ in it.node.asked] == ["status"]


# --- events ---------------------------------------------------------------------------------


async def test_events_reach_a_client_in_order(tmp_path: Path) -> None:
    seen = [PeerSeen(node_id_of(bytes([n]) * 32), "192.0.2.1:4433", moved=False) for n in range(1, 4)]
    async with served(tmp_path) as it:
        send, receive = trio.open_memory_channel[Any](8)
        token = trio.lowlevel.current_trio_token()

        def listen() -> None:
            for event in api.connect(tmp_path).lines("/v1/events"):
                trio.from_thread.run_sync(send.send_nowait, event, trio_token=token)

        thread = threading.Thread(target=listen)
        thread.start()
        await it.node.until(lambda: it.node.listeners == 1)
        for event in seen:
            it.node.emit(event)
        got = [await receive.receive() for _ in seen]
    thread.join()  # the end of the server ends the stream
    assert [event["id"] for event in got] == list(OTHERS)
    assert got[0] == {
        "v": 1,
        "event": "peer_seen",
        "id": OTHERS[0],
        "address": "192.0.2.1:4433",
        "moved": False,
    }


async def test_client_that_never_reads_is_dropped(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        async with await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME)) as slow:
            await slow.send_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await it.node.until(lambda: it.node.listeners == 1)
            event = PeerSeen(bytes(32), "192.0.2.1:4433" * 50, moved=False)

            with trio.fail_after(30):
                while it.node.listeners:
                    it.node.emit(event)
                    await trio.lowlevel.checkpoint()
        assert (await it.call("GET", "/v1/status"))["v"] == 1


async def test_listeners_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EVENT_CLIENTS", 1)
    async with served(tmp_path) as it:
        async with await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME)) as first:
            await first.send_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await it.node.until(lambda: it.node.listeners == 1)
            with pytest.raises(Fail, match="listen already"):
                await it.call("GET", "/v1/events")
        await it.node.until(lambda: it.node.listeners == 0)


# --- the end --------------------------------------------------------------------------------


async def test_answer_to_stop_arrives_although_the_server_ends(tmp_path: Path) -> None:
    node = FakeNode()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, node, tmp_path / api.SOCKET_NAME)

        async def end() -> None:
            await node.stopped.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(end)
        with trio.CancelScope(shield=True):
            answer = await Served(node, tmp_path).call("POST", "/v1/stop")
    assert answer == {"v": 1, "stopping": True, "pid": os.getpid()}


async def test_request_that_hangs_delays_the_end_by_the_grace_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GRACE_S", 0.05)
    with trio.fail_after(5):
        async with served(tmp_path) as it:
            it.node.hold["peers"] = trio.Event()
            stream = await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME))
            await stream.send_all(b"GET /v1/peers HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await it.node.until(lambda: bool(it.node.asked))
    await stream.aclose()


# --- description ----------------------------------------------------------------------------

EXAMPLES: dict[str, dict[str, Any]] = {
    "/v1/peers/ping": {"peer": OTHERS[0][:9]},
    "/v1/peers/join": {"addresses": [{"address": "192.0.2.1:4433"}]},
    "/v1/dht/put": {"value": "hello", "name": "greeting"},
    "/v1/dht/get": {"author": ID[:9], "name": "greeting"},
    "/v1/dht/lookup": {"key": "ab" * 32},
    "/v1/dht/provide": {"key": "ab" * 32},
    "/v1/dht/providers": {"key": "ab" * 32},
    "/v1/dht/forget": {"name": "greeting"},
    "/v1/topics/publish": {"topic": "news", "body": {"base64": "AP8="}},
    "/v1/apps/{app}/{command}": {"text": "hello"},
}


async def test_every_described_operation_answers_as_described(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        document = await it.call("GET", "/v1/openapi.json")
        await it.call("POST", "/v1/dht/put", EXAMPLES["/v1/dht/put"])
        for path, methods in document["paths"].items():
            for method, described in methods.items():
                content = described["responses"]["200"]["content"]
                schema = content.get("application/json", {}).get("schema")
                if not schema:
                    continue
                example = EXAMPLES.get(path)
                if method == "get":
                    answer = await it.call("GET", path, query=example)
                else:
                    where = path.format(app="chat", command="say")
                    answer = await it.call("POST", where, example or {})
                conforms(answer, schema)
                assert set(answer) <= set(schema["properties"]), path


def test_the_document_in_docs_is_the_one_that_is_served() -> None:
    committed = Path(__file__).parents[2] / "docs" / "openapi.json"
    expected = openapi.document(version="1")
    assert json.loads(committed.read_text()) == expected, (
        "write it again: python -m p2pnode.control.openapi > docs/openapi.json"
    )


def test_operations_are_unique() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


async def test_metrics(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        reply = await it.raw(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"p2pnode_peers 3.0" in reply
    assert b'p2pnode_streams{what="open"} 4.0' in reply
    assert b'p2pnode_streams{what="handshakes"} 2.0' in reply
    assert b'p2pnode_core_total{name="bad_message"} 2.0' in reply
    assert b"process_resident_memory_bytes" in reply


@asynccontextmanager
async def events_of(it: Served, **query: str) -> AsyncIterator[trio.MemoryReceiveChannel[dict[str, Any]]]:
    """What a listener is told, from when the node has accepted it."""
    sender, receiver = trio.open_memory_channel[dict[str, Any]](100)
    ready = trio.Event()

    def listen() -> None:
        def opened() -> None:
            trio.from_thread.run_sync(ready.set)

        for event in api.connect(it.home).lines("/v1/events", query=query, opened=opened):
            trio.from_thread.run_sync(sender.send_nowait, event)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.to_thread.run_sync, listen, abandon_on_cancel=True))
        await ready.wait()
        yield receiver
        nursery.cancel_scope.cancel()


async def test_who_asks_for_a_topic_gets_its_messages_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as it, events_of(it, topic="news") as events:
        await it.node.until(lambda: ("subscribe", {"topic": "news", "hold": True}) in it.node.asked)
        it.node.emit(PeerSeen(node_id_of(KEY), "192.0.2.1:4433", False))
        await it.call("POST", "/v1/topics/publish", {"topic": "weather", "body": "rain"})
        await it.call("POST", "/v1/topics/publish", {"topic": "news", "body": "x" * 32})
        told = await events.receive()
    assert told == {
        "v": 1, "event": "gossip_delivered", "topic": "news", "author": OTHERS[0], "seq": 7, "body": "x" * 32,
    }  # fmt: skip


@pytest.mark.parametrize("body", ["ж" * (MAX_LARGE_BODY // 2), "\n" * MAX_LARGE_BODY, bytes(MAX_LARGE_BODY)])
async def test_the_longest_message_goes_through(body: str | bytes, tmp_path: Path) -> None:
    said = body if isinstance(body, str) else to_json(body)
    async with served(tmp_path) as it, events_of(it, topic="news") as events:
        await it.node.until(lambda: ("subscribe", {"topic": "news", "hold": True}) in it.node.asked)
        await it.call("POST", "/v1/topics/publish", {"topic": "news", "body": said})
        assert (await events.receive())["body"] == said


async def test_a_listener_that_reads_nothing_lets_so_many_bytes_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EVENT_BYTES", 1 << 20)
    event = GossipDelivered("news", KEY, 1, b"x" * 100_000)
    async with served(tmp_path) as it, await trio.open_unix_socket(str(tmp_path / api.SOCKET_NAME)) as stream:
        await stream.send_all(b"GET /v1/events?topic=news HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await it.node.until(lambda: it.node.listeners == 1)
        sent = 0
        while it.node.listeners:
            it.node.emit(event)
            sent += 1
            await trio.lowlevel.checkpoint()
    # What waits, and what lies in the buffers of two sockets.
    assert 10 <= sent < 60


async def test_who_asks_for_an_application_gets_what_it_emits(tmp_path: Path) -> None:
    async with served(tmp_path) as it, events_of(it, app="chat") as events:
        it.node.emit(PeerSeen(node_id_of(KEY), "192.0.2.1:4433", False))
        assert await it.call("POST", "/v1/apps/chat/say", {"text": "hello"}) == {"v": 1, "answer": 2}
        told = await events.receive()
    fields = {"author": ID, "text": "hello"}
    assert told == {"v": 1, "event": "app_event", "app": "chat", "name": "said", "fields": fields}


async def test_a_listener_ends_when_the_core_takes_no_more_subscriptions(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.node.fails["subscribe"] = ("failed", "256 topics are open already")
        async with events_of(it, topic="news"):
            await it.node.until(lambda: it.node.listeners == 0)


@pytest.mark.parametrize(
    ("query", "told"),
    [({"topic": " x"}, "topic: expected 1 to 64 bytes"), ({"topik": "x"}, "topik: no such argument")],
)
async def test_a_listener_that_asks_for_nonsense_is_told(tmp_path: Path, query: dict[str, str], told: str) -> None:
    async with served(tmp_path) as it:
        with pytest.raises(Fail, match=told) as failed:
            await it.call("GET", "/v1/events", query=query)
        assert failed.value.code == "usage"


@pytest.mark.parametrize(("path", "code"), [("/v1/apps/chat/sing", "not_found"), ("/v1/apps/other/say", "not_found")])
async def test_an_application_or_command_that_is_not_there(tmp_path: Path, path: str, code: str) -> None:
    async with served(tmp_path) as it:
        with pytest.raises(Fail, match="no application") as failed:
            await it.call("POST", path, {})
        assert failed.value.code == code
